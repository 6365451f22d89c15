//! The curves of a program by epoch: a panel for each quantity, averaged over seeds.

use std::collections::{BTreeMap, BTreeSet};

use colearn_core::{
    table::{ConfigurationRow, ResultsTable},
    text::one_line,
};

use super::{
    Chart, Group,
    axes::{self, Area},
    curves::{Curve, MAX_ROWS, WIDTH, among, chosen, curve, draw_curve, range},
};
use crate::{
    cells::{averaged_over, label, percent, some},
    report_data::Material,
    svg::{Canvas, Glyph, Ink, Legend, Scale},
};

/// Height of a panel, and the gap between two.
const HEIGHT: f64 = 110.0;
const GAP: f64 = 14.0;
/// The largest number of panels of a chart.
const MAX_PANELS: usize = 6;
/// The largest number of points of a curve.
const MAX_POINTS: usize = 300;

/// The data that a curve is measured on, by the first word of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Split {
    Validation,
    Training,
    Test,
    Plain,
}

impl Split {
    const WORDS: [(&'static str, Self); 7] = [
        ("train", Self::Training),
        ("training", Self::Training),
        ("valid", Self::Validation),
        ("val", Self::Validation),
        ("validation", Self::Validation),
        ("dev", Self::Validation),
        ("test", Self::Test),
    ];

    /// The split and the quantity of a curve: `val_loss` is the loss on the validation split.
    fn of(name: &str) -> (Self, &str) {
        let parts = name.split_once(['_', '-', '/', '.', ' ']);
        let named = parts.filter(|(_, quantity)| !quantity.trim().is_empty()).and_then(|(word, quantity)| {
            let known = Self::WORDS.iter().find(|(known, _)| word.eq_ignore_ascii_case(known))?;
            Some((known.1, quantity))
        });
        named.unwrap_or((Self::Plain, name))
    }

    fn ink(self) -> Ink {
        match self {
            Self::Training => Ink::Muted,
            Self::Validation => Ink::ACCENT,
            Self::Test => Ink::Series(1),
            Self::Plain => Ink::Series(2),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Validation => "validation",
            Self::Test => "test",
            Self::Plain => "no split named",
        }
    }
}

/// The curves of one quantity.
struct Panel {
    quantity: String,
    /// The names of the curves with their splits.
    names: Vec<(Split, String)>,
}

/// The axes that all charts share.
struct Axes {
    /// One range for each panel.
    ranges: Vec<(f64, f64)>,
    epochs: (f64, f64),
    /// The splits of the legend; none if no curve names one.
    splits: BTreeSet<Split>,
}

/// A configuration with its curves: a list for each panel.
type Row<'t> = (&'t ConfigurationRow, Vec<Vec<(Split, Curve)>>);

/// One chart for each configuration, on one scale.
pub(super) fn group(material: &Material, table: &ResultsTable) -> Group {
    let mut panels = panels(material, table);
    let left_out: Vec<String> = panels.iter().skip(MAX_PANELS).map(|panel| panel.quantity.clone()).collect();
    panels.truncate(MAX_PANELS);
    let rows: Vec<Row<'_>> = chosen(table)
        .into_iter()
        .map(|row| (row, panels.iter().map(|panel| curves_of(material, row, panel)).collect()))
        .filter(|(_, curves): &Row<'_>| curves.iter().any(|panel| !panel.is_empty()))
        .collect();
    let axes = axes_of(&rows, &panels);
    let charts = rows
        .iter()
        .map(|(row, curves)| {
            let title = label(row);
            let svg = draw(curves, &panels, &axes, &title);
            Chart { file: format!("learning-{}", row.id), title, svg }
        })
        .collect();
    let mut caption = format!(
        "Mean over {} by epoch, with its {} % interval.",
        averaged_over(table),
        percent(table.confidence)
    );
    if !left_out.is_empty() {
        caption.push_str(&format!(" Not drawn: {}.", some(&left_out, ", ")));
    }
    if table.configurations.len() > MAX_ROWS {
        caption.push_str(&format!(
            " {MAX_ROWS} of {} configurations, among them {}.",
            table.configurations.len(),
            among(table)
        ));
    }
    Group { charts, caption }
}

/// The quantities of all curves: first the shown metrics in their order, then the others by name.
fn panels(material: &Material, table: &ResultsTable) -> Vec<Panel> {
    let records = material.done().flat_map(|result| &result.history);
    let names: BTreeSet<&str> = records.flat_map(|record| record.values.keys()).collect();
    let mut panels: BTreeMap<&str, Vec<(Split, String)>> = BTreeMap::new();
    for name in names {
        let (split, quantity) = Split::of(name);
        panels.entry(quantity).or_default().push((split, name.to_owned()));
    }
    let place = |panel: &Panel| {
        let shown =
            |metric: &String| *metric == panel.quantity || panel.names.iter().any(|(_, name)| name == metric);
        table.metrics.iter().position(shown).unwrap_or(table.metrics.len())
    };
    let mut panels: Vec<Panel> =
        panels.into_iter().map(|(quantity, names)| Panel { quantity: one_line(quantity), names }).collect();
    panels.sort_by_key(place);
    panels
}

fn curves_of(material: &Material, row: &ConfigurationRow, panel: &Panel) -> Vec<(Split, Curve)> {
    let curves = panel.names.iter().map(|(split, name)| (*split, thinned(curve(material, row, name))));
    curves.filter(|(_, curve)| !curve.0.is_empty()).collect()
}

/// At most [`MAX_POINTS`] points of a curve, evenly, with the first and the last.
fn thinned(Curve(points): Curve) -> Curve {
    let Some(last) = points.len().checked_sub(1).filter(|last| *last >= MAX_POINTS) else {
        return Curve(points);
    };
    let kept: BTreeSet<usize> = (0..MAX_POINTS).map(|index| index * last / (MAX_POINTS - 1)).collect();
    let points = points.into_iter().enumerate().filter(|(index, _)| kept.contains(index));
    Curve(points.map(|(_, point)| point).collect())
}

fn axes_of(rows: &[Row<'_>], panels: &[Panel]) -> Axes {
    let of_panel = |index: usize| {
        rows.iter()
            .flat_map(move |(_, curves)| curves.get(index).into_iter().flatten())
            .map(|(_, curve)| curve)
    };
    let epochs = (0..panels.len()).flat_map(of_panel).flat_map(|curve| &curve.0).map(|(epoch, _)| *epoch);
    let drawn = rows.iter().flat_map(|(_, curves)| curves.iter().flatten());
    let splits: BTreeSet<Split> = drawn.map(|(split, _)| *split).collect();
    Axes {
        ranges: (0..panels.len()).map(|index| range(&of_panel(index).collect::<Vec<_>>(), None)).collect(),
        epochs: epochs.fold((1.0, 1.0), |(first, last), epoch| (epoch.min(first), epoch.max(last))),
        splits: if splits == [Split::Plain].into() { BTreeSet::new() } else { splits },
    }
}

fn draw(curves: &[Vec<(Split, Curve)>], panels: &[Panel], axes: &Axes, title: &str) -> String {
    let mut legend = Legend::default();
    for split in &axes.splits {
        legend.add(Glyph::Line(split.ink()), split.word());
    }
    let top = 12.0 + legend.height(WIDTH - 24.0);
    let height = panels.len() as f64 * (HEIGHT + GAP) - GAP;
    let mut canvas = Canvas::new(WIDTH, top + height + 48.0);
    legend.draw(&mut canvas, (12.0, 6.0), WIDTH - 24.0);
    let mut area = Area { left: 66.0, right: WIDTH - 12.0, top, bottom: top + HEIGHT };
    let x = Scale::linear(axes.epochs.0, axes.epochs.1, area.left + 6.0, area.right - 6.0);
    for (index, ((panel, (low, high)), curves)) in panels.iter().zip(&axes.ranges).zip(curves).enumerate() {
        let y = Scale::linear(*low, *high, area.bottom, area.top);
        axes::vertical(&mut canvas, area, &y, 3, &panel.quantity);
        if index + 1 == panels.len() {
            axes::horizontal(&mut canvas, area, &x, 5, "epoch");
        } else {
            canvas.line((area.left, area.bottom), (area.right, area.bottom), Ink::Muted, 1.0, "");
        }
        for (split, curve) in curves {
            let ink = if axes.splits.is_empty() { Ink::ACCENT } else { split.ink() };
            draw_curve(&mut canvas, curve, (&x, &y), ink);
        }
        area = Area { top: area.bottom + GAP, bottom: area.bottom + GAP + HEIGHT, ..area };
    }
    canvas.finish(&format!("curves by epoch, {title}"))
}

#[cfg(test)]
mod tests {
    use colearn_core::statistics::Summary;

    use super::*;

    #[test]
    fn the_first_word_of_a_name_is_its_split() {
        for (name, split, quantity) in [
            ("train_loss", Split::Training, "loss"),
            ("val/top-1 error", Split::Validation, "top-1 error"),
            ("Validation accuracy", Split::Validation, "accuracy"),
            ("test-r2", Split::Test, "r2"),
            ("loss", Split::Plain, "loss"),
            ("trainable_share", Split::Plain, "trainable_share"),
            ("train_", Split::Plain, "train_"),
            ("tokens/s", Split::Plain, "tokens/s"),
        ] {
            assert_eq!(Split::of(name), (split, quantity), "{name}");
        }
    }

    #[test]
    fn a_long_curve_keeps_its_ends() {
        let summary = Summary { mean: 0.5, std: None, ci_low: None, ci_high: None };
        let curve = |points: u32| thinned(Curve((0..points).map(|at| (f64::from(at), summary)).collect())).0;
        for points in [0, 1, 299, 300, 301, 700, 100_000] {
            let kept = curve(points);
            assert_eq!(kept.len(), points.min(300) as usize, "{points}");
            assert_eq!(kept.last().map(|(at, _)| *at), points.checked_sub(1).map(f64::from));
            assert!(kept.first().is_none_or(|(at, _)| *at == 0.0));
        }
    }
}
