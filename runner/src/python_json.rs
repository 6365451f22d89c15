//! JSON as Python writes it: with `NaN`, `Infinity` and `-Infinity` as numbers.

use serde_json::Value;

/// Texts that stand for the numbers that JSON does not have; no program writes a text with this control character
/// by accident.
const MARK: char = '\u{1}';
const NUMBERS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// A number, or the reason why a value is none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Number {
    Finite(f64),
    /// `NaN`, `Infinity` or `-Infinity`.
    NotFinite(String),
    /// `null`, which Python writes for `None`.
    Null,
    /// What the value is instead, such as `a text`.
    Not(&'static str),
}

/// Parses JSON in which numbers may be not finite; see [`number`].
pub(crate) fn parse(text: &str) -> serde_json::Result<Value> {
    match serde_json::from_str(text) {
        Err(error) if NUMBERS.iter().any(|name| text.contains(name)) => {
            serde_json::from_str(&marked(text)).map_err(|_| error)
        }
        parsed => parsed,
    }
}

/// The text with each number that is not finite as a marked text.
fn marked(text: &str) -> String {
    let mut marked = String::with_capacity(text.len() + 16);
    let mut rest = text;
    let mut in_text = false;
    while let Some(next) = rest.chars().next() {
        let name = NUMBERS.iter().find(|name| !in_text && rest.starts_with(**name));
        if let Some(name) = name {
            // As an escape sequence: a control character may not stand in a text.
            marked.push_str(&format!("\"\\u{:04x}{name}\"", u32::from(MARK)));
            rest = &rest[name.len()..];
            continue;
        }
        let mut length = next.len_utf8();
        match next {
            '"' => in_text = !in_text,
            // The next character is part of an escape sequence.
            '\\' if in_text => length += rest[length..].chars().next().map_or(0, char::len_utf8),
            _ => {}
        }
        marked.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    marked
}

/// The number that a value is.
pub(crate) fn number(value: &Value) -> Number {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(number) if number.is_finite() => Number::Finite(number),
            _ => Number::NotFinite(number.to_string()),
        },
        Value::String(text) => match text.strip_prefix(MARK) {
            Some(name) => Number::NotFinite(name.to_owned()),
            None => Number::Not("a text"),
        },
        Value::Bool(_) => Number::Not("a boolean"),
        Value::Null => Number::Null,
        Value::Array(_) => Number::Not("a list"),
        Value::Object(_) => Number::Not("an object"),
    }
}

/// A number in a text, such as one that a pattern matched.
pub(crate) fn number_in(text: &str) -> Number {
    match text.trim().parse::<f64>() {
        Ok(number) if number.is_finite() => Number::Finite(number),
        Ok(_) => Number::NotFinite(text.trim().to_owned()),
        Err(_) => Number::Not("a text"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_not_finite_are_understood_outside_of_texts_only() {
        let text = r#"{"a": NaN, "b": [-Infinity, Infinity], "NaN": "x \" NaN, Infinity \\", "c": 1}"#;
        let value = parse(text).unwrap();
        assert_eq!(number(&value["a"]), Number::NotFinite("NaN".to_owned()));
        assert_eq!(number(&value["b"][0]), Number::NotFinite("-Infinity".to_owned()));
        assert_eq!(number(&value["b"][1]), Number::NotFinite("Infinity".to_owned()));
        assert_eq!(value["NaN"], "x \" NaN, Infinity \\");
        assert_eq!(number(&value["c"]), Number::Finite(1.0));
        assert_eq!(number(&parse("[true]").unwrap()[0]), Number::Not("a boolean"));
        for bad in ["{NaN", "{\"a\": NaN5}", "nan", "{\"a\": +Infinity}", "\\", "\"NaN"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn texts_are_numbers_as_people_write_them() {
        assert_eq!(number_in(" 1e-3"), Number::Finite(0.001));
        assert_eq!(number_in("nan"), Number::NotFinite("nan".to_owned()));
        assert_eq!(number_in("-inf"), Number::NotFinite("-inf".to_owned()));
        assert_eq!(number_in("93%"), Number::Not("a text"));
    }
}
