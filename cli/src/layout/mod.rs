//! Tables for people that fit the width of the terminal.

mod lines;

use std::env;

use terminal_size::{Width, terminal_size};

use self::lines::{INDENT, chars, total, widest_line};
pub(crate) use self::lines::{Lines, Shape, sentence};

/// The smallest width that is used: tables do not get narrower on smaller terminals.
const NARROWEST: usize = 80;

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
    /// It says what a row is, and is repeated in every block; where there is no room, the name of the row stands for all
    /// of these.
    Key,
    /// It is repeated in every block, also beside the name of the row: how many results a number is made of.
    Repeated,
    /// It stays in the first block.
    First,
    /// As `First`; its cells may break at a line break, which is a blank if there is room.
    Breaks,
    /// It moves to a further block.
    Moves,
}

impl Column {
    /// A column of words.
    pub(crate) fn words(heading: &str, role: Role, cells: Vec<String>) -> Self {
        Self { heading: heading.to_owned(), cells, words: true, role }
    }

    /// A column of numbers.
    pub(crate) fn numbers(heading: &str, role: Role, cells: Vec<String>) -> Self {
        Self { heading: heading.to_owned(), cells, words: false, role }
    }

    fn width(&self, broken: bool) -> usize {
        let cells = self.cells.iter().map(|cell| if broken { widest_line(cell) } else { chars(cell) });
        cells.chain([widest_line(&self.heading)]).max().unwrap_or(0)
    }

    fn is_key(&self) -> bool {
        matches!(self.role, Role::Key | Role::Repeated)
    }
}

/// A table as text, in as many blocks as the width needs. Nothing is cut. In this order: everything on one line; the
/// cells of a column that may break on two; then columns that may move stand in further blocks, each with the key; then
/// the key is the name of the row, in `names`, and stands above its row if there is no room; then words are wrapped.
/// Without `names` the key is the name.
pub(crate) fn fitted(columns: &[Column], names: &[String], width: usize) -> String {
    for broken in [false, true] {
        if total(&columns.iter().map(|column| column.width(broken)).collect::<Vec<_>>()) <= width {
            return block(&columns.iter().collect::<Vec<_>>(), broken, width);
        }
    }
    let mut key: Vec<&Column> = columns.iter().filter(|column| column.is_key()).collect();
    let (first, moving): (Vec<&Column>, Vec<&Column>) = columns
        .iter()
        .filter(|column| !column.is_key())
        .partition(|column| matches!(column.role, Role::First | Role::Breaks));
    let name = Column::words("configuration", Role::Key, names.to_vec());
    // Whether the columns fit beside the key, or below it if it stands above its row.
    let fits = |key: &[&Column], others: &[&Column], broken, above: bool| {
        let widths = |(at, column): (usize, &&Column)| match at {
            0 if above => INDENT,
            _ => column.width(broken),
        };
        total(&key.iter().chain(others).enumerate().map(widths).collect::<Vec<_>>()) <= width
    };
    let suits = |key: &[&Column]| {
        fits(key, &first, true, false) && moving.iter().all(|column| fits(key, &[column], false, false))
    };
    if !suits(&key) && !names.is_empty() {
        let repeated = columns.iter().filter(|column| column.role == Role::Repeated);
        key = std::iter::once(&name).chain(repeated).collect();
    }
    let above = !suits(&key) && key.first().is_some_and(|name| name.words);
    let broken = !fits(&key, &first, false, above);
    let mut blocks = if first.is_empty() { Vec::new() } else { vec![(first, broken)] };
    for column in moving {
        match blocks.last_mut() {
            Some((others, broken)) if fits(&key, &[&others[..], &[column]].concat(), *broken, above) => {
                others.push(column);
            }
            _ => blocks.push((vec![column], false)),
        }
    }
    let text = |(others, broken): &(Vec<&Column>, bool)| {
        let all: Vec<&Column> = key.iter().chain(others).copied().collect();
        block(&all, *broken, width)
    };
    blocks.iter().map(text).collect::<Vec<_>>().join("\n\n")
}

fn block(columns: &[&Column], broken: bool, width: usize) -> String {
    let shape = |column: &&Column| Shape { heading: column.heading.clone(), words: column.words };
    let mut lines = Lines::new(columns.iter().map(shape).collect(), width).ruled();
    let rows = columns.first().map_or(0, |column| column.cells.len());
    let cell = |column: &Column, row: usize| {
        let cell = column.cells.get(row).map_or("", String::as_str);
        if broken { cell.to_owned() } else { cell.replace('\n', " ") }
    };
    let rows: Vec<Vec<String>> =
        (0..rows).map(|row| columns.iter().map(|column| cell(column, row)).collect()).collect();
    lines.rows(&rows).trim_end().to_owned()
}
