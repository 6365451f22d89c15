//! Rows as aligned lines that fit a width. They can be printed part by part: a table that needs all rows would have to
//! keep them in memory.

use std::borrow::Cow;

/// Blanks between columns.
pub(super) const GAP: usize = 2;
/// The first column is not narrower: names that have lines of their own are followed by lines that are set in.
pub(super) const INDENT: usize = 2;
/// Columns of words keep this width while the first column can give way.
const COMFORTABLE: usize = 24;
/// Columns of words are not narrower.
const LEAST: usize = 10;

/// What a column of lines holds.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// Its heading, which may have several lines.
    pub(crate) heading: String,
    /// Whether it holds words, which are left-aligned and may be wrapped; numbers are right-aligned.
    pub(crate) words: bool,
}

impl Shape {
    /// A column of words.
    pub(crate) fn words(heading: &str) -> Self {
        Self { heading: heading.to_owned(), words: true }
    }

    /// A column of numbers.
    pub(crate) fn numbers(heading: &str) -> Self {
        Self { heading: heading.to_owned(), words: false }
    }
}

/// Columns that become wider with their contents, as far as the width allows; earlier rows are not printed again. Words
/// for which there is no room are wrapped. A name in the first column stands above its rows then, once for all that
/// follow each other, and is not wrapped unless it is longer than a line.
pub(crate) struct Lines {
    shapes: Vec<Shape>,
    /// The widths that the contents so far would have.
    wanted: Vec<usize>,
    width: usize,
    ruled: bool,
    headed: bool,
    /// The name that stands above the last row.
    above: Option<String>,
}

impl Lines {
    /// Lines that fit `width`.
    pub(crate) fn new(shapes: Vec<Shape>, width: usize) -> Self {
        let wanted = shapes.iter().map(|shape| widest_line(&shape.heading)).collect();
        Self { shapes, wanted, width, ruled: false, headed: false, above: None }
    }

    /// The same with a rule below the heading.
    pub(super) fn ruled(self) -> Self {
        Self { ruled: true, ..self }
    }

    /// The lines of these rows; the first call begins with the heading. Rows without any content are left out.
    pub(crate) fn rows<C: AsRef<str>>(&mut self, rows: &[Vec<C>]) -> String {
        for row in rows {
            for (wanted, cell) in self.wanted.iter_mut().zip(row) {
                *wanted = (*wanted).max(widest_line(cell.as_ref()));
            }
        }
        let widths = self.widths();
        let mut text = String::new();
        if !std::mem::replace(&mut self.headed, true) {
            let heading: Vec<String> = self.shapes.iter().map(|shape| shape.heading.clone()).collect();
            self.push(&mut text, &widths, &heading);
            self.above = None;
            if self.ruled {
                text.push_str(&"─".repeat(total(&widths)));
                text.push('\n');
            }
        }
        for row in rows.iter().filter(|row| row.iter().any(|cell| !cell.as_ref().is_empty())) {
            self.push(&mut text, &widths, row);
        }
        text
    }

    /// The widths of the columns: those of the contents if there is room.
    fn widths(&self) -> Vec<usize> {
        let mut widths = self.wanted.clone();
        for (of_name, least) in [(false, COMFORTABLE), (true, INDENT), (false, LEAST)] {
            loop {
                let over = total(&widths).saturating_sub(self.width);
                let may = |at: usize, width: usize| {
                    let words = self.shapes.get(at).is_some_and(|shape| shape.words);
                    words && (at == 0) == of_name && width > least
                };
                let widest = widths.iter_mut().enumerate().filter(|(at, width)| may(*at, **width));
                let Some((_, width)) = widest.max_by_key(|(_, width)| **width).filter(|_| over > 0) else {
                    break;
                };
                // One at a time, so that columns of equal width stay equal; a name gives way at once.
                *width -= if of_name { over.min(*width - least) } else { 1 };
            }
        }
        widths
    }

    fn push<C: AsRef<str>>(&mut self, text: &mut String, widths: &[usize], cells: &[C]) {
        let mut cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
        let named = self.shapes.first().is_some_and(|shape| shape.words);
        match cells.first_mut() {
            Some(name) if named && widths.first().is_some_and(|width| widest_line(name) > *width) => {
                if self.above.as_deref() != Some(*name) {
                    self.above = Some((*name).to_owned());
                    for (index, line) in
                        wrapped(name, self.width.saturating_sub(2 * INDENT)).iter().enumerate()
                    {
                        text.push_str(if index == 0 { "" } else { "    " });
                        text.push_str(line);
                        text.push('\n');
                    }
                }
                *name = "";
            }
            _ => self.above = None,
        }
        let cells: Vec<Vec<Cow<'_, str>>> = cells
            .iter()
            .enumerate()
            .map(|(at, cell)| {
                let words = self.shapes.get(at).is_some_and(|shape| shape.words);
                let width = widths.get(at).copied().filter(|_| words).unwrap_or(usize::MAX);
                wrapped(cell, width)
            })
            .collect();
        for line in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
            let mut printed = String::new();
            for (at, cell) in cells.iter().enumerate() {
                let cell = cell.get(line).map_or("", Cow::as_ref);
                let width = widths.get(at).copied().unwrap_or(0);
                let blanks = " ".repeat(width.saturating_sub(chars(cell)));
                printed.push_str(if at > 0 { "  " } else { "" });
                match self.shapes.get(at) {
                    Some(shape) if !shape.words => printed.extend([blanks.as_str(), cell]),
                    _ => printed.extend([cell, blanks.as_str()]),
                }
            }
            text.push_str(printed.trim_end());
            text.push('\n');
        }
    }
}

/// The width of columns with the gaps between them.
pub(super) fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

pub(super) fn chars(text: &str) -> usize {
    text.chars().count()
}

pub(super) fn widest_line(text: &str) -> usize {
    text.lines().map(chars).max().unwrap_or(0)
}

/// A sentence below a table, in as many lines as it needs.
pub(crate) fn sentence(text: &str, width: usize) -> String {
    wrapped(text, width).join("\n") + "\n"
}

/// The lines of a text, wrapped at blanks; a word that is longer than a line is cut.
fn wrapped(text: &str, width: usize) -> Vec<Cow<'_, str>> {
    let mut lines = Vec::new();
    for line in text.lines() {
        if chars(line) <= width {
            lines.push(Cow::Borrowed(line));
            continue;
        }
        let mut current = String::new();
        for word in line.split_whitespace() {
            if !current.is_empty() && chars(&current) + 1 + chars(word) > width {
                lines.push(Cow::Owned(std::mem::take(&mut current)));
            }
            if !current.is_empty() {
                current.push(' ');
            }
            for character in word.chars() {
                if chars(&current) >= width.max(1) {
                    lines.push(Cow::Owned(std::mem::take(&mut current)));
                }
                current.push(character);
            }
        }
        lines.push(Cow::Owned(current));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(width: usize) -> Lines {
        Lines::new(vec![Shape::words("task"), Shape::numbers("seed"), Shape::words("why")], width)
    }

    #[test]
    fn columns_stand_below_each_other_and_grow() {
        let mut lines = lines(80);
        let first = lines.rows(&[vec!["a", "0", ""], vec!["bcdefg", "12", "no data"]]);
        assert_eq!(first, "task    seed  why\na          0\nbcdefg    12  no data\n");
        let second = lines.rows(&[vec!["", "123456", "x"], vec!["", "", ""]]);
        assert_eq!(second, "        123456  x\n");
    }

    #[test]
    fn a_name_without_room_stands_once_above_its_rows_and_words_are_wrapped() {
        let mut lines = lines(42);
        let why = "the trainer was killed by signal 9";
        let name = "audio=0.8 video=0.8 size=paper";
        let text = lines.rows(&[vec![name, "0", why], vec![name, "1", ""], vec!["plain", "0", "x"]])
            + &lines.rows(&[
                vec![name, "2", ""],
                vec!["a-name-that-is-longer-than-one-line-and-has-no-blank", "0", ""],
            ]);
        let expected = "\
task        seed  why
audio=0.8 video=0.8 size=paper
               0  the trainer was killed
                  by signal 9
               1
plain          0  x
audio=0.8 video=0.8 size=paper
               2
a-name-that-is-longer-than-one-line-an
    d-has-no-blank
               0
";
        assert_eq!(text, expected);
        assert!(text.lines().all(|line| chars(line) <= 42));
    }
}
