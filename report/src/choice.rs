//! The words for what is chosen on validation, for every output format.

use colearn_core::{
    table::{Choice, ChosenRow, ResultsTable},
    text::one_line,
};

use crate::cells::{metric_heading, replicate_noun};

/// The metric of the choice, for people: `valid/accuracy`.
pub(crate) fn metric(table: &ResultsTable) -> Option<String> {
    table.choose_by.as_deref().map(|by| metric_heading(table, by))
}

/// The name of the row: `chosen`. With several baselines it says which one it is compared with.
pub(crate) fn name(table: &ResultsTable, chosen: &ChosenRow) -> String {
    match table.row_of(chosen.baseline).filter(|_| table.chosen.len() > 1) {
        Some(baseline) => format!("chosen against {}", one_line(&baseline.name)),
        None => "chosen".to_owned(),
    }
}

/// How often each configuration was chosen: `audio=0.8 video=0.8 (3), audio=0.9 video=0.9 (2)`.
pub(crate) fn choices(chosen: &ChosenRow) -> String {
    /// A choice among hundreds is not listed completely.
    const MAX_LISTED: usize = 6;
    let listed = |choice: &Choice| format!("{} ({})", one_line(&choice.name), choice.times);
    let mut often: Vec<&Choice> = chosen.choices.iter().collect();
    often.sort_by_key(|choice| std::cmp::Reverse(choice.times));
    let mut words: Vec<String> = often.iter().take(MAX_LISTED).map(|choice| listed(choice)).collect();
    if often.len() > MAX_LISTED {
        words.push(format!("{} others", often.len() - MAX_LISTED));
    }
    words.join(", ")
}

/// What the rows of the choices are, for the summary line.
pub(crate) fn explained(table: &ResultsTable) -> Option<String> {
    let by = metric(table).filter(|_| !table.chosen.is_empty())?;
    let noun = replicate_noun(table);
    let made = match table.chosen.as_slice() {
        [only] => format!(": {}", choices(only)),
        several => format!(" ({} rows)", several.len()),
    };
    Some(format!(
        "chosen: for each {noun} the configuration with the best {by}, as one comparison of its own{made}"
    ))
}

/// Which configuration is marked as best, or why none is.
pub(crate) fn best(table: &ResultsTable) -> String {
    match (metric(table), table.best) {
        (Some(by), Some(_)) => format!("the best is the one with the best mean {by}"),
        (Some(by), None) => format!("none is called the best, as not all results have {by}"),
        (None, _) => {
            "none is called the best: `report.choose_by` names no metric to choose by, and the best of \
             several test results looks better than it is"
                .to_owned()
        }
    }
}
