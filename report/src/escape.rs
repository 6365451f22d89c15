//! Escapes text for HTML and SVG, in templates and in charts.

use std::fmt;

use askama::filters::Escaper;
use colearn_core::text::is_unprintable;

/// Escapes text for element content and for attribute values in double or single quotes. Control characters, which
/// XML does not allow, and text direction marks become the replacement character.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Markup;

impl Escaper for Markup {
    fn write_escaped_str<W: fmt::Write>(&self, mut to: W, text: &str) -> fmt::Result {
        let mut plain = 0;
        for (at, character) in text.char_indices() {
            let escaped = match character {
                '&' => "&amp;",
                '<' => "&lt;",
                '>' => "&gt;",
                '"' => "&quot;",
                '\'' => "&#39;",
                '\n' | '\t' => continue,
                other if is_unprintable(other) => "\u{fffd}",
                _ => continue,
            };
            to.write_str(text.get(plain..at).unwrap_or_default())?;
            to.write_str(escaped)?;
            plain = at + character.len_utf8();
        }
        to.write_str(text.get(plain..).unwrap_or_default())
    }
}

/// The same, of the texts of a chart.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    // A string takes everything.
    let _: fmt::Result = Markup.write_escaped_str(&mut escaped, text);
    escaped
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn nothing_is_left_that_could_end_a_text_or_an_attribute() {
        assert_eq!(escape("abc\u{202e}fdp.exe\u{2066}"), "abc\u{fffd}fdp.exe\u{fffd}");
        assert_eq!(escape("<a b=\"c\" d='e'>&\u{0}"), "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;\u{fffd}");
        assert_eq!(escape("é<ü\n\tö"), "é&lt;ü\n\tö");
    }
}
