//! What the metrics are, and the F1 of each class.

use std::fmt::Write as _;

use colearn_core::{
    result::definitions::Definition,
    table::{ClassScore, ResultsTable},
};

use super::table::{Cell, Grid};
use crate::{
    cells::{averaged_over, label},
    charts::roles,
    meaning,
    numbers::Numbers,
    svg::escape,
};

/// The definitions of the shown metrics.
pub(super) fn section(table: &ResultsTable) -> String {
    let definitions = meaning::shown(table);
    if definitions.is_empty() {
        return String::new();
    }
    let heading = ["<metric", "<meaning", "<formula", "<scikit-learn"].map(str::to_owned);
    let mut grid = Grid::new(&heading);
    for Definition { name, meaning, formula, call } in definitions {
        let call = Cell::html("l wrap", format!("<code>{}</code>", escape(call)));
        let cells = [
            Cell::left(name),
            Cell::html("l wrap", escape(meaning)),
            Cell::html("l wrap", escape(formula)),
            call,
        ];
        grid.row("", &cells);
    }
    let mut text = String::from(
        "<p class=\"note\">Truth y, prediction p; n samples, of a class TP that are classified correctly, its support, and predicted how often it is predicted.",
    );
    if meaning::names_validation(table) {
        text.push_str(" With valid/ before the name: on the validation split, with the tested weights.");
    }
    text.push_str("</p>\n");
    text + &grid.finish()
}

/// The F1 of each class, of the configurations whose confusion matrices are shown.
pub(super) fn classes(table: &ResultsTable) -> String {
    let mut shown = roles(table);
    shown.retain(|(row, _)| !row.classes.is_empty());
    let Some((first, _)) = shown.first() else { return String::new() };
    let numbers = Numbers::of(table);
    let mut heading = vec!["<class".to_owned(), "samples".to_owned()];
    heading.extend(shown.iter().map(|(row, roles)| format!("{}: {}", roles.join(", "), label(row))));
    let mut grid = Grid::new(&heading);
    for (at, ClassScore { class, support, .. }) in first.classes.iter().enumerate() {
        let mut cells = vec![Cell::html("l wrap", escape(class)), Cell::new(&support.to_string())];
        cells.extend(shown.iter().map(|(row, _)| {
            let score = row.classes.get(at).filter(|it| it.class == *class);
            Cell::new(&numbers.mean_and_deviation(score.map(|it| &it.f1)))
        }));
        grid.row("", &cells);
    }
    let mut text = String::new();
    let _ = writeln!(
        text,
        "<p class=\"note\">Mean and sample standard deviation over {}, on the test split with the primary modality alone. Samples: of the class, over all {}. All configurations are in classes.csv.</p>",
        escape(&averaged_over(table)),
        escape(&averaged_over(table)),
    );
    text + &grid.finish()
}
