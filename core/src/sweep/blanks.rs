//! Characters that look like spaces but are letters in YAML. Word processors and web pages produce them.

use super::diagnostic::{Problems, Span};

/// Whether `c` looks like a space or is invisible, but is neither a space nor a line break in YAML.
fn is_odd(c: char) -> bool {
    let unseen = matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}');
    unseen || (!c.is_ascii() && c.is_whitespace())
}

fn name(c: char) -> &'static str {
    match c {
        '\u{a0}' | '\u{202f}' => "a no-break space",
        '\u{200b}' => "a zero-width space",
        '\u{feff}' => "a byte order mark",
        '\u{3000}' => "an ideographic space",
        _ => "a blank",
    }
}

/// Warns of the first such character in each line, except in comments and the description.
pub(super) fn warn(problems: &mut Problems<'_>) {
    let text = problems.source.text;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let code = &line[..comment(line)];
        // At the beginning of the file it is a byte order mark.
        let found = code.char_indices().find(|&(at, c)| is_odd(c) && start + at > 0);
        if let Some((at, c)) = found.filter(|_| !code.starts_with("description:")) {
            let span = Span { start: start + at, end: start + at + c.len_utf8() };
            let message =
                format!("this is {} (U+{:04X}), which YAML treats as a letter", name(c), u32::from(c));
            problems.warning(span, message).help("replace it by a space that is typed on the keyboard");
        }
        start += line.len();
    }
}

/// The offset of the comment of a line, or the length of the line.
fn comment(line: &str) -> usize {
    let begins = |&(at, _): &(usize, &str)| at == 0 || line[..at].ends_with(char::is_whitespace);
    line.match_indices('#').find(begins).map_or(line.len(), |(at, _)| at)
}
