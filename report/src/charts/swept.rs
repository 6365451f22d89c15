//! Chooses the parameter for the horizontal axis, and the configurations of each line.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use colearn_core::{
    names::short_path,
    settings::schema::MODALITY_DROPOUT,
    table::{ConfigurationRow, ResultsTable},
    text::one_line,
};

use crate::{
    cells::{setting_columns, value},
    svg::{Scale, fitted},
};

/// The longest title of the axis, as a width.
const LONGEST_TITLE: f64 = 360.0;

/// The configurations, ordered by their first numeric parameter.
pub(super) struct Swept<'t> {
    /// Title of the axis.
    pub(super) title: String,
    /// Whether the parameter is the dropout of a modality.
    pub(super) of_dropout: bool,
    /// Whether the values differ by orders of magnitude.
    pub(super) log: bool,
    /// One line for each combination of the other parameters.
    pub(super) lines: Vec<SweptLine<'t>>,
    /// Number of configurations, except the baseline, that do not set the parameter to a number.
    outside: usize,
    /// Whether one of them sets it to something else.
    words: bool,
}

/// Configurations that differ in the parameter only.
pub(super) struct SweptLine<'t> {
    /// The values of the other parameters.
    pub(super) name: String,
    /// Points, ordered by the parameter's value.
    pub(super) points: Vec<(f64, &'t ConfigurationRow)>,
}

impl<'t> Swept<'t> {
    /// The first parameter with at least two numeric values; `None` if there is none.
    pub(super) fn of(table: &'t ResultsTable) -> Option<Self> {
        let path = table.parameters.iter().find(|path| {
            let values: BTreeSet<u64> =
                table.configurations.iter().filter_map(|row| Some(number(row, path)?.to_bits())).collect();
            values.len() > 1
        })?;
        let rows: Vec<(f64, &ConfigurationRow)> =
            table.configurations.iter().filter_map(|row| Some((number(row, path)?, row))).collect();
        let columns = setting_columns(table);
        let others: Vec<&String> =
            columns.iter().filter(|other| *other != path && !follows(other, &rows)).collect();

        let mut lines: Vec<SweptLine<'_>> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        for (x, row) in &rows {
            let words: Vec<String> = others
                .iter()
                .filter_map(|other| {
                    Some(format!("{}={}", short_path(other, &columns), value(row.values.get(*other)?)))
                })
                .collect();
            let name = words.join(" ");
            let at = *known.entry(name.clone()).or_insert(lines.len());
            match lines.get_mut(at) {
                Some(line) => line.points.push((*x, row)),
                None => lines.push(SweptLine { name, points: vec![(*x, row)] }),
            }
        }
        for line in &mut lines {
            line.points.sort_by(|left, right| left.0.total_cmp(&right.0));
        }
        let placed = rows.len();
        let baseline_outside = table.baseline().is_some_and(|row| number(row, path).is_none());
        let mut swept = Self {
            title: title(path, &columns, &rows),
            of_dropout: path.starts_with(MODALITY_DROPOUT),
            log: false,
            lines,
            outside: table.configurations.len() - placed - usize::from(baseline_outside),
            words: table
                .configurations
                .iter()
                .any(|row| row.values.contains_key(path) && number(row, path).is_none() && !row.baseline),
        };
        let (lowest, highest) = swept.range();
        swept.log = lowest > 0.0 && highest / lowest >= 50.0;
        Some(swept)
    }

    /// The lowest and the highest value.
    pub(super) fn range(&self) -> (f64, f64) {
        let values = self.lines.iter().flat_map(|line| &line.points).map(|(x, _)| *x);
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
    }

    /// The axis between two positions.
    pub(super) fn scale(&self, from: f64, to: f64) -> Scale {
        let (first, last) = self.range();
        if self.log {
            Scale::logarithmic(first, last, from, to)
        } else {
            Scale::linear(first, last, from, to)
        }
    }

    /// A note about the configurations that the chart leaves out.
    pub(super) fn note(&self) -> String {
        match (self.outside, self.words) {
            (0, _) => String::new(),
            (1, true) => {
                " One configuration without a number for this parameter is in the table alone.".to_owned()
            }
            (more, true) => {
                format!(" {more} configurations without a number for this parameter are in the table alone.")
            }
            (1, false) => {
                " One configuration that does not set this parameter is in the table alone.".to_owned()
            }
            (more, false) => {
                format!(" {more} configurations that do not set this parameter are in the table alone.")
            }
        }
    }
}

pub(super) fn number(row: &ConfigurationRow, path: &str) -> Option<f64> {
    row.values.get(path)?.as_f64()
}

/// Whether a setting depends on the parameter: rows with equal values of the parameter have equal values of the
/// setting.
fn follows(other: &str, rows: &[(f64, &ConfigurationRow)]) -> bool {
    let mut seen = BTreeMap::new();
    rows.iter().all(|(x, row)| {
        let value = row.values.get(other);
        *seen.entry(x.to_bits()).or_insert(value) == value
    })
}

/// The parameter, and the parameters that always have the same value: `modality dropout of audio and video`.
fn title(path: &str, columns: &[String], rows: &[(f64, &ConfigurationRow)]) -> String {
    let Some(first) = path.strip_prefix(MODALITY_DROPOUT) else {
        return fitted(&one_line(path), LONGEST_TITLE);
    };
    let mut modalities = vec![first];
    for other in columns.iter().filter(|other| *other != path) {
        let same = rows.iter().all(|(x, row)| number(row, other) == Some(*x));
        if let (true, Some(modality)) = (same, other.strip_prefix(MODALITY_DROPOUT)) {
            modalities.push(modality);
        }
    }
    format!("modality dropout of {} (probability)", modalities.join(" and "))
}
