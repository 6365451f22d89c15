//! Reads single values of a sweep file according to their rows of the settings table.

use std::time::Duration;

use serde_json::Value;

use super::{
    diagnostic::{Problems, Span},
    raw::{MapEntry, Node, Raw},
};
use crate::{
    settings::schema::{
        self, FIELDS, Field, Kind, MAX_SUBSET_BYTES, MAX_SUBSETS, MAX_TEXT_BYTES, MODALITY_DROPOUT,
    },
    time::parse_duration,
};

/// Maximum duration in a sweep file.
pub(super) const MAX_DURATION: Duration = Duration::from_hours(168);

/// The value of a setting, with exactly the type of its field; anything else is an error at the value.
pub(crate) fn setting(
    field: &'static Field,
    path: &str,
    node: &Node,
    problems: &mut Problems<'_>,
) -> Option<Value> {
    let value = typed(&field.kind, &node.value);
    // Values that are not finite were already refused.
    if value.is_none() && !matches!(node.value, Raw::Float(value) if !value.is_finite()) {
        let found = node.value.describe();
        problems
            .error(node.span, format!("`{path}` must be {}, found {found}", field.kind))
            .maybe_help(advice(&field.kind, &node.value));
    }
    value
}

fn typed(kind: &Kind, raw: &Raw) -> Option<Value> {
    json(kind, raw).filter(|value| kind.accepts(value))
}

/// The value as JSON, if it has the right type.
fn json(kind: &Kind, raw: &Raw) -> Option<Value> {
    match (kind, raw) {
        (Kind::Bool, Raw::Bool(value)) => Some((*value).into()),
        (Kind::Integer { .. }, Raw::Integer(value)) => Some(u64::try_from(*value).ok()?.into()),
        (Kind::Number { .. }, Raw::Integer(_) | Raw::Float(_)) => Some(number(raw)?.into()),
        (Kind::Word(_) | Kind::Modality | Kind::Text, Raw::Text(text)) => Some(text.as_str().into()),
        (Kind::Subsets, Raw::List(subsets)) => {
            subsets.iter().map(|subset| modalities(&subset.value)).collect()
        }
        (Kind::Modalities, raw) => modalities(raw),
        _ => None,
    }
}

fn modalities(raw: &Raw) -> Option<Value> {
    let Raw::List(names) = raw else { return None };
    names.iter().map(|name| json(&Kind::Modality, &name.value)).collect()
}

/// A finite number as a float; -0.0 becomes 0.0.
pub(crate) fn number(raw: &Raw) -> Option<f64> {
    let value = match raw {
        #[expect(clippy::cast_precision_loss, reason = "that is what a float field means by a large integer")]
        Raw::Integer(value) => *value as f64,
        Raw::Float(value) => *value,
        _ => return None,
    };
    value.is_finite().then_some(value + 0.0)
}

/// The remedy for a value of the wrong type, if it can be guessed.
fn advice(kind: &Kind, raw: &Raw) -> Option<String> {
    match (kind, raw) {
        (Kind::Bool, Raw::Text(text)) => match text.to_ascii_lowercase().as_str() {
            "yes" | "y" | "on" => Some("write `true`".to_owned()),
            "no" | "n" | "off" => Some("write `false`".to_owned()),
            _ => None,
        },
        (Kind::Integer { .. }, Raw::Float(value)) if value.fract() == 0.0 && value.abs() < 1e15 => {
            Some(format!("write {value:.0}, without a decimal point or exponent"))
        }
        (Kind::Integer { .. } | Kind::Number { .. }, Raw::Text(text))
            if text.trim().parse::<f64>().is_ok() =>
        {
            Some("remove the quotes".to_owned())
        }
        (Kind::Word(words), Raw::Text(text)) => did_you_mean(text, words.iter().copied()),
        (Kind::Text | Kind::Modality, Raw::Integer(_) | Raw::Float(_) | Raw::Bool(_)) => {
            Some("put it in quotes".to_owned())
        }
        (Kind::Modality, Raw::Text(_)) => Some(
            "a modality's name has up to 64 letters, digits, `_` and `-`, beginning with a letter or `_`"
                .to_owned(),
        ),
        (Kind::Text, Raw::Text(_)) => Some(format!("it has 1 to {MAX_TEXT_BYTES} bytes on one line")),
        (Kind::Subsets, _) => Some(format!(
            "such as `[[language], [language, audio]]`; at most {MAX_SUBSETS} subsets, none of them empty or with names of more than {MAX_SUBSET_BYTES} bytes in all"
        )),
        (Kind::Modalities, _) => Some(format!(
            "such as `[language, audio]`, of at most {MAX_SUBSET_BYTES} bytes in all; to try several, list them under `parameters`"
        )),
        (_, Raw::List(_) | Raw::Map(_)) => {
            Some("to try several values, list them under `parameters`".to_owned())
        }
        _ => None,
    }
}

/// The table row of a path that the file names, such as a key of `parameters`.
pub(crate) fn path_field(path: &str, span: Span, problems: &mut Problems<'_>) -> Option<&'static Field> {
    if let Some(field) = schema::field(path) {
        return Some(field);
    }
    if let Some(modality) = FIELDS.iter().find_map(|field| field.modality(path)) {
        problems.error(span, format!("`{modality}` cannot be the name of a modality")).help(
            "a modality's name has up to 64 letters, digits, `_` and `-`, beginning with a letter or `_`",
        );
        return None;
    }
    let names: Vec<_> =
        FIELDS.iter().filter(|field| field.section() == Some(path)).map(|field| field.path).collect();
    let help = if path == "seed" || path == "seeds" {
        Some("replicates are given by `seeds`, beside `parameters`".to_owned())
    } else if names.is_empty() {
        suggest_path(path)
    } else {
        Some(format!("give the path of a single setting: {}", names.join(", ")))
    };
    let help = help.or_else(|| {
        let all: Vec<_> = FIELDS.iter().map(|field| field.path).collect();
        Some(format!("the settings are {}", all.join(", ")))
    });
    problems.error(span, format!("there is no setting `{path}`")).maybe_help(help);
    None
}

fn suggest_path(path: &str) -> Option<String> {
    let last = path.rsplit('.').next().unwrap_or(path);
    // The name exists, but in another section.
    let same_name = FIELDS.iter().find(|field| field.path.rsplit('.').next() == Some(last));
    if let Some(field) = same_name {
        return Some(format!("did you mean `{}`?", field.path));
    }
    let dropout = schema::is_modality(last).then(|| format!("{MODALITY_DROPOUT}{last}"));
    let known = FIELDS.iter().filter(|field| field.by_modality().is_none()).map(|field| field.path);
    did_you_mean(path, known.chain(dropout.as_deref()))
}

/// `did you mean ...?`, if one of the candidates is similar: at most every third letter differs.
#[must_use]
pub fn did_you_mean<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<String> {
    // The time for the distance is quadratic in the length.
    if word.len() > 100 {
        return None;
    }
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| distance * 3 <= word.chars().count().max(candidate.chars().count()))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}

/// The entries of a mapping.
pub(crate) fn map<'n>(node: &'n Node, what: &str, problems: &mut Problems<'_>) -> Option<&'n [MapEntry]> {
    if let Raw::Map(entries) = &node.value {
        return Some(entries);
    }
    let found = node.value.describe();
    problems.error(node.span, format!("`{what}` must be a mapping, found {found}"));
    None
}

/// The items of a list.
pub(crate) fn list<'n>(node: &'n Node, what: &str, problems: &mut Problems<'_>) -> Option<&'n [Node]> {
    if let Raw::List(items) = &node.value {
        return Some(items);
    }
    let found = node.value.describe();
    problems
        .error(node.span, format!("`{what}` must be a list, found {found}"))
        .maybe_help(matches!(node.value, Raw::Null).then(|| "write `[]`, or leave the key out".to_owned()));
    None
}

/// An integer within bounds, for keys that are not settings.
pub(crate) fn integer(
    node: &Node,
    what: &str,
    min: u64,
    max: u64,
    problems: &mut Problems<'_>,
) -> Option<u64> {
    let kind = Kind::Integer { min, max };
    let value = typed(&kind, &node.value).and_then(|value| value.as_u64());
    if value.is_none() {
        let found = node.value.describe();
        problems
            .error(node.span, format!("{what} must be an integer from {min} to {max}, found {found}"))
            .maybe_help(advice(&kind, &node.value));
    }
    value
}

/// A text, for keys that are not settings.
pub(crate) fn text<'n>(node: &'n Node, what: &str, problems: &mut Problems<'_>) -> Option<&'n str> {
    if let Raw::Text(text) = &node.value {
        return Some(text);
    }
    let found = node.value.describe();
    problems
        .error(node.span, format!("`{what}` must be a text, found {found}"))
        .maybe_help(advice(&Kind::Text, &node.value));
    None
}

/// A duration such as `500ms`, `5s`, `5m` or `1h30m`; at most a week.
pub(crate) fn duration(node: &Node, what: &str, problems: &mut Problems<'_>) -> Option<Duration> {
    let value = match &node.value {
        Raw::Text(text) => parse_duration(text).ok(),
        _ => None,
    };
    let value = value.filter(|duration| *duration <= MAX_DURATION);
    if value.is_none() {
        let found = node.value.describe();
        problems
            .error(node.span, format!("`{what}` must be a duration of at most 168h, found {found}"))
            .help("write numbers with their units: `500ms`, `5s`, `5m` or `1h30m`");
    }
    value
}

/// Reports an unknown key of a section of the file.
pub(crate) fn unknown_key(entry: &MapEntry, within: &str, known: &[&str], problems: &mut Problems<'_>) {
    let place = if within.is_empty() { String::new() } else { format!(" in `{within}`") };
    let help = did_you_mean(&entry.key, known.iter().copied())
        .unwrap_or_else(|| format!("the keys here are {}", known.join(", ")));
    problems.error(entry.key_span, format!("there is no key `{}`{place}", entry.key)).help(help);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_words_are_suggested() {
        let words = ["accuracy", "loss", "f_score"];
        let suggest = |word| did_you_mean(word, words.into_iter());
        assert_eq!(suggest("acuracy").as_deref(), Some("did you mean `accuracy`?"));
        assert_eq!(suggest("fscore").as_deref(), Some("did you mean `f_score`?"));
        assert_eq!(suggest("precision"), None);
        assert_eq!(suggest(&"loss".repeat(1_000)), None);
    }

    #[test]
    fn paths_are_suggested_by_their_last_name_or_by_likeness() {
        for (path, meant) in [
            ("epochs", "training.epochs"),
            ("model.epochs", "training.epochs"),
            ("trainig.epohcs", "training.epochs"),
            ("modality_drop.audio", "modality_dropout.audio"),
        ] {
            assert_eq!(suggest_path(path), Some(format!("did you mean `{meant}`?")), "{path}");
        }
        assert_eq!(suggest_path("checkpoint.every_epochs_of_training"), None);
    }
}
