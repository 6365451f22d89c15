//! A sweep file as it is written: a tree in which every key and value has its position.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::{
    MergeKeyPolicy, NonFiniteFloatPolicy, Options, Spanned,
    budget::BudgetBreach,
    options::{AliasLimits, DuplicateKeyPolicy},
};

use super::diagnostic::{Problems, Span, SweepSource};

/// Maximum size of a sweep file, in bytes.
pub(crate) const MAX_BYTES: usize = 1 << 20;
/// Maximum number of keys, values and collections in a sweep file.
pub(crate) const MAX_NODES: usize = 20_000;
/// Maximum number of documents in a file. All but one must be empty, such as the one after a final `---`.
const MAX_DOCUMENTS: usize = 100;
/// Maximum number of anchors, and of aliases, in a sweep file.
const MAX_ANCHORS: usize = 100;
const MAX_ALIASES: usize = 1_000;
/// Maximum nesting depth.
pub(crate) const MAX_DEPTH: usize = 32;

/// A value and its position.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Raw,
    pub(crate) span: Span,
}

/// A value as it is written. Mappings keep their order and, before conversion, their duplicate keys.
#[derive(Clone, Debug)]
pub(crate) enum Raw {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<MapEntry>),
}

/// One `key: value` of a mapping.
#[derive(Clone, Debug)]
pub(crate) struct MapEntry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

impl Raw {
    /// The kind of the value, for messages: `found ...`.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Null => "nothing (`~`, `null` or no value)".to_owned(),
            Self::Bool(value) => format!("`{value}`"),
            Self::Integer(value) => format!("the integer {value}"),
            Self::Float(value) => format!("the number {value:?}"),
            Self::Text(text) if text.chars().count() > 40 => "a text".to_owned(),
            Self::Text(text) => format!("the text `{text}`"),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// Reads the text. Invalid YAML is the only error then; duplicate and non-text keys are reported and left out.
pub(crate) fn read(problems: &mut Problems<'_>) -> Option<Node> {
    let source = problems.source;
    if source.text.len() > MAX_BYTES {
        let size = source.text.len();
        problems
            .error(Span::default(), format!("the file has {size} bytes; at most {MAX_BYTES} are allowed"));
        return None;
    }
    // Empty documents are skipped.
    match serde_yaml::from_multiple_with_options::<Spanned<Parsed>>(source.text, options()) {
        Ok(documents) => {
            let mut documents = documents.into_iter();
            let first = documents.next();
            if let Some(second) = documents.next() {
                let span = span_of(&second, source);
                problems
                    .error(span, "one file holds one sweep, but a second document begins here")
                    .help("a line `---` ends the first: write each sweep to a file of its own");
                return None;
            }
            let nothing = Node { value: Raw::Null, span: Span::default() };
            Some(first.map_or(nothing, |tree| convert(tree, problems)))
        }
        Err(error) => {
            let span = error.location().map_or_else(Span::default, |at| {
                let start = source.offset(index(at.line()), index(at.column()));
                Span { start, end: start + 1 }
            });
            let error = error.without_snippet();
            problems.error(span, explain(error)).maybe_help(match error {
                serde_yaml::Error::MergeKeyNotAllowed { .. } => {
                    Some("write the settings out: merge keys are not supported".to_owned())
                }
                _ => None,
            });
            None
        }
    }
}

/// The message of the YAML library, without the position, which is shown beside it.
fn explain(error: &serde_yaml::Error) -> String {
    use serde_yaml::Error;
    match error {
        Error::AliasError { error, .. } => explain(error),
        Error::Budget { breach, .. } => exceeded(breach),
        Error::AliasReplayLimitExceeded { .. } | Error::AliasReplayStackDepthExceeded { .. } => too_large(),
        Error::MergeKeyNotAllowed { .. } => "`<<` is not allowed".to_owned(),
        error => {
            let text = error.to_string();
            let text = text.split(" at line ").next().unwrap_or(&text);
            format!("this is not valid YAML: {text}")
        }
    }
}

fn too_large() -> String {
    format!("the file is too large or too deeply nested: at most {MAX_NODES} values, {MAX_DEPTH} levels deep")
}

/// The message for the limit that the file exceeds.
fn exceeded(breach: &BudgetBreach) -> String {
    match breach {
        BudgetBreach::Documents { .. } => {
            format!("the file has more than {MAX_DOCUMENTS} documents; one file holds one sweep")
        }
        BudgetBreach::Anchors { .. }
        | BudgetBreach::Aliases { .. }
        | BudgetBreach::AliasAnchorRatio { .. }
        | BudgetBreach::RecordedAnchorEvents { .. }
        | BudgetBreach::RecordedAnchorBytes { .. } => {
            format!(
                "the file has too many anchors or aliases: at most {MAX_ANCHORS} `&` and {MAX_ALIASES} `*`"
            )
        }
        _ => too_large(),
    }
}

fn options() -> Options {
    serde_yaml::options! {
        budget: serde_yaml::budget! {
            max_nodes: MAX_NODES,
            max_events: 3 * MAX_NODES,
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_documents: MAX_DOCUMENTS,
            max_aliases: MAX_ALIASES,
            max_anchors: MAX_ANCHORS,
            max_recorded_anchor_events: MAX_NODES,
            max_total_scalar_bytes: MAX_BYTES,
        },
        alias_limits: alias_limits(),
        // `convert` reports duplicate keys: all of them, with both positions.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Error,
        // `no` and `y` are words, not booleans (YAML 1.2).
        strict_booleans: true,
        // `convert` refuses these values and gives the position.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    }
}

fn alias_limits() -> AliasLimits {
    serde_yaml::alias_limits! {
        max_total_replayed_events: MAX_NODES,
        max_replay_stack_depth: MAX_DEPTH,
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The tree as the YAML library returns it.
#[derive(Debug)]
enum Parsed {
    Scalar(Raw),
    List(Vec<Spanned<Parsed>>),
    Map(Vec<(Spanned<Parsed>, Spanned<Parsed>)>),
}

impl<'de> Deserialize<'de> for Parsed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ParsedVisitor)
    }
}

struct ParsedVisitor;

impl<'de> Visitor<'de> for ParsedVisitor {
    type Value = Parsed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Parsed, E> {
        Ok(Parsed::Scalar(Raw::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Parsed, E> {
        Ok(Parsed::Scalar(Raw::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Parsed, E> {
        Ok(Parsed::Scalar(Raw::Integer(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Parsed, E> {
        Ok(Parsed::Scalar(Raw::Integer(value.into())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Parsed, E> {
        Ok(Parsed::Scalar(Raw::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Parsed, E> {
        Ok(Parsed::Scalar(Raw::Text(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Parsed, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = access.next_element()? {
            list.push(item);
        }
        Ok(Parsed::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Parsed, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = access.next_entry()? {
            map.push(entry);
        }
        Ok(Parsed::Map(map))
    }
}

fn convert(tree: Spanned<Parsed>, problems: &mut Problems<'_>) -> Node {
    let mut span = span_of(&tree, problems.source);
    let value = match tree.value {
        Parsed::Scalar(Raw::Float(value)) if !value.is_finite() => {
            let text = problems.source.text.get(span.start..span.end).unwrap_or("this");
            problems.error(span, format!("`{text}` is not a finite number"));
            Raw::Float(value)
        }
        Parsed::Scalar(value) => value,
        Parsed::List(list) => {
            let list: Vec<Node> = list.into_iter().map(|item| convert(item, problems)).collect();
            widen(&mut span, list.last().map(|node| node.span), problems.source.text);
            Raw::List(list)
        }
        Parsed::Map(map) => {
            let entries = convert_entries(map, problems);
            widen(&mut span, entries.last().map(|entry| entry.value.span), problems.source.text);
            Raw::Map(entries)
        }
    };
    Node { value, span }
}

fn convert_entries(
    map: Vec<(Spanned<Parsed>, Spanned<Parsed>)>,
    problems: &mut Problems<'_>,
) -> Vec<MapEntry> {
    let mut entries: Vec<MapEntry> = Vec::with_capacity(map.len());
    let mut seen = std::collections::HashMap::new();
    for (key, value) in map {
        let key = convert(key, problems);
        let value = convert(value, problems);
        let Raw::Text(text) = key.value else {
            let found = key.value.describe();
            problems.error(key.span, format!("a key must be a text, found {found}"));
            continue;
        };
        if let Some(&first) = seen.get(&text) {
            problems
                .error(key.span, format!("the key `{text}` is given twice"))
                .note(first, "the first one is here");
            continue;
        }
        seen.insert(text.clone(), key.span);
        entries.push(MapEntry { key: text, key_span: key.span, value });
    }
    entries
}

/// The position where the value is *used*: for an alias, that of the alias.
fn span_of(tree: &Spanned<Parsed>, source: &SweepSource<'_>) -> Span {
    let at = tree.referenced;
    match (at.span().byte_offset(), at.span().byte_len()) {
        (Some(start), Some(len)) => Span { start: index(start), end: index(start) + index(len) },
        _ => {
            let start = source.offset(index(at.line()), index(at.column()));
            Span { start, end: start }
        }
    }
}

/// The library gives only the beginning of a collection. This extends the span over the last item and the closing
/// bracket.
fn widen(span: &mut Span, last: Option<Span>, text: &str) {
    if let Some(last) = last {
        span.end = span.end.max(last.end);
    }
    let opening = text.as_bytes().get(span.start);
    let closing = match opening {
        Some(b'[') => ']',
        Some(b'{') => '}',
        _ => return,
    };
    let rest = text.get(span.end..).unwrap_or("");
    if rest.trim_start().starts_with(closing) {
        span.end += rest.len() - rest.trim_start().len() + 1;
    }
}
