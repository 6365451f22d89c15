//! Confusion matrices side by side: the paper's figure 4.

use colearn_core::table::{ConfigurationRow, ResultsTable};

use super::{Chart, Group};
use crate::{
    cells::{label, setting_columns},
    material::{Material, best},
    svg::{Anchor, Canvas, Ink},
};

const WIDTH: f64 = 420.0;
const LEFT: f64 = 58.0;
const TOP: f64 = 34.0;
/// Most classes whose shares are written into the cells.
const MOST_WRITTEN: usize = 12;

/// Without modality dropout, the best, and the baseline.
pub(super) fn group(material: &Material, table: &ResultsTable) -> Group {
    let drops = |row: &&ConfigurationRow| row.settings.modality_dropout.values().any(|level| *level > 0.0);
    // Where nothing is ever dropped, there is nothing to compare with.
    let undropped = table
        .configurations
        .iter()
        .find(|row| !row.settings.unimodal && !drops(row))
        .filter(|_| table.configurations.iter().any(|row| drops(&row)));
    let best = table.verdict_metric().and_then(|name| best(table, name));
    let roles = [("without modality dropout", undropped), ("best", best), ("baseline", table.baseline())];
    let mut chosen: Vec<(&ConfigurationRow, Vec<&str>)> = Vec::new();
    for (role, row) in roles {
        let Some(row) = row else { continue };
        match chosen.iter_mut().find(|(other, _)| other.id == row.id) {
            Some((_, roles)) => roles.push(role),
            None => chosen.push((row, vec![role])),
        }
    }
    let columns = setting_columns(table);
    let charts: Vec<Chart> = chosen
        .into_iter()
        .filter_map(|(row, roles)| {
            let (counts, seeds) = sum(material, row)?;
            let title = format!(
                "{}: {} ({seeds} seed{})",
                roles.join(", "),
                label(row, &columns),
                if seeds == 1 { "" } else { "s" }
            );
            let svg = draw(&counts, &title);
            Some(Chart { file: format!("confusion-{}", row.id), title, svg })
        })
        .collect();
    let caption = "Counts on the test split summed over seeds. Shade and number are the share of a true class, in percent; classes are numbered as in the data set.".to_owned();
    Group { charts, caption }
}

/// The matrices of all seeds added up, and how many there were. `None` where there is none, or where they
/// differ in size.
fn sum(material: &Material, row: &ConfigurationRow) -> Option<(Vec<Vec<u64>>, usize)> {
    let results = material.results(row.id);
    let mut total: Vec<Vec<u64>> = Vec::new();
    for (_, result) in &results {
        let classes = result.confusion.len();
        if classes == 0 || result.confusion.iter().any(|counts| counts.len() != classes) {
            return None;
        }
        if total.is_empty() {
            total = vec![vec![0; classes]; classes];
        }
        if total.len() != classes {
            return None;
        }
        for (sums, counts) in total.iter_mut().zip(&result.confusion) {
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum = sum.saturating_add(*count);
            }
        }
    }
    (!total.is_empty()).then_some((total, results.len()))
}

fn draw(counts: &[Vec<u64>], title: &str) -> String {
    let classes = counts.len();
    let cell = (WIDTH - LEFT - 14.0) / classes as f64;
    let side = cell * classes as f64;
    let mut canvas = Canvas::new(WIDTH, TOP + side + 14.0);
    canvas.text((LEFT + side / 2.0, 14.0), Anchor::Middle, Ink::Text, Canvas::TEXT, "predicted class");
    canvas.upward_text((16.0, TOP + side / 2.0), Ink::Text, Canvas::TEXT, "true class");
    // Every label needs the room of its digits.
    let every = ((20.0 / cell).ceil() as usize).max(1);
    for class in (0..classes).step_by(every) {
        let middle = (class as f64 + 0.5) * cell;
        let text = class.to_string();
        canvas.text((LEFT + middle, TOP - 6.0), Anchor::Middle, Ink::Muted, 12.0, &text);
        canvas.text((LEFT - 7.0, TOP + middle + 4.0), Anchor::End, Ink::Muted, 12.0, &text);
    }
    for (truth, row) in counts.iter().enumerate() {
        let total: u64 = row.iter().sum();
        for (predicted, count) in row.iter().enumerate() {
            let share = if total == 0 { 0.0 } else { *count as f64 / total as f64 };
            let corner = (LEFT + predicted as f64 * cell, TOP + truth as f64 * cell);
            let hint = format!("class {truth} predicted as {predicted}: {count} of {total}");
            // No share at all is still a cell that can be pointed at.
            let shade = 0.04 + 0.96 * share;
            let gap = if classes <= 40 { 1.0 } else { 0.0 };
            canvas.rect(corner, (cell - gap, cell - gap), Ink::ACCENT, shade, &hint);
            if classes <= MOST_WRITTEN && *count > 0 {
                let ink = if share > 0.75 { Ink::Ground } else { Ink::Text };
                let middle = (corner.0 + cell / 2.0, corner.1 + cell / 2.0 + 4.5);
                canvas.text(middle, Anchor::Middle, ink, 12.0, &format!("{:.0}", 100.0 * share));
            }
        }
    }
    canvas.finish(&format!("confusion matrix, {title}"))
}
