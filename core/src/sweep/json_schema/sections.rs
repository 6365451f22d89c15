//! The keys of a sweep file that are no settings: `seeds`, `report`, `retries`, `checkpoint`, `program` and others.

use serde_json::{Map, Value, json};

use super::{
    duration, retry_defaults,
    values::{ONE_LINE, described, entry, integer, one_of, text},
    words,
};
use crate::{
    needs::MAX_LABEL_BYTES,
    result::{Direction, metric},
    settings::schema::MAX_TEXT_BYTES,
    sweep::{
        definition::{Adjustment, CheckpointSettings, Kept, Order, ScheduleSettings},
        program::{MAX_THREADS, MAX_WORD_BYTES, MAX_WORDS},
        report::default_report,
        sections::{DEFAULT_SEEDS, MAX_ATTEMPTS, MAX_EPOCHS_BETWEEN, MAX_SEED, MAX_SEEDS},
        vocabulary::Vocabulary,
    },
};

/// A mapping with these keys and no others.
fn closed(properties: impl IntoIterator<Item = (String, Value)>) -> Value {
    json!({
        "type": "object",
        "properties": Map::from_iter(properties),
        "additionalProperties": false,
    })
}

pub(super) fn seeds() -> Value {
    let list = json!({"type": "array", "items": integer(0, MAX_SEED), "minItems": 1, "uniqueItems": true});
    let map = closed([
        entry(
            "count",
            described(integer(1, MAX_SEEDS), "number of seeds", "seeds", Some(DEFAULT_SEEDS.into())),
        ),
        entry("base", described(integer(0, MAX_SEED), "the first seed", "seed", Some(0.into()))),
    ]);
    let default = json!({"count": DEFAULT_SEEDS, "base": 0});
    described(json!({"anyOf": [list, map]}), "", "", Some(default))
}

pub(super) fn retries() -> Value {
    let defaults = retry_defaults();
    closed([
        entry(
            "max_attempts",
            described(
                integer(1, MAX_ATTEMPTS),
                "number of attempts of a task",
                "attempts",
                Some(defaults.max_attempts.into()),
            ),
        ),
        entry(
            "initial_backoff",
            duration(
                "wait before the second attempt, doubled for each further one",
                Some(defaults.initial_backoff),
            ),
        ),
        entry("max_backoff", duration("the longest wait", Some(defaults.max_backoff))),
    ])
}

pub(super) fn checkpoint() -> Value {
    let every = CheckpointSettings::default().every_epochs;
    closed([entry(
        "every_epochs",
        described(
            integer(0, MAX_EPOCHS_BETWEEN),
            "how often a checkpoint is written; 0 for never",
            "epochs",
            Some(every.into()),
        ),
    )])
}

pub(super) fn keep() -> Value {
    described(words(&Kept::ALL.map(Kept::as_str)), "", "", Some(json!([])))
}

pub(super) fn order() -> Value {
    described(one_of(&Order::ALL.map(Order::as_str)), "", "", Some(Order::default().as_str().into()))
}

pub(super) fn priority() -> Value {
    let schema = json!({
        "type": "integer",
        "minimum": ScheduleSettings::LOWEST,
        "maximum": ScheduleSettings::HIGHEST,
    });
    described(schema, "", "priority", Some(ScheduleSettings::default().priority.into()))
}

/// `report`, without `baseline`.
pub(super) fn report(vocabulary: Vocabulary) -> Value {
    let networks = vocabulary == Vocabulary::Networks;
    let known = format!("({})(@.+)?$", metric::ALL.join("|"));
    let (name, chosen) = match vocabulary {
        Vocabulary::Networks => (
            json!({"type": "string", "pattern": format!("^({})?{known}", metric::VALID)}),
            json!({"type": "string", "pattern": format!("^{}{known}", metric::VALID)}),
        ),
        Vocabulary::Own => (
            json!({"type": "string", "pattern": ONE_LINE, "maxLength": metric::MAX_NAME_BYTES}),
            json!({"type": "string", "pattern": r"\S"}),
        ),
    };
    let defaults = default_report();
    let margin = json!({"type": "number", "exclusiveMinimum": 0});
    let margins = match vocabulary {
        Vocabulary::Networks => json!({
            "type": "object",
            "additionalProperties": margin,
            "propertyNames": name,
        }),
        Vocabulary::Own => json!({"type": "object", "additionalProperties": margin}),
    };
    let confidence = json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1});
    let mut properties = vec![
        entry(
            "metrics",
            described(
                json!({"type": "array", "items": name, "minItems": 1, "uniqueItems": true}),
                "the metrics of the tables; verdicts are about the first one",
                "",
                networks.then(|| json!(defaults.metrics)),
            ),
        ),
        entry(
            "confidence",
            described(
                confidence,
                "confidence level of the intervals; a number in (0, 1)",
                "probability",
                Some(defaults.confidence.into()),
            ),
        ),
        entry(
            "reference",
            described(
                json!({"type": "string", "pattern": ONE_LINE, "maxLength": MAX_TEXT_BYTES}),
                "a CSV file of published means, relative to the sweep file",
                "",
                None,
            ),
        ),
        entry(
            "replicates",
            described(
                json!({"type": "array", "items": text()}),
                "parameters that a row averages over, as it does over seeds",
                "",
                Some(json!([])),
            ),
        ),
        entry(
            "margin",
            described(
                json!({"anyOf": [margin, margins]}),
                "largest difference to the baseline that does not matter, in the first metric or by metric; a number above 0",
                "that of the metric",
                None,
            ),
        ),
        entry(
            "adjustment",
            described(
                one_of(&Adjustment::ALL.map(Adjustment::as_str)),
                "whether the error rate is held over all comparisons of a metric, or for each alone",
                "",
                Some(Adjustment::default().as_str().into()),
            ),
        ),
        entry(
            "choose_by",
            described(
                chosen,
                "the metric by which configurations are chosen, on the validation split",
                "",
                None,
            ),
        ),
    ];
    let better = if networks {
        Value::Bool(false)
    } else {
        let words = one_of(&Direction::ALL.map(Direction::as_str));
        let schema = json!({"type": "object", "additionalProperties": words});
        described(schema, "for each metric, whether higher or lower is better", "", None)
    };
    properties.push(entry("better", better));
    let mut report = closed(properties);
    if !networks {
        report["required"] = json!(["metrics"]);
    }
    report
}

pub(super) fn program() -> Value {
    // Numbers and booleans become texts as they are written.
    let word = json!({"type": ["string", "number", "boolean"], "maxLength": MAX_WORD_BYTES});
    let list = json!({"type": "array", "items": word, "minItems": 1, "maxItems": MAX_WORDS});
    let label = json!({"type": ["string", "integer", "boolean"], "pattern": format!("^[A-Za-z0-9._-]{{1,{MAX_LABEL_BYTES}}}$")});
    let file = |kind: &str| {
        closed([entry(kind, json!({"type": "string", "pattern": r"\$\{(task|checkpoint_dir)\}"}))])
    };
    let file = |kind: &str| {
        let mut schema = file(kind);
        schema["required"] = json!([kind]);
        schema
    };
    let mut program = closed([
        entry(
            "command",
            described(
                list.clone(),
                "the words of the command, such as [python3, train.py, \"${args}\"]",
                "",
                None,
            ),
        ),
        entry(
            "directory",
            described(
                word.clone(),
                "folder in which it runs, relative to that of the sweep file",
                "",
                Some(".".into()),
            ),
        ),
        entry(
            "environment",
            described(
                json!({
                    "type": "object",
                    "patternProperties": {"^(?!COLEARN_)[A-Za-z_][A-Za-z0-9_]*$": word},
                    "additionalProperties": false,
                }),
                "environment variables, besides those of the worker",
                "",
                None,
            ),
        ),
        entry(
            "timeout",
            duration("longest time of an attempt, at least 1s; without it there is no limit", None),
        ),
        entry(
            "files",
            described(
                list,
                "files and folders whose digest is the program's version; without the key, those words of the command that name files, except files that a shell's script writes",
                "",
                None,
            ),
        ),
        entry(
            "result",
            described(
                json!({"anyOf": [{"type": "string", "pattern": r"\(\?P?<"}, file("json"), file("csv")]}),
                "a regular expression with named groups, {json: FILE} or {csv: FILE}; without it, what the program writes to COLEARN_METRICS",
                "",
                None,
            ),
        ),
        entry(
            "gpu",
            described(json!({"type": "boolean"}), "needs a slot with a GPU", "", Some(false.into())),
        ),
        entry(
            "memory",
            described(
                json!({"type": "string", "pattern": r"^\s*[0-9.]+\s*([kKmMgGtTpPeE]([iI]?[bB])?|[bB])?\s*$"}),
                "needs this much memory of the host, with its unit, such as 8GB",
                "bytes with a unit",
                None,
            ),
        ),
        entry(
            "threads",
            described(integer(1, MAX_THREADS), "needs a slot with this many threads", "threads", None),
        ),
        entry(
            "labels",
            described(
                json!({"type": "array", "items": label, "minItems": 1, "maxItems": MAX_WORDS}),
                "needs a worker with these labels",
                "",
                None,
            ),
        ),
    ]);
    program["required"] = json!(["command"]);
    program
}
