//! The complete results, for programs.

mod tasks;

use std::{
    collections::{BTreeSet, HashMap},
    io,
};

use colearn_core::{
    id::ConfigurationId,
    result::metric,
    sweep::{ReportSettings, Sweep},
    table::{ChosenRow, ConfigurationRow, ResultsTable},
};
use serde_json::{Map, Value, json};

use crate::{
    cells::{all_metrics, warnings},
    reference::Matched,
    report_data::Material,
};

/// The version of all JSON that holds results; docs/results.md describes it. Within a version keys are only added.
pub(crate) const SCHEMA: u32 = 2;

/// Writes everything that is known of a sweep's results, in the form of docs/results.md: keys may be added, but no key
/// is renamed or removed. Tasks are written one after the other, so that the document is never in memory.
///
/// # Errors
/// If it cannot be written.
pub fn json(
    into: &mut dyn io::Write,
    material: &Material,
    table: &ResultsTable,
    published: Option<&Matched>,
) -> io::Result<()> {
    let failures = tasks::failures(material);
    let compared_with = compared_with(&material.sweep, table);
    // The version comes first, for readers and for people.
    write!(into, "{{\n  \"schema\": {SCHEMA}")?;
    for (key, value) in head(material, table) {
        write!(into, ",\n  {}: {}", json!(key), indented(&value, 2)?)?;
    }
    write!(into, ",\n  \"configurations\": [")?;
    let mut between = "\n    ";
    for row in &table.configurations {
        let mut document = configuration(table, row, published);
        document["compared_with"] = json!(compared_with.get(&row.id));
        let document = indented(&document, 4)?;
        let open = document.strip_suffix("\n    }").unwrap_or(&document);
        write!(into, "{between}{open},\n      \"tasks\": ")?;
        tasks::write(into, material, row, &failures)?;
        write!(into, "\n    }}")?;
        between = ",\n    ";
    }
    writeln!(into, "\n  ]\n}}")
}

/// A value on several lines, of which all but the first begin with this number of blanks more.
fn indented(value: &Value, by: usize) -> io::Result<String> {
    // A line break within a text is escaped.
    Ok(serde_json::to_string_pretty(value)?.replace('\n', &format!("\n{}", " ".repeat(by))))
}

/// What is true of all configurations.
fn head(material: &Material, table: &ResultsTable) -> Map<String, Value> {
    let provenance = &material.provenance;
    let document = json!({
        "sweep": table.sweep,
        "confidence": table.confidence,
        "verdict_metric": table.verdict_metric(),
        "adjustment": table.adjustment,
        "margin": table.margin,
        "judged": table.judged,
        "choose_by": table.choose_by,
        "best": table.best,
        "chosen": table.chosen.iter().map(|it| chosen(table, it)).collect::<Vec<_>>(),
        "data_digests": table.data_digests,
        "warnings": warnings(table),
        "replicates": table.replicates,
        "better": table.better,
        "colearn": {"version": provenance.version, "commit": provenance.commit},
        "definition": definition(&material.sweep),
        "bounds": bounds(table),
        "directions": all_metrics(table)
            .into_iter()
            .map(|name| (name.clone(), json!(table.direction(&name))))
            .collect::<Map<_, _>>(),
    });
    if let Value::Object(head) = document { head } else { Map::new() }
}

/// By metric of a network, the lowest and the highest value that it can have, at which intervals are cut; null for none.
fn bounds(table: &ResultsTable) -> Map<String, Value> {
    if !table.is_of_networks() {
        return Map::new();
    }
    let finite = |end: f64| Some(end).filter(|end| end.is_finite());
    let of = |name: String| {
        let (low, high) = metric::bounds(&name)?;
        Some((name, json!([finite(low), finite(high)])))
    };
    all_metrics(table).into_iter().filter_map(of).collect()
}

/// The sweep as it was resolved, without its configurations.
fn definition(sweep: &Sweep) -> Value {
    // A new part of a sweep does not compile until it is exported.
    let Sweep {
        name: _,
        parameters,
        configurations: _,
        seeds,
        report,
        retries,
        checkpoint,
        keep,
        schedule,
        needs,
    } = sweep;
    let ReportSettings {
        metrics,
        confidence,
        reference,
        better,
        replicates,
        margin,
        adjustment,
        matched,
        choose_by,
    } = report;
    json!({
        "parameters": parameters,
        "seeds": seeds,
        "report": {
            "metrics": metrics,
            "confidence": confidence,
            "reference": reference,
            "better": better,
            "replicates": replicates,
            "margin": margin,
            "adjustment": adjustment,
            "matched": matched,
            "choose_by": choose_by,
        },
        "retries": {
            "max_attempts": retries.max_attempts,
            "initial_backoff": retries.initial_backoff.as_secs_f64(),
            "max_backoff": retries.max_backoff.as_secs_f64(),
        },
        "checkpoint": checkpoint,
        "keep": keep,
        "schedule": {
            "order": schedule.order,
            "priority": schedule.priority,
            "max_concurrent_tasks": schedule.max_concurrent_tasks,
            "stop_after_failures": schedule.stop_after_failures,
        },
        "needs": needs,
    })
}

/// One configuration, except for its tasks.
fn configuration(table: &ResultsTable, row: &ConfigurationRow, published: Option<&Matched>) -> Value {
    let mut document = json!({
        "id": row.id,
        "name": row.name,
        "settings": settings(row),
        "values": row.values,
        "baseline": row.baseline,
        "n": row.n,
        "expected": row.expected,
        "state": row.state,
        "failed_seeds": row.failed_seeds,
        "cancelled_seeds": row.cancelled_seeds,
        "metrics": row.metrics,
        "comparisons": row.comparisons,
        "verdict": table.verdict(row),
        "replicates": row.members,
        "class_f1": row.classes,
    });
    if let Some(means) = published.and_then(|published| published.rows.get(&row.id)) {
        document["published"] = means.iter().map(|it| (it.metric.clone(), it.mean)).collect();
    }
    document
}

/// What is chosen among the configurations that are compared with one baseline.
fn chosen(table: &ResultsTable, chosen: &ChosenRow) -> Value {
    let ChosenRow { baseline, by, choices, picks, row } = chosen;
    json!({
        "compared_with": baseline,
        "by": by,
        "choices": choices,
        "picks": picks,
        "n": row.n,
        "expected": row.expected,
        "state": row.state,
        "metrics": row.metrics,
        "comparisons": row.comparisons,
        "verdict": table.verdict(row),
    })
}

/// For each row that is compared with another one, the id of that.
fn compared_with(sweep: &Sweep, table: &ResultsTable) -> HashMap<ConfigurationId, ConfigurationId> {
    let baseline_of_member: HashMap<ConfigurationId, ConfigurationId> = table
        .baselines()
        .flat_map(|row| row.configurations().map(move |member| (member.id, row.id)))
        .collect();
    let named: HashMap<ConfigurationId, ConfigurationId> = sweep
        .configurations
        .iter()
        .filter_map(|it| Some((it.id, *baseline_of_member.get(&it.compared_with?)?)))
        .collect();
    let only = table.baseline().map(|row| row.id).filter(|_| !sweep.report.matched);
    let others = table.configurations.iter().filter(|row| !row.baseline);
    let of = |row: &ConfigurationRow| {
        let own = row.configurations().find_map(|member| named.get(&member.id).copied());
        Some((row.id, own.or(only)?))
    };
    others.filter_map(of).collect()
}

/// The resolved settings, overwritten with the swept values. The resolved settings omit values that have no effect,
/// such as a modality dropout of zero, but readers look for the values of the sweep file. The replicates are left out:
/// the row has all their values.
fn settings(row: &ConfigurationRow) -> Value {
    let mut settings = json!(row.settings);
    let replicates: BTreeSet<&str> =
        row.members.iter().flat_map(|member| member.values.keys()).map(String::as_str).collect();
    // Those of a program are complete, and its parameters have no paths.
    if row.settings.program().is_some() {
        if let Some(parameters) = settings.pointer_mut("/program/parameters").and_then(Value::as_array_mut) {
            parameters.retain(|own| own[0].as_str().is_none_or(|name| !replicates.contains(name)));
        }
        return settings;
    }
    for path in replicates {
        let (section, name) = path.rsplit_once('.').unwrap_or(("", path));
        let pointer =
            section.split('.').filter(|key| !key.is_empty()).fold(String::new(), |to, key| to + "/" + key);
        if let Some(Value::Object(fields)) = settings.pointer_mut(&pointer) {
            fields.remove(name);
        }
    }
    for (path, value) in &*row.values {
        set(&mut settings, path, value);
    }
    settings
}

/// Sets a value by its dotted path, unless the path leads through something that is no mapping.
fn set(settings: &mut Value, path: &str, value: &Value) {
    let mut place = settings;
    for key in path.split('.') {
        if place.is_null() {
            *place = json!({});
        }
        let Value::Object(entries) = place else { return };
        place = entries.entry(key).or_insert(Value::Null);
    }
    *place = value.clone();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_set_where_its_path_leads() {
        let mut settings = json!({"model": {"hidden": 8}, "epochs": 3});
        for (path, value) in [
            ("model.hidden", json!(16)),
            ("modality_dropout.audio", json!(0.0)),
            ("epochs.late", json!(1)),
            ("unimodal", json!(true)),
        ] {
            set(&mut settings, path, &value);
        }
        let expected = json!({
            "model": {"hidden": 16}, "epochs": 3, "modality_dropout": {"audio": 0.0}, "unimodal": true
        });
        assert_eq!(settings, expected);
    }
}
