//! The text of table cells, for every output format.

use std::{collections::BTreeSet, fmt::Write as _};

use colearn_core::{
    id::ConfigurationId,
    result::metric,
    table::{ConfigurationRow, Member, Replicate, ResultsTable, RowState},
    text::{counted_len, one_line},
};
use serde_json::Value;

use crate::{choice, meaning, numbers::Numbers, verdicts};

/// The columns that distinguish configurations: the swept paths, then the settings that `include` adds.
#[must_use]
pub fn setting_columns(table: &ResultsTable) -> Vec<String> {
    let mut columns = table.parameters.clone();
    for row in &table.configurations {
        for path in row.values.keys() {
            if !columns.contains(path) {
                columns.push(path.clone());
            }
        }
    }
    columns
}

/// The columns of files that are no settings and no metrics.
pub(crate) const FIXED_COLUMNS: [&str; 7] = ["id", "name", "baseline", "n", "expected", "state", "warning"];

/// The name of a setting's column in a file. A parameter of a program may have the name of another column, such as `n`
/// or `loss_mean`; then `parameter.` precedes it.
pub(crate) fn file_column(path: &str, metrics: &[String]) -> String {
    let of_metric =
        |metric: &String| path.strip_prefix(metric.as_str()).is_some_and(|rest| rest.starts_with('_'));
    if FIXED_COLUMNS.contains(&path) || metrics.iter().any(of_metric) {
        format!("parameter.{path}")
    } else {
        path.to_owned()
    }
}

/// The shown metrics, then the other metrics of the results.
pub(crate) fn all_metrics(table: &ResultsTable) -> Vec<String> {
    let mut names = table.metrics.clone();
    for row in &table.configurations {
        for name in row.metrics.keys() {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    names
}

/// A metric's name for people: `accuracy`, `accuracy (language + audio)` for `accuracy@language+audio` of a network.
#[must_use]
pub fn metric_heading(table: &ResultsTable, name: &str) -> String {
    if !table.is_of_networks() {
        return one_line(name);
    }
    match metric::split(name) {
        (plain, None) => plain.to_owned(),
        (plain, Some(modalities)) => format!("{plain} ({})", modalities.replace('+', " + ")),
    }
}

/// A value as text for people.
pub(crate) fn value(value: &Value) -> String {
    match value {
        Value::String(text) => one_line(text),
        value => one_line(&value.to_string()),
    }
}

pub(crate) fn setting(row: &ConfigurationRow, path: &str) -> String {
    row.values.get(path).map_or_else(|| "-".to_owned(), value)
}

/// The name of a row in charts: `audio=0.9 video=0.9`, `unimodal`.
pub(crate) fn label(row: &ConfigurationRow) -> String {
    row.name.clone()
}

/// `4 of 5`, or `5`.
pub(crate) fn count(row: &ConfigurationRow) -> String {
    if row.n == row.expected { row.n.to_string() } else { format!("{} of {}", row.n, row.expected) }
}

/// A p-value with three decimals.
pub(crate) fn p_value(p: Option<f64>) -> String {
    match p {
        None => "-".to_owned(),
        Some(p) if p < 0.001 => "<0.001".to_owned(),
        Some(p) => format!("{p:.3}"),
    }
}

/// Remarks about a row. "baseline" appears here only if no other column says so.
pub(crate) fn note(row: &ConfigurationRow, baseline: bool) -> String {
    let mut notes = Vec::new();
    if row.baseline && baseline {
        notes.push("baseline".to_owned());
    }
    // For a row without results the reasons below are enough.
    if row.state == RowState::Partial {
        notes.push(row.state.as_str().to_owned());
    }
    let mut reasons: Vec<&str> = row.failed_seeds.values().map(|reason| reason.as_str()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    if !reasons.is_empty() {
        notes.push(format!("{} failed: {}", row.failed_seeds.len(), reasons.join(", ")));
    }
    if !row.cancelled_seeds.is_empty() {
        notes.push(format!("{} cancelled: {}", row.cancelled_seeds.len(), named_seeds(&row.cancelled_seeds)));
    }
    notes.join("; ")
}

/// The first of some replicates by name: `seeds 1, 3`.
fn named_seeds(replicates: &BTreeSet<Replicate>) -> String {
    const NAMED: usize = 5;
    let names: Vec<String> = replicates.iter().take(NAMED).map(ToString::to_string).collect();
    let more = replicates.len() - names.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    // The text of a replicate of several configurations says which seed it is.
    let plain = replicates.iter().all(|replicate| replicate.of.is_empty());
    let noun = match (plain, replicates.len()) {
        (false, _) => "",
        (true, 1) => "seed ",
        (true, _) => "seeds ",
    };
    format!("{noun}{}{more}", names.join(", "))
}

/// The heading of the verdict column, if the sweep has a baseline.
pub(crate) fn verdict_heading(table: &ResultsTable) -> Option<String> {
    table.baselines().next()?;
    Some(format!("{} vs baseline", metric_heading(table, table.verdict_metric()?)))
}

/// The table for people, cell by cell: the configurations, then what is chosen among them on validation. In the row of
/// the baseline the verdict cell says "baseline". The last column holds notes; it is left out if there are none.
#[must_use]
pub fn heading_and_rows(table: &ResultsTable) -> (Vec<String>, Vec<Vec<String>>) {
    let settings = setting_columns(table);
    let numbers = Numbers::of(table);
    let verdict_heading = verdict_heading(table);
    let notes: Vec<String> =
        table.configurations.iter().map(|row| note(row, verdict_heading.is_none())).collect();
    let noted = notes.iter().any(|note| !note.is_empty());
    let mut heading = settings.clone();
    heading.push("n".to_owned());
    heading.extend(table.metrics.iter().map(|name| metric_heading(table, name)));
    heading.extend(verdict_heading.clone());
    heading.extend(noted.then(|| "note".to_owned()));
    let cells = |row: &ConfigurationRow, of_settings: Vec<String>, note: String| {
        let mut cells = of_settings;
        cells.push(count(row));
        cells.extend(table.metrics.iter().map(|name| numbers.mean_and_deviation(row.metrics.get(name))));
        if verdict_heading.is_some() {
            cells.extend(table.verdict_metric().map(|name| match row.baseline {
                true => "baseline".to_owned(),
                false => verdicts::cell(table, row, name),
            }));
        }
        cells.extend(noted.then_some(note));
        cells
    };
    let configurations = table
        .configurations
        .iter()
        .zip(notes)
        .map(|(row, note)| cells(row, settings.iter().map(|path| setting(row, path)).collect(), note));
    let chosen = table.chosen.iter().map(|chosen| {
        let mut named = vec![choice::name(table, chosen)];
        named.resize(settings.len(), String::new());
        cells(&chosen.row, named, note(&chosen.row, false))
    });
    let rows = configurations.chain(chosen).collect();
    (heading, rows)
}

/// The names of the rows of [`heading_and_rows`].
#[must_use]
pub fn row_names(table: &ResultsTable) -> Vec<String> {
    let configurations = table.configurations.iter().map(|row| row.name.clone());
    configurations.chain(table.chosen.iter().map(|chosen| choice::name(table, chosen))).collect()
}

/// What tells the replicates of a row apart: `seed`, or `fold and seed`.
pub(crate) fn replicated_by(table: &ResultsTable) -> String {
    let mut names: Vec<String> = table.replicates.iter().map(|path| one_line(path)).collect();
    let last = if names.is_empty() { "seed" } else { " and seed" };
    names.push(last.to_owned());
    names[..names.len() - 1].join(", ") + last
}

/// What a row is averaged over, as a noun in the singular: `seed`, or `replicate`.
pub(crate) fn replicate_noun(table: &ResultsTable) -> &'static str {
    if table.replicates.is_empty() { "seed" } else { "replicate" }
}

/// What a row is averaged over: `seeds`, or `replicates (fold and seed)`.
pub(crate) fn averaged_over(table: &ResultsTable) -> String {
    match table.replicates.is_empty() {
        true => "seeds".to_owned(),
        false => format!("replicates ({})", replicated_by(table)),
    }
}

/// The limit of the statistics with replicates that are no seeds.
pub(crate) fn dependence(table: &ResultsTable) -> Option<&'static str> {
    let text = "replicates that share training data, as folds do, are not independent, so that intervals and p-values are approximate (Nadeau and Bengio 2003)";
    (!table.replicates.is_empty()).then_some(text)
}

/// The name of a configuration among the others of its row, after that of the row.
pub(crate) fn member_label(row: &str, member: &str) -> String {
    if member.is_empty() { row.to_owned() } else { format!("{row} {}", one_line(member)) }
}

/// The name of a configuration: that of its row and, if the row has several, its own among them.
pub(crate) fn configuration_label(table: &ResultsTable, id: ConfigurationId) -> String {
    let Some(row) = table.row_of(id) else { return id.to_string() };
    let member = row.members.iter().find(|member| member.id == id).map(Member::name).unwrap_or_default();
    member_label(&row.name, &member)
}

/// The meaning of the numbers, and how many results are missing.
#[must_use]
pub fn summary_line(table: &ResultsTable) -> String {
    let missing: usize = table.configurations.iter().map(|row| row.expected - row.n).sum();
    let mut text = format!("mean ± sample standard deviation over n {}", averaged_over(table));
    if table.is_of_networks() {
        text.push_str(", tested on the primary modality alone");
    }
    if names_modalities(table) {
        text.push_str(", or on the modalities in brackets");
    }
    if meaning::names_validation(table) {
        let _ = write!(text, "; {}: on the validation split", metric::VALID);
    }
    if let Some(explained) = meaning::explained(table) {
        let _ = write!(text, "; {explained}");
    }
    if let Some(explained) = verdicts::explained(table) {
        let _ = write!(text, "; {explained}");
    }
    if let Some(explained) = choice::explained(table) {
        let _ = write!(text, "; {explained}");
    }
    if let Some(limit) = dependence(table) {
        let _ = write!(text, "; {limit}");
    }
    if missing > 0 {
        let _ = write!(text, "; {} missing", counted_len(missing, "result"));
    }
    text
}

/// Whether a shown metric is one of a network under further modalities.
pub(crate) fn names_modalities(table: &ResultsTable) -> bool {
    table.is_of_networks() && table.metrics.iter().any(|name| metric::split(name).1.is_some())
}

/// Warnings about the results, one sentence each: results of different data, or of different versions of a program, and
/// a metric of choice that no result has.
#[must_use]
pub fn warnings(table: &ResultsTable) -> Vec<String> {
    let mixed = table.mixed_data().map(|(name, files)| mixed(table, name, files));
    mixed.chain(unknown_choice(table)).collect()
}

/// A program's metric of choice that none of its results has. Results of networks of earlier versions have none of the
/// validation split; that is said where something would be chosen.
fn unknown_choice(table: &ResultsTable) -> Option<String> {
    let by = table.choose_by.as_deref().filter(|_| !table.is_of_networks())?;
    let mut with_results = table.configurations.iter().filter(|row| row.n > 0).peekable();
    with_results.peek()?;
    if with_results.any(|row| row.metrics.contains_key(by)) {
        return None;
    }
    let known = all_metrics(table).iter().map(|name| one_line(name)).collect::<Vec<_>>().join(", ");
    Some(format!(
        "nothing is chosen: no result has the metric `{}` of `report.choose_by`; known are {known}",
        one_line(by)
    ))
}

/// The warning that applies to one row.
pub(crate) fn row_warning(table: &ResultsTable, row: &ConfigurationRow) -> Option<String> {
    let own = row.data_sets();
    let mixed = table.mixed_data().filter(|(name, _)| own.contains(*name));
    let warnings: Vec<String> = mixed.map(|(name, files)| self::mixed(table, name, files)).collect();
    (!warnings.is_empty()).then(|| warnings.join("; "))
}

fn mixed(table: &ResultsTable, name: &str, files: usize) -> String {
    if !table.is_of_networks() {
        return format!(
            "results were made by {files} different versions of the program `{name}`: the means mix them"
        );
    }
    format!("results were trained on {files} different files of the data set `{name}`: the means mix them")
}

/// A confidence level in percent, without unnecessary decimals.
pub(crate) fn percent(confidence: f64) -> String {
    let rounded = (confidence * 1e6).round() / 1e4;
    rounded.to_string()
}

/// The first twenty items of a list, and how many more there are.
pub(crate) fn some(items: &[String], between: &str) -> String {
    some_of(items, between, String::clone)
}

/// The first twenty items of a list, as `words` puts them, and how many more there are.
pub(crate) fn some_of<T>(items: &[T], between: &str, words: impl Fn(&T) -> String) -> String {
    const MAX_LISTED: usize = 20;
    let mut text = items.iter().take(MAX_LISTED).map(words).collect::<Vec<_>>().join(between);
    if items.len() > MAX_LISTED {
        let _ = write!(text, "{between}... and {} more", items.len() - MAX_LISTED);
    }
    text
}
