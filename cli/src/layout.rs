//! Tables for people that fit the width of the terminal.

use std::env;

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use terminal_size::{Width, terminal_size};

/// The smallest width that is used: tables do not get narrower on smaller terminals.
const NARROWEST: usize = 80;
/// Blanks between columns.
const GAP: usize = 2;
/// Only one rule, below the heading.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// The width that a table may have: that of the terminal; elsewhere the number in `COLUMNS`, or 80. It is at least 80.
pub(crate) fn width() -> usize {
    let set = || env::var("COLUMNS").ok()?.trim().parse().ok();
    let width = terminal_size().map(|(Width(width), _)| usize::from(width)).or_else(set);
    width.unwrap_or(NARROWEST).max(NARROWEST)
}

/// A column of a table.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// Its heading, which may have several lines.
    pub(crate) heading: String,
    /// Its cells, from the first row to the last.
    pub(crate) cells: Vec<String>,
    /// Whether it holds words, which are left-aligned; numbers are right-aligned.
    pub(crate) words: bool,
    /// What becomes of it when there is no room.
    pub(crate) role: Role,
}

/// What becomes of a column when there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It says what a row is, and is repeated in every block.
    Key,
    /// It stays in the first block.
    First,
    /// As `First`; its cells may break at a line break, which is a blank if there is room.
    Breaks,
    /// It moves to a further block.
    Moves,
}

impl Column {
    fn width(&self, broken: bool) -> usize {
        let lines = self.heading.lines().map(chars);
        let cells = self.cells.iter().map(|cell| if broken { widest_line(cell) } else { chars(cell) });
        lines.chain(cells).max().unwrap_or(0)
    }
}

fn chars(text: &str) -> usize {
    text.chars().count()
}

fn widest_line(text: &str) -> usize {
    text.lines().map(chars).max().unwrap_or(0)
}

/// A table as text, in as many blocks as the width needs. Nothing is cut. In this order: everything on one line; the
/// cells of a column that may break on two; then columns that may move stand in further blocks, each with the key; then
/// the key is the name of the row, in `names`. What is still too wide stays so.
pub(crate) fn fitted(columns: &[Column], names: &[String], width: usize) -> String {
    for broken in [false, true] {
        if total(columns.iter(), broken) <= width {
            return block(&columns.iter().collect::<Vec<_>>(), broken);
        }
    }
    let is_key = |column: &&Column| column.role == Role::Key;
    let mut key: Vec<&Column> = columns.iter().filter(is_key).collect();
    let (first, moving): (Vec<&Column>, Vec<&Column>) = columns
        .iter()
        .filter(|column| !is_key(column))
        .partition(|column| matches!(column.role, Role::First | Role::Breaks));
    let name =
        Column { heading: "configuration".to_owned(), cells: names.to_vec(), words: true, role: Role::Key };
    let fits = |key: &[&Column], others: &[&Column], broken| {
        total(key.iter().chain(others).copied(), broken) <= width
    };
    let widest = |key: &[&Column]| moving.iter().all(|column| fits(key, &[column], false));
    if !fits(&key, &first, true) || !widest(&key) {
        key = vec![&name];
    }
    let broken = !fits(&key, &first, false);
    let mut blocks = if first.is_empty() { Vec::new() } else { vec![(first, broken)] };
    for column in moving {
        match blocks.last_mut() {
            Some((others, broken)) if fits(&key, &[&others[..], &[column]].concat(), *broken) => {
                others.push(column);
            }
            _ => blocks.push((vec![column], false)),
        }
    }
    let text = |(others, broken): &(Vec<&Column>, bool)| {
        let all: Vec<&Column> = key.iter().chain(others).copied().collect();
        block(&all, *broken)
    };
    blocks.iter().map(text).collect::<Vec<_>>().join("\n\n")
}

fn total<'c>(columns: impl Iterator<Item = &'c Column>, broken: bool) -> usize {
    let widths: Vec<usize> = columns.map(|column| column.width(broken)).collect();
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

fn block(columns: &[&Column], broken: bool) -> String {
    let mut text = Table::new();
    text.load_style(STYLE);
    text.set_header(columns.iter().map(|column| &column.heading));
    let rows = columns.first().map_or(0, |column| column.cells.len());
    for row in 0..rows {
        text.add_row(columns.iter().map(|column| {
            let cell = column.cells.get(row).map_or("", String::as_str);
            if broken { cell.to_owned() } else { cell.replace('\n', " ") }
        }));
    }
    for (index, column) in text.column_iter_mut().enumerate() {
        // Between columns the rule has its own column, so the padding becomes two.
        column.set_padding((u16::from(index > 0), 0));
        let words = columns.get(index).is_some_and(|column| column.words);
        column.set_cell_alignment(if words { CellAlignment::Left } else { CellAlignment::Right });
    }
    text.trim_fmt()
}
