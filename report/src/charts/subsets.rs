//! A metric against the dropout level, with a line for each subset of modalities for which it was measured. The chart
//! shows which level suits the primary modality alone, and which suits all modalities together.

use colearn_core::{
    result::metric,
    table::{ConfigurationRow, ResultsTable},
};

use super::{
    Chart, Group, axes, file_name,
    lines::{self, Frame},
    swept::{Swept, SweptLine},
};
use crate::{
    cells::all_metrics,
    numbers::Numbers,
    svg::{Glyph, Ink, Legend},
};

/// One chart for each metric that results have both for the primary modality and for further subsets, if the dropout
/// of a modality is swept.
pub(super) fn group(table: &ResultsTable) -> Group {
    let Some(swept) = Swept::of(table).filter(|swept| swept.of_dropout) else { return Group::default() };
    // Those of the validation split only decide about the level.
    let mut measured = all_metrics(table);
    measured.retain(|name| metric::of_validation(name).is_none());
    let charts: Vec<Chart> =
        measured.iter().filter_map(|name| chart(table, &swept, name, &measured)).collect();
    let mut caption = "The same networks tested on the primary modality alone and with further modalities present. The dotted line marks the level to take where one network has to serve them all: the one whose largest distance to the best mean of each line is smallest on the validation split.".to_owned();
    if swept.lines.len() > 1 {
        caption.push_str(" Of several settings, those of the configuration that is best on validation.");
    }
    Group { charts, caption }
}

fn chart(table: &ResultsTable, swept: &Swept<'_>, name: &str, measured: &[String]) -> Option<Chart> {
    if metric::split(name).1.is_some() {
        return None;
    }
    let best = table.chosen_row().map(|row| row.id);
    let among = |line: &&SweptLine<'_>| line.points.iter().any(|(_, row)| Some(row.id) == best);
    // The best configuration may be the baseline, which is on no line; and there may be none.
    let line = swept.lines.iter().find(among).or(swept.lines.first())?;
    let primary = &line.points.first()?.1.settings.network()?.primary;
    let mut names: Vec<(&str, String)> = vec![(name, format!("{primary} alone"))];
    names.extend(measured.iter().filter_map(|other| match metric::split(other) {
        (plain, Some(modalities)) if plain == name => Some((other.as_str(), modalities.replace('+', " + "))),
        _ => None,
    }));
    names.retain(|(name, _)| line.points.iter().any(|(_, row)| row.metrics.contains_key(*name)));
    // More lines than colours could not be distinguished.
    names.truncate(Ink::SERIES);
    if names.len() < 2 {
        return None;
    }

    let summaries: Vec<_> = names
        .iter()
        .flat_map(|(name, _)| line.points.iter().filter_map(|(_, row)| row.metrics.get(*name)))
        .collect();
    let means: Vec<f64> = summaries.iter().map(|it| it.mean).collect();
    let ends: Vec<f64> = summaries.iter().flat_map(|it| [it.ci_low, it.ci_high]).flatten().collect();
    let (low, high) = axes::range(&means, &ends, metric::bounds(name));
    let serving = serving(table, line, &names);

    let mut legend = Legend::default();
    for (index, (_, text)) in names.iter().enumerate() {
        legend.add(Glyph::Line(Ink::Series(index)), text);
    }
    if let Some(level) = serving {
        legend.add(Glyph::Dotted(Ink::Text), format!("serves all: {level}"));
    }
    let Frame { mut canvas, area, x, y } = Frame::new(table, swept, name, &legend, (low, high));
    if let Some(level) = serving {
        let at = x.place(level);
        canvas.line((at, area.top), (at, area.bottom), Ink::Text, 1.5, Glyph::DOTS);
    }
    for (index, (name, _)) in names.iter().enumerate() {
        lines::draw(&mut canvas, line, (name, Numbers::of(table)), (&x, &y), Ink::Series(index), true);
    }
    Some(Chart {
        file: format!("subsets-{}", file_name(name)),
        title: name.to_owned(),
        svg: canvas.finish(&format!("{name} under several subsets of the modalities by {}", swept.title)),
    })
}

/// The level that minimises the largest distance to the best mean of each metric on the validation split; the lowest
/// level on ties. `None` if results have no validation metrics: a level that is chosen on the test split looks better
/// than it is.
fn serving(table: &ResultsTable, line: &SweptLine<'_>, names: &[(&str, String)]) -> Option<f64> {
    let score = |row: &ConfigurationRow, name: &str| {
        let mean = row.metrics.get(&metric::on_validation(name))?.mean;
        Some(table.direction(name).score(mean))
    };
    let best: Vec<f64> = names
        .iter()
        .map(|(name, _)| {
            line.points.iter().filter_map(|(_, row)| score(row, name)).fold(f64::NEG_INFINITY, f64::max)
        })
        .collect();
    let mut found: Option<(f64, f64)> = None;
    for (level, row) in &line.points {
        let behind = names
            .iter()
            .zip(&best)
            .try_fold(0.0_f64, |most, ((name, _), best)| Some(most.max(best - score(row, name)?)));
        if let Some(behind) = behind
            && found.is_none_or(|(_, least)| behind < least)
        {
            found = Some((*level, behind));
        }
    }
    found.map(|(level, _)| level)
}
