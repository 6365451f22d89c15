//! What is shown of results that are too many for a person.

use colearn_core::{
    table::{ConfigurationRow, ResultsTable, TaskOutcome},
    text::counted_len,
};
use colearn_report::{Leading, Material, Records, leading};

/// Tables of more configurations are shown in part.
const MAX_ROWS: usize = 100;
/// The number of configurations that are shown of such a table.
const SHOWN: usize = 40;
/// About the number of records that are shown of such a table.
const RECORDS: usize = 200;

/// The rows of a table that are shown to a person.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    /// Their positions; `None` for all.
    rows: Option<Vec<usize>>,
    /// How many are not shown, and how to see them; empty if none are left out.
    pub(crate) note: String,
}

impl Shown {
    /// All rows of a table from which `hidden` rows were removed.
    pub(crate) fn without(hidden: usize) -> Self {
        let note = if hidden > 0 { not_shown(hidden) } else { String::new() };
        Self { rows: None, note }
    }

    /// The first rows of a table, if there are many; `see_all` is the command that shows all.
    pub(crate) fn first(table: &ResultsTable, sorted: bool, see_all: &str) -> Self {
        Self::of(table, SHOWN, sorted, see_all)
    }

    fn of(table: &ResultsTable, most: usize, sorted: bool, see_all: &str) -> Self {
        let all = table.configurations.len();
        if all <= MAX_ROWS {
            return Self::default();
        }
        let Leading { rows, what } = leading(table, most, sorted);
        let note = format!(
            "{} not shown; these are {what}. See all with: {see_all}",
            counted_len(all - rows.len(), "more configuration")
        );
        Self { rows: Some(rows), note }
    }

    /// Removes rows from a table whose records are shown, if there are many.
    pub(crate) fn shorten(
        table: &mut ResultsTable,
        material: &Material,
        records: Records,
        sorted: bool,
        see_all: &str,
    ) -> Self {
        let most = (RECORDS / records_of_a_row(table, material, records).max(1)).clamp(1, SHOWN);
        let Self { rows, note } = Self::of(table, most, sorted, see_all);
        if let Some(rows) = rows {
            let mut all: Vec<Option<_>> = table.configurations.drain(..).map(Some).collect();
            let kept = rows.into_iter().filter_map(|at| all.get_mut(at)?.take());
            table.configurations = kept.collect();
        }
        Self { rows: None, note }
    }

    /// Those of a list with an item for each row of the table, and after these the others of the list, but not more
    /// than of the rows.
    pub(crate) fn pick<T>(&self, items: Vec<T>, of_rows: usize) -> Vec<T> {
        let Some(rows) = &self.rows else { return items };
        let mut items: Vec<Option<T>> = items.into_iter().map(Some).collect();
        let others = of_rows..items.len().min(of_rows + SHOWN);
        rows.iter().copied().chain(others).filter_map(|at| items.get_mut(at)?.take()).collect()
    }
}

/// The number of records of the first row with a result.
fn records_of_a_row(table: &ResultsTable, material: &Material, records: Records) -> usize {
    let results = |row: &ConfigurationRow| {
        let first = material.sweep.seeds.first()?;
        match material.outcomes.get(&(row.id, *first))? {
            TaskOutcome::Done(result) => Some((result, row.expected)),
            TaskOutcome::Failed(_) | TaskOutcome::Cancelled => None,
        }
    };
    let Some((result, expected)) = table.configurations.iter().find_map(results) else { return 1 };
    let of_result = match records {
        Records::Metrics => result.metrics.len(),
        Records::Epochs => result.history.iter().map(|epoch| epoch.values.len()).sum(),
    };
    expected * of_result
}

/// The note about the rows that `--top` leaves out.
pub(crate) fn not_shown(rows: usize) -> String {
    format!("{} not shown; leave out --top to see all", counted_len(rows, "more configuration"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use colearn_core::{
        result::{EpochRecord, TaskResult},
        sweep::Sweep,
    };
    use colearn_report::Provenance;

    use super::*;

    const SEE_ALL: &str = "colearn results big --all";

    /// A finished sweep with this number of configurations, the last of which is the best on validation, and a baseline.
    fn material(configurations: usize) -> Material {
        let source = format!(
            "name: big\ndataset: d\nprimary: language\nseeds: {{count: 2}}\n\
             parameters: {{modality_dropout.audio: {{min: 0, max: 0.9, count: {configurations}}}}}\n\
             include: [{{unimodal: true}}]\nreport: {{baseline: {{unimodal: true}}, metrics: [accuracy]}}\n"
        );
        let sweep = Sweep::parse(&source, "big.yaml").unwrap_or_else(|errors| panic!("{errors}")).sweep;
        let mut outcomes = HashMap::new();
        for (index, configuration) in sweep.configurations.iter().enumerate() {
            for seed in &sweep.seeds {
                let share = index as f64 / 1000.0;
                let share = if configuration.baseline { 0.0 } else { share };
                let metrics = ["accuracy", "valid/accuracy"].map(|name| (name.to_owned(), share));
                let history = (1..=5).map(|epoch| EpochRecord::of_network(epoch, 1.0, 1.0, 0.5)).collect();
                let result =
                    TaskResult { metrics: metrics.into_iter().collect(), history, ..TaskResult::default() };
                outcomes.insert((configuration.id, *seed), TaskOutcome::Done(result));
            }
        }
        let (failures, provenance) = (Vec::new(), Provenance::default());
        Material { sweep, outcomes, failures, reference: None, provenance }
    }

    #[test]
    fn a_long_table_shows_the_best_and_the_baseline_and_says_so() {
        let table = material(150).table();
        let shown = Shown::first(&table, false, SEE_ALL);
        let items: Vec<usize> = (0..table.configurations.len()).collect();
        let picked = shown.pick(items.clone(), items.len());
        let baseline = table.configurations.iter().position(|row| row.baseline).unwrap();
        let mut best: Vec<usize> = (0..150).rev().take(SHOWN).collect();
        best.push(baseline);
        assert_eq!(picked, best);
        assert_eq!(
            shown.note,
            "110 more configurations not shown; these are the 40 best by valid/accuracy, and the baseline. See all \
             with: colearn results big --all"
        );
        // In an order that somebody asked for, the first.
        let sorted = Shown::first(&table, true, SEE_ALL).pick(items.clone(), items.len());
        assert_eq!(sorted[..SHOWN], items[..SHOWN]);
        // What is chosen stands below.
        let mut with_chosen = items.clone();
        with_chosen.push(1000);
        assert_eq!(shown.pick(with_chosen, items.len()).last(), Some(&1000));
        let small = material(99).table();
        let shown = Shown::first(&small, false, SEE_ALL);
        assert_eq!((shown.pick(vec![1, 2, 3], 100), shown.note.as_str()), (vec![1, 2, 3], ""));
    }

    #[test]
    fn of_records_those_of_a_few_configurations_are_shown() {
        let material = material(150);
        for (records, rows) in [(Records::Metrics, 40 + 1), (Records::Epochs, 200 / 30 + 1)] {
            let mut table = material.table();
            let shown = Shown::shorten(&mut table, &material, records, false, SEE_ALL);
            assert_eq!(table.configurations.len(), rows, "{}", shown.note);
            assert!(shown.note.starts_with(&format!("{} more configurations not shown; ", 151 - rows)));
            assert!(table.configurations.iter().any(|row| row.baseline));
        }
    }
}
