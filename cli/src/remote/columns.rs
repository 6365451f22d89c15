//! Plain columns, printed row by row: a table that needs all rows would have to keep them in memory.

/// Alignment of the cells of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    /// Left-aligned, for words.
    Left,
    /// Right-aligned, for numbers.
    Right,
}

/// Columns that become wider with their contents. Earlier rows are not printed again.
pub(super) struct Columns<const N: usize> {
    heading: Option<[&'static str; N]>,
    aligns: [Align; N],
    widths: [usize; N],
}

impl<const N: usize> Columns<N> {
    pub(super) fn new(columns: [(&'static str, Align); N]) -> Self {
        Self {
            heading: Some(columns.map(|(name, _)| name)),
            aligns: columns.map(|(_, align)| align),
            widths: columns.map(|(name, _)| name.chars().count()),
        }
    }

    /// The lines of these rows; the first call begins with the heading.
    pub(super) fn lines(&mut self, rows: &[[String; N]]) -> String {
        for row in rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        if let Some(heading) = self.heading.take() {
            self.push(&mut text, heading);
        }
        for row in rows {
            self.push(&mut text, row.each_ref().map(String::as_str));
        }
        text
    }

    fn push(&self, text: &mut String, cells: [&str; N]) {
        let mut line = String::new();
        for (index, cell) in cells.into_iter().enumerate() {
            if index > 0 {
                line.push_str("  ");
            }
            let blanks = " ".repeat(self.widths[index] - cell.chars().count());
            match self.aligns[index] {
                Align::Left => line.extend([cell, blanks.as_str()]),
                Align::Right => line.extend([blanks.as_str(), cell]),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: [&str; 3]) -> [String; 3] {
        cells.map(str::to_owned)
    }

    #[test]
    fn columns_stand_below_each_other_and_grow() {
        let mut columns = Columns::new([("task", Align::Left), ("seed", Align::Right), ("why", Align::Left)]);
        let first = columns.lines(&[row(["a", "0", ""]), row(["bcdefg", "12", "no data"])]);
        assert_eq!(first, "task    seed  why\na          0\nbcdefg    12  no data\n");
        let second = columns.lines(&[row(["", "123456", "x"])]);
        assert_eq!(second, "        123456  x\n");
    }
}
