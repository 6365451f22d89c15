//! Reads a sweep file key by key, and checks the type of each value, before the grid is expanded.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde_json::Value;

use super::{
    baselines,
    definition::{CheckpointSettings, Kept, ReportSettings, RetrySettings, ScheduleSettings},
    diagnostic::{Problems, Span},
    mentions::Mentions,
    own,
    parameters::{self, Parameter},
    point::{Point, read_points},
    program::{self, Program},
    raw::{MapEntry, Node, Raw},
    replicates, report, scalar, sections,
    vocabulary::{SettingType, Vocabulary},
};
use crate::{
    id::SweepName,
    result::definitions,
    settings::{
        self, ProgramSettings, TaskSettings,
        schema::{self, FIELDS, Field},
    },
};

/// Keys of a sweep file besides the settings: name, allowed value, and default.
pub(super) const KEYS: &[(&str, &str)] = &[
    ("name", "name of the sweep; unique within a coordinator (required)"),
    ("description", "free text, ignored"),
    ("parameters", "setting -> value, list, {values: [...]} or {min, max, count, scale: linear|log}"),
    ("zip", "groups of parameters that move together instead of being combined"),
    ("include", "extra configurations: values on top of the settings of the file"),
    (
        "program",
        "a program of your own instead of a built-in network: {command, directory, environment, timeout, files, result, gpu, memory, threads, labels}, see docs/programs.md",
    ),
    ("settings", "the program's own settings that are the same in all configurations: name -> value"),
    ("exclude", "points of the grid that are left out: values that must all match"),
    ("seeds", "list of seeds, or {count, base} (default {count: 5, base: 0})"),
    (
        "report",
        "{metrics: [...], baseline: {...}, confidence: 0.95, better: {metric: lower|higher}, margin: DIFFERENCE that does not matter, or {metric: DIFFERENCE}, adjustment: simultaneous|none, choose_by: valid/accuracy, reference: FILE of published means, replicates: [PARAMETER averaged over like the seeds]}",
    ),
    ("retries", "{max_attempts: 3, initial_backoff: 5s, max_backoff: 5m}"),
    ("checkpoint", "{every_epochs: 5}: how often a checkpoint is written; 0 for never"),
    (
        "keep",
        "[predictions, weights]: files that each task keeps beside its checkpoints, for `colearn export` (default: none)",
    ),
    ("order", "by_seed (default): all configurations with one seed, then the next seed; or by_configuration"),
    (
        "priority",
        "sweeps with a higher priority come first, equal ones share evenly (default 0, -1000 to 1000)",
    ),
    ("max_concurrent_tasks", "maximum number of tasks that run at a time (default: no limit)"),
    (
        "stop_after_failures",
        "when this many tasks have failed, no other begins: they are cancelled (default: never)",
    ),
    ("max_tasks", "refuse a larger sweep (default 10000, at most 1000000)"),
];

/// The heading of the metrics.
const METRICS: &str = "
Metrics of the built-in networks, for report.metrics: truth y, prediction p; rint rounds half to even.
A plain name is of the test split, on the primary modality alone. `valid/` before it: of the validation split,
with the tested weights. `@a+b` after it: with the modalities a and b present.
";

/// The keys of a sweep file, the table of settings and the metrics, as text for people.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from("Keys of a sweep file:\n");
    for (key, doc) in KEYS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{key:20}  {doc}");
    }
    text.push_str("\nSettings, each of which can be a parameter:\n");
    text.push_str(&schema::reference());
    text.push_str(METRICS);
    text.push_str(&definitions::reference());
    text
}

/// The contents of a sweep file.
#[derive(Debug)]
pub(crate) struct Outline {
    pub(crate) name: Option<SweepName>,
    /// The settings outside of `parameters`.
    pub(crate) base: BTreeMap<String, Value>,
    /// The program, unless the sweep trains built-in networks.
    pub(crate) program: Option<Program>,
    /// The names of the program's own settings, in the order of the file.
    pub(crate) own_names: Vec<String>,
    pub(crate) parameters: Vec<Parameter>,
    /// Groups of indices into `parameters`.
    pub(crate) zip: Vec<Vec<usize>>,
    pub(crate) include: Vec<Point>,
    pub(crate) exclude: Vec<Point>,
    pub(crate) seeds: Vec<u64>,
    pub(crate) report: ReportSettings,
    pub(crate) baseline: Option<Point>,
    pub(crate) retries: RetrySettings,
    pub(crate) checkpoint: CheckpointSettings,
    pub(crate) keep: BTreeSet<Kept>,
    pub(crate) schedule: ScheduleSettings,
    pub(crate) max_tasks: u64,
    /// The positions of `parameters`, `exclude` and `max_tasks`; the beginning of the file if they are missing.
    pub(crate) parameters_span: Span,
    pub(crate) exclude_span: Span,
    /// The position of the first name in `report.replicates`.
    pub(crate) replicates_span: Span,
    pub(crate) max_tasks_span: Option<Span>,
    /// The positions where the dropout of a modality is 1.
    pub(crate) always_dropped: Vec<(String, Span)>,
    /// The values of settings that are checked against each other, with their positions.
    pub(crate) checked: Vec<(String, Value, Span)>,
}

/// The largest `max_tasks`.
pub(super) const MAX_TASKS: u64 = 1_000_000;

/// `max_tasks` without the key.
pub(super) const DEFAULT_MAX_TASKS: u64 = 10_000;

/// Reads the tree. Errors are added to `problems`, and invalid parts are left out.
pub(crate) fn read(root: &Node, problems: &mut Problems<'_>) -> Outline {
    let mut outline = Outline {
        name: None,
        base: BTreeMap::new(),
        program: None,
        own_names: Vec::new(),
        parameters: Vec::new(),
        zip: Vec::new(),
        include: Vec::new(),
        exclude: Vec::new(),
        seeds: (0..sections::DEFAULT_SEEDS).collect(),
        report: report::default_report(),
        baseline: None,
        retries: sections::default_retries(),
        checkpoint: CheckpointSettings::default(),
        keep: BTreeSet::new(),
        schedule: ScheduleSettings::default(),
        max_tasks: DEFAULT_MAX_TASKS,
        parameters_span: Span::default(),
        exclude_span: Span::default(),
        replicates_span: Span::default(),
        max_tasks_span: None,
        always_dropped: Vec::new(),
        checked: Vec::new(),
    };
    let entries = match &root.value {
        Raw::Map(entries) => entries.as_slice(),
        Raw::Null => &[],
        other => {
            let found = other.describe();
            problems.error(root.span, format!("a sweep file must be a mapping, found {found}"));
            return outline;
        }
    };
    let runs_program = entries.iter().any(|entry| entry.key == "program");
    let vocabulary = if runs_program { Vocabulary::Own } else { Vocabulary::Networks };
    let mut mentions = Mentions::default();
    for entry in entries {
        outline.read_key(entry, vocabulary, &mut mentions, problems);
    }
    // Groups name parameters, which may come later in the file.
    if let Some(zip) = entries.iter().find(|entry| entry.key == "zip") {
        outline.zip = parameters::read_zip(&zip.value, &outline.parameters, problems);
    }
    parameters::refuse_duplicates(&outline.parameters, &outline.zip, problems);
    for parameter in &outline.parameters {
        mentions.setting(parameter.kind, &parameter.path, parameter.span);
        for (value, span) in &parameter.values {
            mentions.value(parameter.kind, &parameter.path, value, *span);
        }
    }
    replicates::check(&mut outline, mentions.replicates(), problems);
    let required =
        FIELDS.iter().filter(|field| !runs_program && field.default.is_none()).map(|field| field.path);
    for key in std::iter::once("name").chain(required) {
        if !entries.iter().any(|entry| entry.key == key) {
            problems.error(Span::default(), format!("`{key}` is missing")).help(format!("add `{key}: ...`"));
        }
    }
    if runs_program {
        own::check(&mut outline, &mentions, problems);
    } else {
        mentions.check(problems);
        outline.report.metrics = mentions.shown_metrics(outline.report.metrics, problems);
    }
    if let (Some(margin), Some(first)) = (outline.report.margin.remove(""), outline.report.metrics.first()) {
        outline.report.margin.insert(first.clone(), margin);
    }
    outline.report.matched = baselines::are_matched(&outline);
    outline.always_dropped = mentions.always_dropped;
    outline.checked = mentions.checked;
    outline
}

impl Outline {
    /// The settings with these values, which the file was checked to have. All others have their defaults.
    pub(crate) fn settings(&self, values: &BTreeMap<String, Value>) -> TaskSettings {
        let Some(program) = &self.program else { return TaskSettings::Network(settings::resolve(values)) };
        let parameter = |name: &String| Some(settings::Parameter(name.clone(), values.get(name)?.clone()));
        TaskSettings::Program(ProgramSettings {
            parameters: self.own_names.iter().filter_map(parameter).collect(),
            metrics: self.report.metrics.clone(),
            ..program.settings.clone()
        })
    }

    fn own_name(&mut self, name: &str) {
        if !self.own_names.iter().any(|own| own == name) {
            self.own_names.push(name.to_owned());
        }
    }

    fn read_key(
        &mut self,
        entry: &MapEntry,
        vocabulary: Vocabulary,
        mentions: &mut Mentions,
        problems: &mut Problems<'_>,
    ) {
        let node = &entry.value;
        match entry.key.as_str() {
            "name" => self.name = read_name(node, problems),
            "description" => {
                scalar::text(node, "description", problems);
            }
            "parameters" => {
                self.parameters_span = entry.key_span;
                self.parameters = parameters::read(node, vocabulary, problems);
                for path in self.parameters.iter().map(|parameter| parameter.path.clone()).collect::<Vec<_>>()
                {
                    self.own_name(&path);
                }
            }
            // Read after all parameters are known.
            "zip" => {}
            "include" => self.include = read_points(entry, vocabulary, mentions, problems),
            "exclude" => {
                self.exclude_span = entry.key_span;
                // Excluded values are not used, so they do not count as mentions.
                self.exclude = read_points(entry, vocabulary, &mut Mentions::default(), problems);
                for point in self.exclude.iter().filter(|point| point.values.is_empty()) {
                    problems
                        .error(point.span, "an entry of `exclude` without values would match every point");
                }
            }
            "seeds" => self.seeds = sections::read_seeds(node, problems).unwrap_or_default(),
            "report" => {
                (self.report, self.baseline) = report::read_report(node, vocabulary, mentions, problems);
            }
            "retries" => self.retries = sections::read_retries(node, problems),
            "checkpoint" if vocabulary == Vocabulary::Own => {
                problems
                    .error(entry.key_span, "`checkpoint` is for the built-in networks")
                    .help("a program writes its checkpoints itself, into the folder `${checkpoint_dir}`");
            }
            "checkpoint" => self.checkpoint = sections::read_checkpoint(node, problems),
            "keep" if vocabulary == Vocabulary::Own => {
                problems
                    .error(entry.key_span, "`keep` is for the built-in networks")
                    .help("a program writes the files that are to stay itself, to a place outside `${checkpoint_dir}`");
            }
            "keep" => self.keep = sections::read_keep(node, problems),
            "order" => self.schedule.order = sections::read_order(node, problems),
            "priority" => self.schedule.priority = sections::read_priority(node, problems),
            "max_concurrent_tasks" => {
                let what = "`max_concurrent_tasks`";
                let most = scalar::integer(node, what, 1, MAX_TASKS, problems);
                self.schedule.max_concurrent_tasks = most.and_then(|most| u32::try_from(most).ok());
            }
            "stop_after_failures" => {
                let what = "`stop_after_failures`";
                let most = scalar::integer(node, what, 1, MAX_TASKS, problems);
                self.schedule.stop_after_failures = most.and_then(|most| u32::try_from(most).ok());
            }
            "max_tasks" => {
                self.max_tasks_span = Some(node.span);
                self.max_tasks =
                    scalar::integer(node, "`max_tasks`", 1, MAX_TASKS, problems).unwrap_or(MAX_TASKS);
            }
            "program" => self.program = program::read(entry, problems),
            "settings" if vocabulary == Vocabulary::Own => {
                for (name, value) in program::read_settings(node, problems) {
                    self.own_name(&name);
                    self.base.insert(name, value);
                }
            }
            "settings" => {
                problems.error(entry.key_span, "`settings` is for the settings of a program of your own").help(
                    "those of the built-in networks stand at the top: `training: {...}`; see `colearn settings`",
                );
            }
            key if vocabulary == Vocabulary::Own => {
                let of_networks =
                    schema::field(key).is_some() || FIELDS.iter().any(|field| field.section() == Some(key));
                if of_networks {
                    problems
                        .error(entry.key_span, format!("`{key}` is a setting of the built-in networks, but this sweep runs a program"))
                        .help("the program's own settings are in `settings`, or in `parameters` if they are swept");
                } else {
                    let known: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
                    scalar::unknown_key(entry, "", &known, problems);
                }
            }
            key => match schema::field(key) {
                Some(field) if field.section().is_none() => {
                    self.read_setting(field, key, entry, mentions, problems);
                }
                Some(_) => {
                    let nested = key.replacen('.', ": {", 1);
                    problems
                        .error(entry.key_span, format!("there is no key `{key}`"))
                        .help(format!("dotted paths are for `parameters`; here write `{nested}: ...}}`"));
                }
                None if FIELDS.iter().any(|field| field.section() == Some(key)) => {
                    self.read_section(&entry.key, &entry.value, mentions, problems);
                }
                None if let Some((section, name)) = in_a_section(key) => {
                    problems
                        .error(entry.key_span, format!("there is no key `{key}`"))
                        .help(format!("write it in its section: `{section}: {{{name}: ...}}`"));
                }
                None => {
                    let mut known: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
                    known.extend(FIELDS.iter().map(|field| field.section().unwrap_or(field.path)));
                    let mut seen = BTreeSet::new();
                    known.retain(|key| seen.insert(*key));
                    scalar::unknown_key(entry, "", &known, problems);
                }
            },
        }
    }

    /// Reads `model`, `training`, `modality_dropout`, or the per-modality settings within one of them.
    fn read_section(
        &mut self,
        name: &str,
        node: &Node,
        mentions: &mut Mentions,
        problems: &mut Problems<'_>,
    ) {
        let Some(entries) = scalar::map(node, name, problems) else { return };
        for entry in entries {
            let path = format!("{name}.{}", entry.key);
            match schema::field(&path) {
                _ if matches!(entry.value.value, Raw::Map(_)) && is_by_modality(&path) => {
                    self.read_section(&path, &entry.value, mentions, problems);
                }
                Some(field) => self.read_setting(field, &path, entry, mentions, problems),
                None if is_by_modality(name) => {
                    scalar::path_field(&path, entry.key_span, problems);
                }
                None => {
                    let known: Vec<_> = FIELDS
                        .iter()
                        .filter_map(|field| field.path.strip_prefix(name)?.strip_prefix('.'))
                        .filter(|name| !name.contains('.'))
                        .collect();
                    scalar::unknown_key(entry, name, &known, problems);
                }
            }
        }
    }

    fn read_setting(
        &mut self,
        field: &'static Field,
        path: &str,
        entry: &MapEntry,
        mentions: &mut Mentions,
        problems: &mut Problems<'_>,
    ) {
        let kind = SettingType::Field(field);
        mentions.setting(kind, path, entry.key_span);
        if let Some(value) = kind.read(path, &entry.value, problems) {
            mentions.value(kind, path, &value, entry.value.span);
            self.base.insert(path.to_owned(), value);
        }
    }
}

/// Whether the settings of this path are given per modality.
fn is_by_modality(path: &str) -> bool {
    FIELDS
        .iter()
        .any(|field| field.by_modality().is_some_and(|prefix| prefix.strip_suffix('.') == Some(path)))
}

/// The section and name of the setting that has this name within its section.
fn in_a_section(name: &str) -> Option<(&'static str, &'static str)> {
    FIELDS.iter().filter_map(|field| field.path.split_once('.')).find(|(_, own)| *own == name)
}

fn read_name(node: &Node, problems: &mut Problems<'_>) -> Option<SweepName> {
    let text = scalar::text(node, "name", problems)?;
    SweepName::new(text).map_err(|error| problems.error(node.span, error.to_string())).ok()
}
