//! `parameters` and `zip`: the axes of the grid.

use std::collections::HashMap;

use serde_json::Value;

use super::{
    diagnostic::{Problems, Span},
    raw::{MapEntry, Node, Raw},
    scalar::{self, did_you_mean},
    vocabulary::{self, SettingType, Vocabulary},
};
use crate::{settings::schema::Kind, text::counted_len};

/// One swept setting.
#[derive(Debug)]
pub(crate) struct Parameter {
    pub(crate) path: String,
    pub(crate) kind: SettingType,
    /// Position of its key.
    pub(crate) span: Span,
    /// Values in the order of the file; at least one, unless there was an error.
    pub(crate) values: Vec<(Value, Span)>,
}

/// The keys of a swept setting that is not a plain list.
pub(super) const KEYS: [&str; 5] = ["values", "min", "max", "count", "scale"];
/// Maximum number of values of a `{min, max, count}`.
pub(super) const MAX_RANGE: u64 = 10_000;

/// Reads `parameters`.
pub(crate) fn read(node: &Node, vocabulary: Vocabulary, problems: &mut Problems<'_>) -> Vec<Parameter> {
    let Some(entries) = scalar::map(node, "parameters", problems) else { return Vec::new() };
    entries
        .iter()
        .filter_map(|entry| {
            let kind = vocabulary.type_of(&entry.key, entry.key_span, problems)?;
            let values = read_values(kind, entry, problems);
            Some(Parameter { path: entry.key.clone(), kind, span: entry.key_span, values })
        })
        .collect()
}

fn read_values(kind: SettingType, entry: &MapEntry, problems: &mut Problems<'_>) -> Vec<(Value, Span)> {
    match &entry.value.value {
        Raw::List(items) => read_list(kind, entry, &entry.value, items, problems),
        Raw::Map(form) => read_form(kind, entry, form, problems),
        _ => kind
            .read(&entry.key, &entry.value, problems)
            .map(|value| (value, entry.value.span))
            .into_iter()
            .collect(),
    }
}

fn read_list(
    kind: SettingType,
    entry: &MapEntry,
    node: &Node,
    items: &[Node],
    problems: &mut Problems<'_>,
) -> Vec<(Value, Span)> {
    if items.is_empty() {
        problems
            .error(node.span, format!("`{}` has no values", entry.key))
            .help("list at least one, or remove the parameter");
    }
    let before = problems.errors();
    let values: Vec<_> =
        items.iter().filter_map(|item| Some((kind.read(&entry.key, item, problems)?, item.span))).collect();
    // An incomplete list would only cause errors about its length.
    if problems.errors() == before { values } else { Vec::new() }
}

fn read_form(
    kind: SettingType,
    entry: &MapEntry,
    form: &[MapEntry],
    problems: &mut Problems<'_>,
) -> Vec<(Value, Span)> {
    let before = problems.errors();
    for key in form.iter().filter(|key| !KEYS.contains(&key.key.as_str())) {
        scalar::unknown_key(key, &entry.key, &KEYS, problems);
    }
    let get = |name: &str| form.iter().find(|key| key.key == name);
    if let Some(values) = get("values") {
        if let Some(other) = form.iter().find(|key| KEYS[1..].contains(&key.key.as_str())) {
            problems.error(other.key_span, format!("`values` and `{}` exclude each other", other.key));
        }
        let what = format!("{}.values", entry.key);
        return match scalar::list(&values.value, &what, problems) {
            Some(items) => read_list(kind, entry, &values.value, items, problems),
            None => Vec::new(),
        };
    }
    if problems.errors() > before {
        return Vec::new();
    }
    let (Some(min), Some(max), Some(count)) = (get("min"), get("max"), get("count")) else {
        let missing: Vec<_> =
            ["min", "max", "count"].into_iter().filter(|name| get(name).is_none()).collect();
        problems
            .error(entry.value.span, format!("`{}` lacks {}", entry.key, missing.join(" and ")))
            .help("give a list, `{values: [...]}` or `{min: ..., max: ..., count: ...}`");
        return Vec::new();
    };
    let logarithmic = match get("scale").map(|scale| (&scale.value.value, scale.value.span)) {
        None => Some(false),
        Some((Raw::Text(text), _)) if text == "linear" => Some(false),
        Some((Raw::Text(text), _)) if text == "log" => Some(true),
        Some((other, span)) => {
            let found = other.describe();
            problems.error(span, format!("`{}.scale` must be `linear` or `log`, found {found}", entry.key));
            None
        }
    };
    read_range(kind, entry, (&min.value, &max.value, &count.value), logarithmic, problems).unwrap_or_default()
}

fn read_range(
    kind: SettingType,
    entry: &MapEntry,
    (min, max, count): (&Node, &Node, &Node),
    logarithmic: Option<bool>,
    problems: &mut Problems<'_>,
) -> Option<Vec<(Value, Span)>> {
    let path = &entry.key;
    let integers = match kind.field().map(|field| &field.kind) {
        Some(Kind::Integer { .. }) => true,
        None | Some(Kind::Number { .. }) => false,
        Some(other) => {
            problems
                .error(entry.value.span, format!("`{path}` has no range: it must be {other}"))
                .help("list its values");
            return None;
        }
    };
    let first = read_end(kind, path, min, problems);
    let last = read_end(kind, path, max, problems);
    let steps = scalar::integer(count, &format!("`{path}.count`"), 2, MAX_RANGE, problems);
    let (first, last, logarithmic) = (first?, last?, logarithmic?);
    let (low, high) = (first.as_f64()?, last.as_f64()?);
    if low >= high {
        problems
            .error(
                max.span,
                format!("the range of `{path}` begins at {first}, which is not below its end {last}"),
            )
            .help("`min` must be less than `max`");
        return None;
    }
    if logarithmic && low <= 0.0 {
        problems
            .error(min.span, format!("a logarithmic range cannot begin at {first}"))
            .help("begin above 0, or use `scale: linear`");
        return None;
    }
    let steps = steps?;
    let mut values = vec![first];
    for step in 1..steps - 1 {
        #[expect(clippy::cast_precision_loss, reason = "both are small")]
        let share = step as f64 / (steps - 1) as f64;
        let value = if logarithmic {
            (low.ln() * (1.0 - share) + high.ln() * share).exp()
        } else {
            low * (1.0 - share) + high * share
        };
        values.push(if integers {
            nearest_integer(value).into()
        } else {
            let value = tidy(value).clamp(low, high);
            if kind.field().is_some() { value.into() } else { vocabulary::number(value) }
        });
    }
    values.push(last);
    if values.windows(2).any(|pair| pair[0] == pair[1]) {
        problems
            .error(
                count.span,
                format!("between {} and {} there are not {steps} different values", values[0], high),
            )
            .help("lower `count`");
        return None;
    }
    Some(values.into_iter().map(|value| (value, entry.value.span)).collect())
}

/// The first or last value of a range.
fn read_end(kind: SettingType, path: &str, node: &Node, problems: &mut Problems<'_>) -> Option<Value> {
    if kind.field().is_none() && scalar::number(&node.value).is_none() {
        let found = node.value.describe();
        problems
            .error(node.span, format!("a range of `{path}` needs numbers, found {found}"))
            .help("list its values");
        return None;
    }
    kind.read(path, node, problems)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value lies between two values of an integer field, which are not negative"
)]
fn nearest_integer(value: f64) -> u64 {
    value.round() as u64
}

/// Rounds to 12 significant digits. A range then contains 0.3 instead of 0.30000000000000004, and the same numbers on
/// every platform, although the logarithms of platforms differ in the last bit.
fn tidy(value: f64) -> f64 {
    format!("{value:.11e}").parse().unwrap_or(value)
}

/// Reads `zip`: groups of indices into `parameters`.
pub(crate) fn read_zip(
    node: &Node,
    parameters: &[Parameter],
    problems: &mut Problems<'_>,
) -> Vec<Vec<usize>> {
    let Some(groups) = scalar::list(node, "zip", problems) else { return Vec::new() };
    let mut taken: HashMap<usize, Span> = HashMap::new();
    let mut zipped = Vec::new();
    for group in groups {
        let Raw::List(members) = &group.value else {
            let found = group.value.describe();
            problems
                .error(group.span, format!("a group of `zip` must be a list of parameters, found {found}"))
                .help("`zip` is a list of groups: `zip: [[a, b], [c, d]]`");
            continue;
        };
        let before = problems.errors();
        let mut indices = Vec::new();
        for member in members {
            let Some(path) = scalar::text(member, "zip", problems) else { continue };
            let Some(index) = parameters.iter().position(|parameter| parameter.path == path) else {
                let known = parameters.iter().map(|parameter| parameter.path.as_str());
                problems
                    .error(member.span, format!("`{path}` is not one of the parameters"))
                    .maybe_help(did_you_mean(path, known));
                continue;
            };
            if let Some(&first) = taken.get(&index) {
                problems
                    .error(member.span, format!("`{path}` is zipped twice"))
                    .note(first, "the first time is here");
                continue;
            }
            taken.insert(index, member.span);
            indices.push((index, member.span));
        }
        if problems.errors() > before {
            continue;
        }
        if indices.len() < 2 {
            problems.error(group.span, "a group of `zip` needs at least two parameters");
            continue;
        }
        check_lengths(&indices, parameters, problems);
        zipped.push(indices.into_iter().map(|(index, _)| index).collect());
    }
    zipped
}

fn check_lengths(members: &[(usize, Span)], parameters: &[Parameter], problems: &mut Problems<'_>) {
    let length = |index: usize| parameters[index].values.len();
    // A parameter without values already has its own error.
    if members.iter().any(|(index, _)| length(*index) == 0) {
        return;
    }
    let first = members[0].0;
    let Some(&(other, span)) = members.iter().find(|(index, _)| length(*index) != length(first)) else {
        return;
    };
    let (a, b) = (&parameters[first], &parameters[other]);
    problems
        .error(
            span,
            format!(
                "zipped parameters need equally many values: `{}` has {}, `{}` has {}",
                a.path,
                a.values.len(),
                b.path,
                b.values.len()
            ),
        )
        .note(a.span, counted_len(a.values.len(), "value"))
        .note(b.span, counted_len(b.values.len(), "value"))
        .help("make them equally long, or take one out of the group to combine each with each");
}

/// Refuses values that would give the same point twice.
pub(crate) fn refuse_duplicates(parameters: &[Parameter], zip: &[Vec<usize>], problems: &mut Problems<'_>) {
    for (index, parameter) in parameters.iter().enumerate() {
        // In a group a value may be repeated if the others differ.
        if zip.iter().any(|group| group.contains(&index)) {
            continue;
        }
        let mut seen = HashMap::new();
        for (value, span) in &parameter.values {
            if let Some(first) = seen.insert(value, *span) {
                problems
                    .error(*span, format!("`{}` has the value {value} twice", parameter.path))
                    .note(first, "the first one is here");
            }
        }
    }
    for group in zip {
        let mut seen = HashMap::new();
        let length = group.iter().map(|index| parameters[*index].values.len()).min().unwrap_or(0);
        for step in 0..length {
            let point: Vec<_> = group.iter().map(|index| &parameters[*index].values[step].0).collect();
            if let Some(first) = seen.insert(point, step) {
                let values = &parameters[group[0]].values;
                problems
                    .error(values[step].1, "the zipped parameters take the same values twice")
                    .note(values[first].1, "the first time is here");
            }
        }
    }
}
