//! What the metrics are, and the F1 of each class.

use colearn_core::{
    result::definitions::Definition,
    table::{ClassScore, ResultsTable},
};

use super::grid::{Cell, Content, Grid};
use crate::{
    cells::{averaged_over, label},
    charts::roles,
    meaning,
    numbers::Numbers,
};

/// The definitions of the shown metrics.
pub(super) struct Definitions {
    /// Whether metrics of the validation split are among them.
    pub(super) validation: bool,
    pub(super) grid: Grid,
}

/// The F1 of each class, of the configurations whose confusion matrices are shown.
pub(super) struct Classes {
    /// What it is averaged over.
    pub(super) over: String,
    pub(super) grid: Grid,
}

pub(super) fn section(table: &ResultsTable) -> Option<Definitions> {
    let definitions = meaning::shown(table);
    if definitions.is_empty() {
        return None;
    }
    let heading = ["<metric", "<meaning", "<formula", "<scikit-learn"].map(str::to_owned);
    let mut grid = Grid::new(&heading);
    for &Definition { name, meaning, formula, call } in definitions {
        let call = Cell::of("l wrap", Content::Code(call.to_owned()));
        grid.row("", vec![Cell::left(name), Cell::wrapped(meaning), Cell::wrapped(formula), call]);
    }
    Some(Definitions { validation: meaning::names_validation(table), grid })
}

pub(super) fn classes(table: &ResultsTable) -> Option<Classes> {
    let mut shown = roles(table);
    shown.retain(|(row, _)| !row.classes.is_empty());
    let (first, _) = shown.first()?;
    let numbers = Numbers::of(table);
    let mut heading = vec!["<class".to_owned(), "samples".to_owned()];
    heading.extend(shown.iter().map(|(row, roles)| format!("{}: {}", roles.join(", "), label(row))));
    let mut grid = Grid::new(&heading);
    for (at, ClassScore { class, support, .. }) in first.classes.iter().enumerate() {
        let mut cells = vec![Cell::wrapped(class), Cell::new(support.to_string())];
        cells.extend(shown.iter().map(|(row, _)| {
            let score = row.classes.get(at).filter(|it| it.class == *class);
            Cell::new(numbers.mean_and_deviation(score.map(|it| &it.f1)))
        }));
        grid.row("", cells);
    }
    Some(Classes { over: averaged_over(table), grid })
}
