//! `exclude`: the points of the grid that are left out.

use serde_json::Value;

use super::{
    axes::Axis,
    diagnostic::{Problems, Span},
    file::Outline,
};
use crate::settings::schema;

/// The entries of `exclude`, prepared to be tested for each point of the grid.
pub(crate) struct Excludes {
    entries: Vec<Entry>,
    /// Entries by the steps of the axis of their first condition: `by_step[axis][step]`.
    by_step: Vec<Vec<Vec<usize>>>,
    /// Entries that match all points of the grid.
    everywhere: Vec<usize>,
}

struct Entry {
    span: Span,
    /// Axes and, for each of their steps, whether the step matches.
    conditions: Vec<(usize, Vec<bool>)>,
    used: bool,
}

impl Excludes {
    pub(crate) fn new(outline: &Outline, axes: &[Axis]) -> Self {
        let mut excludes = Self {
            entries: Vec::new(),
            by_step: axes.iter().map(|axis| vec![Vec::new(); axis.length]).collect(),
            everywhere: Vec::new(),
        };
        for (number, point) in outline.exclude.iter().enumerate() {
            let mut possible = true;
            let mut conditions: Vec<(usize, Vec<bool>)> = Vec::new();
            for (path, value) in &point.values {
                let swept = axes.iter().enumerate().find_map(|(axis, Axis { parameters, .. })| {
                    let index = parameters.iter().find(|index| outline.parameters[**index].path == *path)?;
                    Some((axis, &outline.parameters[*index].values))
                });
                match swept {
                    None => possible &= fixed(outline, path) == Some(value.clone()),
                    Some((axis, values)) => {
                        let steps = values.iter().map(|(own, _)| own == value);
                        match conditions.iter_mut().find(|(known, _)| *known == axis) {
                            Some((_, known)) => {
                                known.iter_mut().zip(steps).for_each(|(all, one)| *all &= one);
                            }
                            None => conditions.push((axis, steps.collect())),
                        }
                    }
                }
            }
            // Entries are looked up by the condition that matches the smallest share of the grid, so that a long list
            // of entries costs little at most points.
            conditions.sort_by_key(|(_, steps)| {
                steps.iter().filter(|matches| **matches).count() * 1_000_000 / steps.len()
            });
            if possible {
                match conditions.first() {
                    None => excludes.everywhere.push(number),
                    Some((axis, steps)) => {
                        for (bucket, _) in
                            excludes.by_step[*axis].iter_mut().zip(steps).filter(|(_, matches)| **matches)
                        {
                            bucket.push(number);
                        }
                    }
                }
            }
            excludes.entries.push(Entry { span: point.span, conditions, used: false });
        }
        excludes
    }

    /// Whether the point is excluded. Remembers which entries matched.
    pub(crate) fn contain(&mut self, at: &[usize]) -> bool {
        let buckets = self.by_step.iter().zip(at).map(|(steps, step)| &steps[*step]);
        let mut excluded = false;
        for number in buckets.chain([&self.everywhere]).flatten() {
            let entry = &mut self.entries[*number];
            if entry.conditions.iter().all(|(axis, steps)| steps[at[*axis]]) {
                entry.used = true;
                excluded = true;
            }
        }
        excluded
    }

    /// Warns of each entry that matches no point.
    pub(crate) fn warn_of_unused(&self, problems: &mut Problems<'_>) {
        for entry in self.entries.iter().filter(|entry| !entry.used) {
            problems
                .warning(entry.span, "this entry of `exclude` matches no point of the grid")
                .help("all of its values must be those of one point");
        }
    }
}

/// The value of a setting that is not swept, which is the same in the whole grid.
fn fixed(outline: &Outline, path: &str) -> Option<Value> {
    let default = || schema::field(path).and_then(|field| field.default).map(schema::Preset::value);
    outline.base.get(path).cloned().or_else(default)
}
