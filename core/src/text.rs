//! Shortened texts, and nouns with numbers.

/// The text, cut at a character's boundary to at most so many bytes.
#[must_use]
pub fn shortened(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].to_owned()
}

/// `1 task`, `2 tasks`, `1 entry`, `2 entries`: a regular English noun with its number.
#[must_use]
pub fn counted(number: u64, noun: &str) -> String {
    if number == 1 {
        return format!("1 {noun}");
    }
    match noun.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'i', 'o', 'u']) => format!("{number} {stem}ies"),
        _ => format!("{number} {noun}s"),
    }
}

/// The same for the length of a collection.
#[must_use]
pub fn counted_len(number: usize, noun: &str) -> String {
    counted(number as u64, noun)
}

#[cfg(test)]
mod tests {
    use super::{counted, shortened};

    #[test]
    fn nouns_agree_with_their_numbers() {
        assert_eq!(counted(1, "task"), "1 task");
        assert_eq!(counted(0, "task"), "0 tasks");
        assert_eq!(counted(2, "journal entry"), "2 journal entries");
        assert_eq!(counted(1, "journal entry"), "1 journal entry");
        assert_eq!(counted(2, "day"), "2 days");
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(shortened("häppy", 9), "häppy");
        assert_eq!(shortened("häppy", 3), "hä");
        assert_eq!(shortened("häppy", 2), "h");
        assert_eq!(shortened("ä", 1), "");
    }
}
