//! What the networks' metrics mean, wherever they are shown.

use colearn_core::{
    result::{
        definitions::{CLASS_F1, Definition, definition, definitions},
        metric,
    },
    table::ResultsTable,
};

/// The definition of a shown metric, if it is one of a network.
pub(crate) fn of(table: &ResultsTable, name: &str) -> Option<&'static Definition> {
    definition(name, table.is_regression()).filter(|_| table.is_of_networks())
}

/// The definition in one line, for a hint.
pub(crate) fn hint(table: &ResultsTable, name: &str) -> Option<String> {
    of(table, name).map(|Definition { meaning, formula, call, .. }| format!("{meaning}; {formula}; {call}"))
}

/// The shown metrics whose names do not say all, each with its meaning: `f_score: F1 of the classes, weighted by their
/// true support`. `None` if there are none.
pub(crate) fn explained(table: &ResultsTable) -> Option<String> {
    let classification = !table.is_regression();
    // These mean in a classification what everybody expects.
    let is_plain = |name: &str| classification && matches!(name, metric::ACCURACY | metric::LOSS);
    let shown: Vec<&Definition> = table.metrics.iter().filter_map(|name| of(table, name)).collect();
    let words: Vec<String> = definitions(!classification)
        .iter()
        .filter(|it| shown.contains(it) && !is_plain(it.name))
        .map(|it| format!("{}: {}", it.name, it.meaning))
        .collect();
    (!words.is_empty()).then(|| words.join("; "))
}

/// The definitions of the shown metrics, and that of the F1 of the classes if it is shown, for a list.
pub(crate) fn shown(table: &ResultsTable) -> Vec<&'static Definition> {
    let mut found: Vec<&Definition> = Vec::new();
    for it in table.metrics.iter().filter_map(|name| of(table, name)) {
        if !found.contains(&it) {
            found.push(it);
        }
    }
    let classes = table.configurations.iter().any(|row| !row.classes.is_empty());
    found.extend(classes.then_some(&CLASS_F1));
    found
}

/// Whether a shown metric is one of a network's validation split.
pub(crate) fn names_validation(table: &ResultsTable) -> bool {
    table.is_of_networks() && table.metrics.iter().any(|name| metric::of_validation(name).is_some())
}
