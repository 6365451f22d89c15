//! What a client is told when it is refused: a text that always arrives.
//!
//! The text of a status travels in a header, percent-encoded. Clients take 16 KiB of headers (hyper), or 8 (gRPC's C core),
//! and tell of more as a broken connection, without a word of what was wrong. `clippy.toml` bans every other way to make a
//! status.

use std::fmt;

use colearn_core::text::printable_lines;
use tonic::{Code, Status};

/// The most bytes of a text as it travels.
const MOST: usize = 6 << 10;
/// What parts of a text are separated by, and how much of it as it travels.
const BETWEEN: &str = "\n\n";
const BETWEEN_BYTES: usize = 6;
/// Room for the line that says how many parts are left out, as it travels.
const REMARK: usize = 64;

/// A status with a text of any length. Of one that is too long those parts are left out that do not fit, parts being
/// separated by an empty line, as diagnostics are; it says how many.
pub(super) fn refusal(code: Code, text: impl fmt::Display) -> Status {
    #[expect(clippy::disallowed_methods, reason = "this is the place where texts are bounded")]
    Status::new(code, fitting(text.to_string()))
}

fn fitting(text: String) -> String {
    let text = printable_lines(text);
    if encoded(&text) <= MOST {
        return text;
    }
    let mut parts: Vec<&str> = text.split(BETWEEN).collect();
    // What was left out of it before.
    let before = parts.last().copied().and_then(left_out);
    if before.is_some() {
        parts.pop();
    }
    let (mut kept, mut used, mut room) = (Vec::new(), 0, MOST - REMARK);
    for part in &parts {
        let size = encoded(part) + BETWEEN_BYTES;
        if size > room {
            break;
        }
        room -= size;
        kept.push((*part).to_owned());
        used += 1;
    }
    if kept.is_empty()
        && let Some(first) = parts.first()
    {
        kept.push(cut(first, room) + " ...");
        used = 1;
    }
    match parts.len() - used + before.unwrap_or(0) {
        0 => {}
        more => kept.push(format!("... and {more} more")),
    }
    kept.join(BETWEEN)
}

/// The number in a last line that says how much is not told.
fn left_out(line: &str) -> Option<usize> {
    line.trim().strip_prefix("... and ")?.strip_suffix(" more")?.parse().ok()
}

/// As much of the beginning as takes at most `most` bytes when it travels.
fn cut(text: &str, most: usize) -> String {
    let mut room = most;
    let fits = |character: &char| {
        let size = size_of(*character);
        let fits = size <= room;
        room = room.saturating_sub(size);
        fits
    };
    text.chars().take_while(fits).collect()
}

/// How many bytes a text is when it travels.
fn encoded(text: &str) -> usize {
    text.chars().map(size_of).sum()
}

fn size_of(character: char) -> usize {
    // Some of the punctuation travels as it is, too.
    if character.is_ascii_alphanumeric() { 1 } else { 3 * character.len_utf8() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_is_told_as_it_is_but_for_what_steers() {
        let status = refusal(Code::NotFound, "there is\nno `x\u{1b}\u{202e}`");
        assert_eq!((status.code(), status.message()), (Code::NotFound, "there is\nno `x`"));
    }

    #[test]
    fn a_long_text_loses_whole_parts_and_says_how_many() {
        let part = |index: usize| format!("error: {index} {}", "x y ".repeat(50));
        let text: Vec<String> = (0..50).map(part).collect();
        let told = fitting(text.join(BETWEEN) + "\n\n... and 7 more");
        assert!(encoded(&told) <= MOST, "{}", encoded(&told));
        let parts: Vec<&str> = told.split(BETWEEN).collect();
        let (last, whole) = parts.split_last().unwrap();
        assert!(whole.len() > 5);
        assert!(whole.iter().zip(0..).all(|(told, index)| *told == part(index)));
        assert_eq!(*last, format!("... and {} more", 57 - whole.len()));
    }

    #[test]
    fn one_part_of_any_length_is_cut() {
        for text in ["9".repeat(100_000), "ä ".repeat(50_000), "👩".repeat(1_000_000)] {
            let told = fitting(text.clone() + "\n\nerror: another");
            assert!(encoded(&told) <= MOST);
            let (first, last) = told.split_once(BETWEEN).unwrap();
            assert!(text.starts_with(first.strip_suffix(" ...").unwrap()) && first.len() > 1000);
            assert_eq!(last, "... and 1 more");
        }
    }
}
