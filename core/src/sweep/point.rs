//! `path: value` pairs: entries of `include` and `exclude`, and `report.baseline`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    diagnostic::{Problems, Span},
    mentions::Mentions,
    raw::{MapEntry, Node, Raw},
    scalar,
    vocabulary::Vocabulary,
};

/// `path: value` pairs, as in `include`, `exclude` and `report.baseline`.
#[derive(Debug)]
pub(crate) struct Point {
    pub(crate) values: BTreeMap<String, Value>,
    /// Their names in the order of the file, with their positions.
    pub(crate) names: Vec<(String, Span)>,
    pub(crate) span: Span,
}

/// Reads a list of them.
pub(crate) fn read_points(
    entry: &MapEntry,
    vocabulary: Vocabulary,
    mentions: &mut Mentions,
    problems: &mut Problems<'_>,
) -> Vec<Point> {
    let Some(items) = scalar::list(&entry.value, &entry.key, problems) else { return Vec::new() };
    items.iter().filter_map(|item| read_point(item, &entry.key, vocabulary, mentions, problems)).collect()
}

/// Reads `path: value` pairs.
pub(crate) fn read_point(
    node: &Node,
    what: &str,
    vocabulary: Vocabulary,
    mentions: &mut Mentions,
    problems: &mut Problems<'_>,
) -> Option<Point> {
    let entries = match &node.value {
        Raw::Map(entries) => entries,
        other => {
            let found = other.describe();
            problems
                .error(node.span, format!("`{what}` takes mappings from settings to values, found {found}"))
                .help(match vocabulary {
                    Vocabulary::Networks => "such as `{unimodal: true}`",
                    Vocabulary::Own => "such as `{lr: 0.1}`",
                });
            return None;
        }
    };
    let before = problems.errors();
    let mut values = BTreeMap::new();
    let mut names = Vec::new();
    for entry in entries {
        let Some(kind) = vocabulary.type_of(&entry.key, entry.key_span, problems) else { continue };
        mentions.setting(kind, &entry.key, entry.key_span);
        if let Some(value) = kind.read(&entry.key, &entry.value, problems) {
            mentions.value(kind, &entry.key, &value, entry.value.span);
            names.push((entry.key.clone(), entry.key_span));
            values.insert(entry.key.clone(), value);
        }
    }
    (problems.errors() == before).then_some(Point { values, names, span: node.span })
}
