//! The words of a name.

use serde_json::Value;

use crate::text::is_unprintable;

/// The last word of a path, unless another column ends in it too.
#[must_use]
pub fn short_path<'p>(path: &'p str, columns: &[String]) -> &'p str {
    let last = |path: &'p str| path.rsplit('.').next().filter(|last| !last.is_empty()).unwrap_or(path);
    let alone = columns.iter().filter(|other| other.rsplit('.').next() == Some(last(path))).count() <= 1;
    if alone { last(path) } else { path }
}

/// A setting with its value: `audio=0.8`; `unimodal` alone for `unimodal=true`.
pub(super) fn pair(path: &str, value: &Value) -> String {
    let path = crate::text::one_line(path);
    if *value == Value::Bool(true) { path } else { format!("{path}={}", word(value)) }
}

/// A value as one word. A text that another value or the next word could be taken for is in quotes.
#[must_use]
pub fn word(value: &Value) -> String {
    let plain = |text: &str| {
        !text.is_empty()
            && !text
                .contains(|c: char| c.is_whitespace() || is_unprintable(c) || matches!(c, '"' | '=' | ','))
            && !text.starts_with(['[', '{'])
            && serde_json::from_str::<Value>(text).is_err()
    };
    match value {
        Value::String(text) if plain(text) => text.clone(),
        value => escaped(&value.to_string()),
    }
}

/// JSON in which every character is shown as it is.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if is_unprintable(character) {
            let mut units = [0; 2];
            text.extend(character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            text.push(character);
        }
    }
    text
}

/// A name as one word of a command line, with commas between its words: `audio=0.8,video=0.8`.
#[must_use]
pub fn as_argument(name: &str) -> String {
    split(name).join(",")
}

/// The words of a name. They are separated by blanks or commas, except in quotes and brackets.
pub(super) fn split(name: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        let value = rest.find('=').map_or(0, |at| at + 1);
        let end = |from: usize| {
            let blank = |c: char| c.is_whitespace() || c == ',';
            rest[from..].find(blank).map_or(rest.len(), |at| from + at)
        };
        let mut to = end(0);
        // A value in quotes or brackets extends to their end.
        if value > 0 && value <= to && rest[value..].starts_with(['"', '[', '{']) {
            let mut values = serde_json::Deserializer::from_str(&rest[value..]).into_iter::<Value>();
            to = match values.next() {
                Some(Ok(_)) => end(value + values.byte_offset()),
                _ => to,
            };
        }
        let (word, after) = rest.split_at(to);
        words.extend(Some(word).filter(|word| !word.is_empty()));
        rest = after;
    }
    words
}
