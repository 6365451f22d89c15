//! `path: value` pairs: entries of `include` and `exclude`, and `report.baseline`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    diagnostic::{Problems, Span},
    mentions::Mentions,
    raw::{MapEntry, Node, Raw},
    scalar,
};

/// `path: value` pairs, as in `include`, `exclude` and `report.baseline`.
#[derive(Debug)]
pub(crate) struct Point {
    pub(crate) values: BTreeMap<String, Value>,
    pub(crate) span: Span,
}

/// Reads a list of them.
pub(crate) fn read_points(
    entry: &MapEntry,
    mentions: &mut Mentions,
    problems: &mut Problems<'_>,
) -> Vec<Point> {
    let Some(items) = scalar::list(&entry.value, &entry.key, problems) else { return Vec::new() };
    items.iter().filter_map(|item| read_point(item, &entry.key, mentions, problems)).collect()
}

/// Reads `path: value` pairs.
pub(crate) fn read_point(
    node: &Node,
    what: &str,
    mentions: &mut Mentions,
    problems: &mut Problems<'_>,
) -> Option<Point> {
    let entries = match &node.value {
        Raw::Map(entries) => entries,
        other => {
            let found = other.describe();
            problems
                .error(node.span, format!("`{what}` takes mappings from settings to values, found {found}"))
                .help("such as `{unimodal: true}`");
            return None;
        }
    };
    let before = problems.errors();
    let mut values = BTreeMap::new();
    for entry in entries {
        let Some(field) = scalar::path_field(&entry.key, entry.key_span, problems) else { continue };
        mentions.setting(field, &entry.key, entry.key_span);
        if let Some(value) = scalar::setting(field, &entry.key, &entry.value, problems) {
            mentions.value(&entry.key, &value, entry.value.span);
            values.insert(entry.key.clone(), value);
        }
    }
    (problems.errors() == before).then_some(Point { values, span: node.span })
}
