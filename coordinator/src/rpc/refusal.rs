//! The text of a refusal, made so that it always reaches the client.
//!
//! The text of a status is sent in a header, percent-encoded. Clients accept 16 KiB of headers (hyper) or 8 KiB
//! (gRPC's C core), and report more as a broken connection, without the reason. `clippy.toml` bans all other ways to
//! make a status.

use std::fmt;

use colearn_core::text::printable_lines;
use tonic::{Code, Status};

/// Maximum number of bytes of the encoded text.
const MAX_BYTES: usize = 6 << 10;
/// The separator of the parts of a text, and its encoded length.
const BETWEEN: &str = "\n\n";
const BETWEEN_BYTES: usize = 6;
/// Encoded length of the line that says how many parts are left out.
const REMARK: usize = 64;

/// A status with a text of any length. If the text is too long, parts that do not fit are left out, and a line says
/// how many. Parts are separated by an empty line, like diagnostics.
pub(super) fn refusal(code: Code, text: impl fmt::Display) -> Status {
    #[expect(clippy::disallowed_methods, reason = "this is the place where texts are bounded")]
    Status::new(code, fitting(text.to_string()))
}

fn fitting(text: String) -> String {
    let text = printable_lines(text);
    if encoded(&text) <= MAX_BYTES {
        return text;
    }
    let mut parts: Vec<&str> = text.split(BETWEEN).collect();
    // The number of parts that were left out before.
    let before = parts.last().copied().and_then(left_out);
    if before.is_some() {
        parts.pop();
    }
    let (mut kept, mut used, mut room) = (Vec::new(), 0, MAX_BYTES - REMARK);
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

/// The number in a last line that says how many parts are left out.
fn left_out(line: &str) -> Option<usize> {
    line.trim().strip_prefix("... and ")?.strip_suffix(" more")?.parse().ok()
}

/// The longest beginning of a text whose encoding has at most `most` bytes.
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

/// Number of bytes of the encoded text.
fn encoded(text: &str) -> usize {
    text.chars().map(size_of).sum()
}

fn size_of(character: char) -> usize {
    // Some punctuation is not encoded either.
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
        assert!(encoded(&told) <= MAX_BYTES, "{}", encoded(&told));
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
            assert!(encoded(&told) <= MAX_BYTES);
            let (first, last) = told.split_once(BETWEEN).unwrap();
            assert!(text.starts_with(first.strip_suffix(" ...").unwrap()) && first.len() > 1000);
            assert_eq!(last, "... and 1 more");
        }
    }
}
