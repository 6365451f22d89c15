//! The plan of a sweep file, for people to check before they run it.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt,
};

use serde::Serialize;
use serde_json::Value;

use super::{
    definition::{CheckpointSettings, Kept, ReportSettings, RetrySettings, ScheduleSettings, Sweep},
    draws::PlannedDraws,
    parse::Parsed,
};
use crate::{
    id::{ConfigurationId, SweepId, SweepName, TaskId},
    names::Names,
    needs::Needs,
    result::Direction,
    settings::{
        DataShape,
        placeholders::{PlaceholderValues, shell_quoted},
        schema::{FIELDS, Field},
    },
    text::{bytes, counted},
};

/// The plan of a sweep file. `Display` is for people, `Serialize` for scripts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The sweep's name.
    pub name: SweepName,
    /// Number of configurations.
    pub configurations: usize,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// Number of tasks: configurations times seeds.
    pub tasks: u64,
    /// The words of the first task's command, if the sweep runs a program. `${checkpoint_dir}` stays as it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub first_command: Vec<String>,
    /// What each task needs of a slot.
    pub needs: Needs,
    /// Number of groups of configurations that cannot be trained in one cohort with those of another group.
    pub cohorts: usize,
    /// The swept settings, in the order of the file.
    pub parameters: Vec<PlannedParameter>,
    /// All settings with the value of the file or the default, in the order of the table.
    pub settings: Vec<PlannedSetting>,
    /// What the draws of modality dropout mean.
    pub draws: PlannedDraws,
    /// The rows of the table, if `report.replicates` makes several configurations one row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<PlannedRows>,
    /// The first configurations, in order.
    pub first: Vec<PlannedConfiguration>,
    /// The baseline, if there is one.
    pub baseline: Option<ConfigurationId>,
    /// Its name.
    pub baseline_name: Option<String>,
    /// Settings for reports.
    pub report: ReportSettings,
    /// Settings for repeating failed attempts.
    pub retries: RetrySettings,
    /// Settings for checkpoints.
    pub checkpoint: CheckpointSettings,
    /// The files that each task keeps.
    pub keep: BTreeSet<Kept>,
    /// Order and priority of the tasks.
    pub schedule: ScheduleSettings,
}

/// A swept setting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlannedParameter {
    /// Its dotted path.
    pub path: String,
    /// Its values, in the order of their first occurrence.
    pub values: Vec<Value>,
}

/// A setting before the grid is expanded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlannedSetting {
    /// Its dotted path.
    pub path: String,
    /// Its value outside of `parameters` and `include`; for a swept setting, the value that `include` entries start
    /// from.
    pub value: Value,
    /// The origin of the value.
    pub decided: Decided,
}

/// The rows of a table that averages over configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedRows {
    /// Number of rows.
    pub count: usize,
    /// The fewest configurations of a row.
    pub fewest: usize,
    /// The most configurations of a row.
    pub most: usize,
    /// Replicates of the rows with the most configurations: configurations times seeds.
    pub replicates: usize,
}

impl PlannedRows {
    fn of(sweep: &Sweep) -> Option<Self> {
        if sweep.report.replicates.is_empty() {
            return None;
        }
        let sizes: Vec<usize> = sweep.rows().iter().map(Vec::len).collect();
        let (fewest, most) = (sizes.iter().min().copied()?, sizes.iter().max().copied()?);
        Some(Self { count: sizes.len(), fewest, most, replicates: most * sweep.seeds.len() })
    }

    /// As text for people, given the names of the replicates and the number of seeds.
    fn describe(&self, names: &[String], seeds: usize) -> String {
        let Self { count, fewest, most, replicates } = *self;
        let of = format!(
            "{} of {} x {} = {}",
            counted(most as u64, "value"),
            names.join(" and "),
            counted(seeds as u64, "seed"),
            counted(replicates as u64, "replicate")
        );
        let rows = counted(count as u64, "row");
        match fewest == most {
            true => format!("the table has {rows}, each with {of}"),
            false => {
                format!("the table has {rows}, the largest with {of}, the smallest with {}", fewest * seeds)
            }
        }
    }
}

/// The origin of a setting's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decided {
    /// The default.
    Default,
    /// The file.
    Set,
    /// The grid: the setting is a parameter.
    Swept,
}

/// A configuration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlannedConfiguration {
    /// Its identifier.
    pub id: ConfigurationId,
    /// Its name, as in tables, logs and arguments.
    pub name: String,
    /// The values that distinguish it.
    pub values: BTreeMap<String, Value>,
    /// Whether the other configurations are compared with this one.
    pub baseline: bool,
}

impl Plan {
    /// The plan of a sweep, with its first `shown` configurations.
    #[must_use]
    pub fn of(parsed: &Parsed, shown: usize) -> Self {
        let sweep = &parsed.sweep;
        let parameters = sweep.parameters.iter().map(|path| {
            let mut seen = HashSet::new();
            let values =
                sweep.configurations.iter().filter_map(|configuration| configuration.values.get(path));
            PlannedParameter {
                path: path.clone(),
                values: values.filter(|value| seen.insert(*value)).cloned().collect(),
            }
        });
        let cohorts: BTreeSet<_> =
            sweep.configurations.iter().map(|configuration| configuration.cohort_key).collect();
        let names = Names::of(sweep);
        let baseline = sweep.configurations.iter().find(|configuration| configuration.baseline);
        let first = sweep.configurations.iter().take(shown).map(|configuration| PlannedConfiguration {
            id: configuration.id,
            name: names.name(configuration),
            values: (*configuration.values).clone(),
            baseline: configuration.baseline,
        });
        Self {
            name: sweep.name.clone(),
            configurations: sweep.configurations.len(),
            seeds: sweep.seeds.clone(),
            tasks: sweep.task_count(),
            first_command: first_command(sweep),
            needs: sweep.needs.clone(),
            cohorts: cohorts.len(),
            parameters: parameters.collect(),
            settings: planned_settings(parsed),
            draws: PlannedDraws::of(sweep, &BTreeMap::new()),
            rows: PlannedRows::of(sweep),
            first: first.collect(),
            baseline: baseline.map(|it| it.id),
            baseline_name: baseline.map(|it| names.name(it)),
            report: sweep.report.clone(),
            retries: sweep.retries.clone(),
            checkpoint: sweep.checkpoint,
            keep: sweep.keep.clone(),
            schedule: sweep.schedule,
        }
    }
}

impl Plan {
    /// The same plan with the draws of the modalities that these data sets have, by name.
    #[must_use]
    pub fn with_data(self, sweep: &Sweep, shapes: &BTreeMap<String, DataShape>) -> Self {
        Self { draws: PlannedDraws::of(sweep, shapes), ..self }
    }
}

/// The first task's command, as far as it is known before the sweep has a number.
fn first_command(sweep: &Sweep) -> Vec<String> {
    let (Some(first), Some(seed)) = (sweep.configurations.first(), sweep.seeds.first()) else {
        return Vec::new();
    };
    let Some(program) = first.settings.program() else { return Vec::new() };
    let values = PlaceholderValues {
        parameters: &program.parameters,
        task: TaskId { sweep: SweepId(1), configuration: first.id, seed: *seed },
        attempt: 1,
        checkpoint_dir: "${checkpoint_dir}",
    };
    program.command.iter().flat_map(|word| values.word(word).unwrap_or_else(|_| vec![word.clone()])).collect()
}

fn planned_settings(parsed: &Parsed) -> Vec<PlannedSetting> {
    let flat = parsed.base.flat();
    let swept = &parsed.sweep.parameters;
    if parsed.base.program().is_some() {
        // Programs have no defaults that are known here.
        let fixed = flat.into_iter().filter(|(path, _)| !swept.contains(path));
        return fixed.map(|(path, value)| PlannedSetting { path, value, decided: Decided::Set }).collect();
    }
    let named = flat.keys().chain(parsed.set.keys()).chain(swept).map(String::as_str);
    let named: BTreeSet<_> = named.collect();
    let paths = |field: &'static Field| -> Vec<&str> {
        match field.by_modality() {
            Some(prefix) => named.iter().copied().filter(|path| path.starts_with(prefix)).collect(),
            None => Vec::from_iter(flat.contains_key(field.path).then_some(field.path)),
        }
    };
    FIELDS
        .iter()
        .flat_map(|field| paths(field).into_iter().map(move |path| (field, path)))
        .map(|(field, path)| PlannedSetting {
            path: path.to_owned(),
            // What is set is shown as it was set: it may have no effect without the parameters. A named setting that
            // is missing has the default or has no effect.
            value: parsed
                .set
                .get(path)
                .or_else(|| flat.get(path))
                .cloned()
                .or_else(|| Some(field.default?.value()))
                .unwrap_or_default(),
            decided: if swept.iter().any(|parameter| parameter == path) {
                Decided::Swept
            } else if parsed.set.contains_key(path) {
                Decided::Set
            } else {
                Decided::Default
            },
        })
        .collect()
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, configurations, tasks, cohorts, .. } = self;
        let seeds = self.seeds.len();
        writeln!(
            f,
            "sweep {name}: {} x {} = {}",
            counted(*configurations as u64, "configuration"),
            counted(seeds as u64, "seed"),
            counted(*tasks, "task")
        )?;
        if let Some(rows) = &self.rows {
            writeln!(f, "{}", rows.describe(&self.report.replicates, seeds))?;
        }
        writeln!(f, "seeds: {}", some(self.seeds.iter().map(u64::to_string), 20))?;
        if let [program, arguments @ ..] = self.first_command.as_slice() {
            let words = std::iter::once(program).chain(arguments).map(|word| shell_quoted(word));
            writeln!(f, "first task: {}", words.collect::<Vec<_>>().join(" "))?;
        } else if *cohorts == 1 {
            writeln!(f, "all configurations can be trained in one cohort")?;
        } else {
            writeln!(f, "{cohorts} groups of configurations, each of which can be trained in one cohort")?;
        }

        if !self.parameters.is_empty() {
            writeln!(f, "\nparameters:")?;
            let widest = width(self.parameters.iter().map(|parameter| parameter.path.as_str()));
            for PlannedParameter { path, values } in &self.parameters {
                writeln!(f, "  {path:widest$}  {}", some(values.iter().map(text), 20))?;
            }
        }

        writeln!(f, "\nsettings:")?;
        let widest = width(self.settings.iter().map(|setting| setting.path.as_str()));
        for PlannedSetting { path, value, decided } in &self.settings {
            match decided {
                Decided::Default => writeln!(f, "  {path:widest$}  {} (default)", text(value))?,
                Decided::Set => writeln!(f, "  {path:widest$}  {} (set)", text(value))?,
                Decided::Swept => writeln!(f, "  {path:widest$}  (swept)")?,
            }
        }

        if !self.draws.0.is_empty() {
            write!(f, "\n{}", self.draws)?;
        }

        writeln!(f, "\nconfigurations:")?;
        for PlannedConfiguration { name, baseline, .. } in &self.first {
            writeln!(f, "  {name}{}", if *baseline { "  (baseline)" } else { "" })?;
        }
        if configurations > &self.first.len() {
            writeln!(f, "  ... and {} more", configurations - self.first.len())?;
            let is_shown = self.first.iter().any(|shown| Some(shown.id) == self.baseline);
            if let Some(name) = self.baseline_name.as_ref().filter(|_| !is_shown) {
                writeln!(f, "  the baseline is {name}")?;
            }
        }

        let directed = |name: &String| {
            let direction = Direction::of(name, &self.report.better);
            format!("{name} ({} is better)", direction.as_str())
        };
        // Those of the built-in metrics are known.
        let metrics: Vec<String> = match self.first_command.as_slice() {
            [] => self.report.metrics.clone(),
            _ => self.report.metrics.iter().map(directed).collect(),
        };
        writeln!(f, "\nreport: {}, intervals at {} confidence", metrics.join(", "), self.report.confidence)?;
        let RetrySettings { max_attempts, initial_backoff, max_backoff } = &self.retries;
        writeln!(
            f,
            "retries: {} in all, waiting {initial_backoff:?} to {max_backoff:?} between them",
            counted(u64::from(*max_attempts), "attempt")
        )?;
        match self.checkpoint.every_epochs {
            _ if !self.first_command.is_empty() => {
                writeln!(f, "checkpoints: by the program, in ${{checkpoint_dir}}")?;
            }
            0 => writeln!(f, "checkpoints: none")?,
            epochs => writeln!(f, "checkpoints: every {}", counted(u64::from(epochs), "epoch"))?,
        }
        if !self.keep.is_empty() {
            let words: Vec<&str> = self.keep.iter().map(|kept| kept.as_str()).collect();
            writeln!(f, "keeps: {} of each task", words.join(" and "))?;
        }
        if let Some(needs) = needs_text(&self.needs) {
            writeln!(f, "needs: a slot with {needs}")?;
        }
        let ScheduleSettings { order, priority, max_concurrent_tasks, stop_after_failures } = &self.schedule;
        write!(f, "order: {}, priority {priority}", order.as_str())?;
        if let Some(most) = max_concurrent_tasks {
            write!(f, ", at most {} at a time", counted(u64::from(*most), "task"))?;
        }
        match stop_after_failures {
            Some(most) => write!(f, ", stops after {}", counted(u64::from(*most), "failed task")),
            None => Ok(()),
        }
    }
}

/// What a task needs of a slot, for people; `None` if any slot will do.
fn needs_text(needs: &Needs) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    parts.extend(needs.gpu.then(|| "a GPU".to_owned()));
    parts.extend((needs.memory > 0).then(|| format!("{} of memory", bytes(needs.memory))));
    parts.extend((needs.threads > 0).then(|| counted(u64::from(needs.threads), "thread")));
    parts.extend(needs.labels.iter().map(|label| format!("the label `{label}`")));
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn width<'t>(texts: impl Iterator<Item = &'t str>) -> usize {
    texts.map(str::len).max().unwrap_or(0)
}

/// The first items of a list, and how many more there are.
fn some(items: impl ExactSizeIterator<Item = String>, shown: usize) -> String {
    let more = items.len().saturating_sub(shown);
    let mut text = items.take(shown).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(", ... and {more} more"));
    }
    text
}

/// A value as text for people.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64() {
            Some(value) if number.is_f64() && value != 0.0 && value.abs() < 1e-4 => format!("{value:e}"),
            Some(value) if number.is_f64() => value.to_string(),
            _ => number.to_string(),
        },
        value => value.to_string(),
    }
}
