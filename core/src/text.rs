//! Shortened texts, nouns with numbers, and texts without characters that control a terminal.

/// The text, cut at a character boundary to at most this number of bytes.
#[must_use]
pub fn shortened(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].to_owned()
}

/// `1 task`, `2 tasks`, `1 entry`, `2 entries`, `2 processes`: a regular English noun with its number.
#[must_use]
pub fn counted(number: u64, noun: &str) -> String {
    if number == 1 {
        return format!("1 {noun}");
    }
    match noun.strip_suffix('y') {
        None if noun.ends_with('s') => format!("{number} {noun}es"),
        Some(stem) if !stem.ends_with(['a', 'e', 'i', 'o', 'u']) => format!("{number} {stem}ies"),
        _ => format!("{number} {noun}s"),
    }
}

/// The same as [`counted`] for the length of a collection.
#[must_use]
pub fn counted_len(number: usize, noun: &str) -> String {
    counted(number as u64, noun)
}

/// A number of bytes for people, such as `8.0 GB`.
#[must_use]
pub fn bytes(number: u64) -> String {
    bytesize::ByteSize(number).display().si().to_string()
}

/// Whether a character does something other than being shown. It could control a terminal, or change the order or the
/// lines of the text around it (<https://www.unicode.org/reports/tr9/>), so that a reader sees another text.
#[must_use]
pub fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            // Arabic letter mark, left-to-right and right-to-left mark.
            '\u{061c}' | '\u{200e}' | '\u{200f}'
            // Line and paragraph separator; embeddings and overrides.
            | '\u{2028}'..='\u{202e}'
            // Isolates.
            | '\u{2066}'..='\u{2069}'
        )
}

/// The text without the characters for which [`is_unprintable`] is true.
#[must_use]
pub fn printable(mut text: String) -> String {
    text.retain(|character| !is_unprintable(character));
    text
}

/// Like [`printable`], for text that may have several lines.
#[must_use]
pub fn printable_lines(mut text: String) -> String {
    text.retain(|character| !is_unprintable(character) || matches!(character, '\n' | '\t'));
    text
}

/// The text on one line, with a space instead of each character for which [`is_unprintable`] is true.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.chars().map(|character| if is_unprintable(character) { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::{counted, one_line, printable, printable_lines, shortened};

    #[test]
    fn nouns_agree_with_their_numbers() {
        assert_eq!(counted(1, "task"), "1 task");
        assert_eq!(counted(0, "task"), "0 tasks");
        assert_eq!(counted(2, "journal entry"), "2 journal entries");
        assert_eq!(counted(1, "journal entry"), "1 journal entry");
        assert_eq!(counted(2, "day"), "2 days");
        assert_eq!(counted(2, "process"), "2 processes");
    }

    /// All characters with which Unicode changes the direction of text, and those that control terminals.
    const STEERING: &str = "\u{1b}\u{7f}\u{9b}\r\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";

    #[test]
    fn what_steers_is_left_out_and_what_is_read_stays() {
        let text = |inside: &str| format!("Grüße{inside}\tשלום\n日本 👩‍🔬");
        assert_eq!(printable_lines(text(STEERING)), text(""));
        assert_eq!(printable(text(STEERING)), "Grüßeשלום日本 👩‍🔬");
        let spaces = " ".repeat(STEERING.chars().count());
        assert_eq!(one_line(&text(STEERING)), format!("Grüße{spaces} שלום 日本 👩‍🔬"));
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(shortened("häppy", 9), "häppy");
        assert_eq!(shortened("häppy", 3), "hä");
        assert_eq!(shortened("häppy", 2), "h");
        assert_eq!(shortened("ä", 1), "");
    }
}
