//! Escapes text for HTML and SVG.

use colearn_core::text::is_unprintable;

/// Escapes text for element content and for attribute values in double or single quotes. Control characters, which
/// XML does not allow, and text direction marks become the replacement character.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(character),
            other if is_unprintable(other) => escaped.push(char::REPLACEMENT_CHARACTER),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn nothing_is_left_that_could_end_a_text_or_an_attribute() {
        assert_eq!(escape("abc\u{202e}fdp.exe\u{2066}"), "abc\u{fffd}fdp.exe\u{fffd}");
        assert_eq!(escape("<a b=\"c\" d='e'>&\u{0}"), "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;\u{fffd}");
    }
}
