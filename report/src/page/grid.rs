//! A table of the page.

/// A table.
pub(super) struct Grid {
    pub(super) heading: Vec<Column>,
    pub(super) rows: Vec<Row>,
}

/// The heading of a column.
pub(super) struct Column {
    /// Whether the heading is aligned left.
    pub(super) left: bool,
    name: String,
    pub(super) hint: Option<String>,
}

impl Column {
    /// The name in parts after which it may be broken, and whether a part ends there: long paths may be broken after
    /// each word.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&str, bool)> {
        const ENDS: [char; 2] = ['.', '_'];
        self.name.split_inclusive(ENDS).map(|part| (part, part.ends_with(ENDS)))
    }
}

/// A row, with its class.
pub(super) struct Row {
    pub(super) class: &'static str,
    pub(super) cells: Vec<Cell>,
}

/// One cell, with its class.
pub(super) struct Cell {
    pub(super) class: &'static str,
    pub(super) content: Content,
}

/// What a cell shows.
pub(super) enum Content {
    /// Text.
    Text(String),
    /// A piece of code.
    Code(String),
    /// A less important word.
    Muted(&'static str),
    /// A verdict and the text after it.
    Judged(Option<Badge>, String),
}

/// A verdict, or why there is none.
pub(super) struct Badge {
    pub(super) class: &'static str,
    pub(super) word: &'static str,
    pub(super) remark: &'static str,
}

impl Grid {
    /// A table without rows. Names of columns that begin with `<` are aligned left.
    pub(super) fn new(heading: &[String]) -> Self {
        Self::hinted(heading, |_| None)
    }

    /// The same with hints for some columns, by their positions.
    pub(super) fn hinted(heading: &[String], hint: impl Fn(usize) -> Option<String>) -> Self {
        let column = |(at, name): (usize, &String)| {
            let (left, name) = name.strip_prefix('<').map_or((false, name.as_str()), |name| (true, name));
            Column { left, name: name.to_owned(), hint: hint(at) }
        };
        Self { heading: heading.iter().enumerate().map(column).collect(), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, class: &'static str, cells: Vec<Cell>) {
        self.rows.push(Row { class, cells });
    }
}

impl Cell {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self::classed("", text)
    }

    pub(super) fn left(text: impl Into<String>) -> Self {
        Self::classed("l", text)
    }

    /// Text that may be long.
    pub(super) fn wrapped(text: impl Into<String>) -> Self {
        Self::classed("l wrap", text)
    }

    pub(super) fn classed(class: &'static str, text: impl Into<String>) -> Self {
        Self::of(class, Content::Text(text.into()))
    }

    pub(super) fn of(class: &'static str, content: Content) -> Self {
        Self { class, content }
    }
}
