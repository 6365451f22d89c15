//! Texts that must fit somewhere.

/// The text, cut at a character's boundary to at most so many bytes.
#[must_use]
pub fn shortened(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(shortened("häppy", 9), "häppy");
        assert_eq!(shortened("häppy", 3), "hä");
        assert_eq!(shortened("häppy", 2), "h");
        assert_eq!(shortened("ä", 1), "");
    }
}
