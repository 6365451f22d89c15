//! A table for notes and pull requests.

use std::fmt::Write as _;

use colearn_core::{table::ResultsTable, text::one_line};

use crate::{
    cells::{heading_and_rows, label, summary_line, warnings},
    numbers::Numbers,
    reference::Matched,
    verdicts::next_step,
};

/// The table for people, with the published means if there are any.
#[must_use]
pub fn markdown(table: &ResultsTable, published: Option<&Matched>) -> String {
    let (heading, rows) = heading_and_rows(table);
    let mut text = line(&heading);
    let rule: Vec<String> =
        heading.iter().map(|name| if name == "note" { "---" } else { "---:" }.to_owned()).collect();
    text.push_str(&line(&rule));
    for row in &rows {
        text.push_str(&line(row));
    }
    let _ = writeln!(text, "\n{}", summary_line(table));
    if let Some(step) = next_step(table) {
        let _ = writeln!(text, "\n{}.", escape(&step));
    }
    for warning in warnings(table) {
        let _ = writeln!(text, "\n**Warning: {}.**", escape(&warning));
    }
    if let Some(published) = published {
        text.push_str(&beside(table, published));
    }
    text
}

/// One line of a table.
pub(crate) fn line(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| escape(cell)).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// Makes a cell one line, in which nothing is markup: a bar would end the cell, an angle bracket begin a tag, and others
/// emphasis, code or a link. An underscore within a word is none.
pub(crate) fn escape(cell: &str) -> String {
    let cell = one_line(cell);
    let links = cell.contains("](");
    let mut escaped = String::with_capacity(cell.len());
    let mut characters = cell.chars().peekable();
    let mut before = ' ';
    while let Some(character) = characters.next() {
        let within = before.is_alphanumeric() && characters.peek().is_some_and(|next| next.is_alphanumeric());
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '\\' | '|' | '*' | '`' | '~' => escaped.extend(['\\', character]),
            '_' if !within => escaped.extend(['\\', character]),
            '[' if links => escaped.extend(['\\', character]),
            _ => escaped.push(character),
        }
        before = character;
    }
    escaped
}

fn beside(table: &ResultsTable, published: &Matched) -> String {
    let numbers = Numbers::of(table);
    let heading = ["configuration", "metric", "published", "here", "difference"].map(str::to_owned);
    let mut text = format!("\nPublished means, from {}:\n\n{}", escape(&published.origin), line(&heading));
    text.push_str("| --- | --- | ---: | ---: | ---: |\n");
    for row in &table.configurations {
        for it in published.rows.get(&row.id).into_iter().flatten() {
            let here = row.metrics.get(&it.metric).map(|summary| summary.mean);
            let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |it| numbers.plain(it));
            text.push_str(&line(&[
                label(row),
                it.metric.clone(),
                it.written.clone(),
                number(here),
                here.map_or_else(|| "-".to_owned(), |here| numbers.signed(here - it.mean)),
            ]));
        }
    }
    for warning in &published.warnings {
        let _ = writeln!(text, "\n{}", escape(warning));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn nothing_in_a_cell_is_markup() {
        for (cell, escaped) in [
            ("f_score 0.4 [0.1, 0.2]", "f_score 0.4 [0.1, 0.2]"),
            ("a|b<i>\n&lt;", "a\\|b&lt;i> &amp;lt;"),
            ("__init__ _x_ a__b", "\\_\\_init\\_\\_ \\_x\\_ a\\_\\_b"),
            ("*a* `b` ~c~ \\", "\\*a\\* \\`b\\` \\~c\\~ \\\\"),
            ("[a](b)", "\\[a](b)"),
        ] {
            assert_eq!(escape(cell), escaped);
        }
    }
}
