//! The results table as text.

use colearn_core::table::ResultsTable;
use colearn_report::{heading_and_rows, summary_line, text};
use comfy_table::{CellAlignment, Table, presets};

use crate::args::Format;

/// Renders `table` in `format`, ending in a newline.
pub(crate) fn render(table: &ResultsTable, format: Format) -> String {
    match format {
        Format::Table => for_people(table),
        Format::Csv => text::csv(table),
        Format::Json => text::json(table, None),
        Format::Markdown => text::markdown(table, None),
    }
}

fn for_people(table: &ResultsTable) -> String {
    let (heading, rows) = heading_and_rows(table);
    let mut text = Table::new();
    text.load_style(presets::UTF8_HORIZONTAL_ONLY);
    text.set_header(&heading);
    let last = heading.len() - 1;
    for row in rows {
        text.add_row(row);
    }
    for (index, column) in text.column_iter_mut().enumerate() {
        if index != last {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("sweep {}\n{text}\n{}\n", table.sweep, summary_line(table))
}
