//! Errors and warnings in a sweep file, shown with the source line as rustc does.

use std::{fmt, sync::Arc};

use serde::Serialize;

use crate::text::{is_unprintable, one_line};

/// A range of bytes in the source text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Maximum number of characters of a line that are kept and shown.
const WINDOW: usize = 120;
/// Number of characters of a long line that are shown before the position.
const BEFORE: usize = 30;

/// Maximum number of characters of a message, and of its end that is kept. A message may quote the file, where a
/// number can have a hundred thousand digits.
const MAX_TEXT: usize = 500;
const END: usize = 150;

/// A position in a sweep file, with its line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourcePlace {
    /// Line number, counting from 1.
    pub line: usize,
    /// Column in characters, counting from 1.
    pub column: usize,
    /// Number of marked characters on this line; at least 1.
    pub length: usize,
    /// The line as it is written; for a long line, the part around the position.
    pub text: String,
    /// Number of characters of the line before `text`.
    pub cut: usize,
}

/// The severity of a diagnostic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The sweep cannot be run as written.
    Error,
    /// The sweep can be run, but a part of it has no effect.
    Warning,
}

/// Additional information about a [`Diagnostic`], with its own position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// A lower-case fragment.
    pub message: String,
    /// The position.
    pub place: SourcePlace,
}

/// One error or warning about a sweep file. `Display` shows it with its line and a caret under the position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Whether the sweep can be run anyway.
    pub severity: Severity,
    /// A lower-case fragment that describes the problem.
    pub message: String,
    /// Name of the file, as the caller gave it.
    pub origin: Arc<str>,
    /// The position.
    pub place: SourcePlace,
    /// Other relevant positions.
    pub notes: Vec<Note>,
    /// The remedy.
    pub help: Option<String>,
}

/// All errors and warnings of a sweep file; at least one error. `Display` shows each with its position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct Diagnostics {
    /// Errors and warnings, in the order of the file.
    pub all: Vec<Diagnostic>,
    /// Number of errors beyond [`Self::MAX_SHOWN`], which are not in `all`.
    pub left_out: usize,
}

impl Diagnostics {
    /// Maximum number of diagnostics that are kept: more are not useful, and a malicious file may cause thousands.
    pub const MAX_SHOWN: usize = 50;
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.all.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        if self.left_out > 0 {
            write!(f, "\n\n... and {} more", self.left_out)?;
        }
        Ok(())
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let last = self.notes.iter().map(|note| note.place.line).max().unwrap_or(0).max(self.place.line);
        let margin = last.to_string().len();
        write!(f, "{word}: {}", Plain(&self.message))?;
        show(f, &self.origin, &self.place, '^', margin)?;
        for note in &self.notes {
            write!(f, "\nnote: {}", Plain(&note.message))?;
            show(f, &self.origin, &note.place, '-', margin)?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n{:margin$} = help: {}", "", Plain(help))?;
        }
        Ok(())
    }
}

/// Writes the position, its line and a mark under it.
fn show(
    f: &mut fmt::Formatter<'_>,
    origin: &str,
    place: &SourcePlace,
    mark: char,
    margin: usize,
) -> fmt::Result {
    let SourcePlace { line, column, length, text, cut } = place;
    // One column per character, regardless of how a terminal shows tabs and escapes.
    let shown = one_line(text);
    let before = (column - 1).saturating_sub(*cut);
    let length = (*length).min(WINDOW.saturating_sub(before)).max(1);
    let marks: String = std::iter::repeat_n(mark, length).collect();
    write!(f, "\n{:margin$}--> {}:{line}:{column}", "", Plain(origin))?;
    write!(f, "\n{:margin$} |", "")?;
    write!(f, "\n{line:margin$} | {}", shown.trim_end())?;
    write!(f, "\n{:margin$} | {:before$}{marks}", "", "")
}

/// Text from a file, without characters that control a terminal.
struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        for c in self.0.chars() {
            if is_unprintable(c) { write!(f, "{}", c.escape_default())? } else { f.write_char(c)? }
        }
        Ok(())
    }
}

/// The text; for a long text, its beginning and its end.
fn abridged(text: String) -> String {
    let count = text.chars().count();
    if count <= MAX_TEXT {
        return text;
    }
    let beginning: String = text.chars().take(MAX_TEXT - END).collect();
    let end: String = text.chars().skip(count - END).collect();
    format!("{beginning}...{end}")
}

/// The text of a sweep file; converts spans to positions.
pub(crate) struct SweepSource<'a> {
    pub(crate) text: &'a str,
    pub(crate) origin: Arc<str>,
    /// Byte offset of the beginning of every line.
    lines: Vec<usize>,
}

impl<'a> SweepSource<'a> {
    pub(crate) fn new(text: &'a str, origin: &str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, origin: origin.into(), lines }
    }

    /// The offset of a line and a column (both from 1, in characters), within the text.
    pub(crate) fn offset(&self, line: usize, column: usize) -> usize {
        let Some(&start) = self.lines.get(line.saturating_sub(1)) else { return self.text.len() };
        let rest = &self.text[start..];
        start + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at)
    }

    pub(crate) fn place(&self, span: Span) -> SourcePlace {
        let start = self.text.floor_char_boundary(span.start.min(self.text.len()));
        let end = self.text.floor_char_boundary(span.end.clamp(start, self.text.len()));
        let line = self.lines.partition_point(|&first| first <= start);
        let first = self.lines[line - 1];
        let last = self.lines.get(line).map_or(self.text.len(), |&next| next - 1);
        let length = self.text[start..end.min(last).max(start)].trim_end().chars().count().max(1);
        let column = self.text[first..start].chars().count() + 1;
        let text = self.text[first..last].trim_end_matches('\r');
        // A long line is cut to a window that begins a little before the place.
        let long = text.chars().nth(WINDOW).is_some();
        let cut = if long { (column - 1).saturating_sub(BEFORE) } else { 0 };
        SourcePlace { line, column, length, text: text.chars().skip(cut).take(WINDOW).collect(), cut }
    }
}

/// Collects diagnostics while a file is read.
pub(crate) struct Problems<'a> {
    pub(crate) source: &'a SweepSource<'a>,
    found: Vec<Diagnostic>,
    errors: usize,
    left_out: usize,
}

impl<'a> Problems<'a> {
    pub(crate) fn new(source: &'a SweepSource<'a>) -> Self {
        Self { source, found: Vec::new(), errors: 0, left_out: 0 }
    }

    /// Adds an error. Notes and help can be added to the returned report.
    pub(crate) fn error(&mut self, span: Span, message: impl Into<String>) -> Report<'_> {
        self.errors += 1;
        self.report(Severity::Error, span, message.into())
    }

    /// Adds a warning.
    pub(crate) fn warning(&mut self, span: Span, message: impl Into<String>) -> Report<'_> {
        self.report(Severity::Warning, span, message.into())
    }

    fn report(&mut self, severity: Severity, span: Span, message: String) -> Report<'_> {
        let source = self.source;
        if self.found.len() >= Diagnostics::MAX_SHOWN {
            self.left_out += 1;
            return Report { source, diagnostic: None };
        }
        self.found.push(Diagnostic {
            severity,
            message: abridged(message),
            origin: source.origin.clone(),
            place: source.place(span),
            notes: Vec::new(),
            help: None,
        });
        Report { source, diagnostic: self.found.last_mut() }
    }

    /// Number of errors so far, to see whether a step added any.
    pub(crate) fn errors(&self) -> usize {
        self.errors
    }

    /// The diagnostics in the order of the file, and the number of further errors.
    pub(crate) fn finish(mut self) -> (Vec<Diagnostic>, usize) {
        self.found.sort_by_key(|diagnostic| (diagnostic.place.line, diagnostic.place.column));
        (self.found, self.left_out)
    }

    /// The diagnostics as an error.
    pub(crate) fn fail(self) -> Diagnostics {
        let (all, left_out) = self.finish();
        Diagnostics { all, left_out }
    }
}

/// A diagnostic that was just added.
pub(crate) struct Report<'p> {
    source: &'p SweepSource<'p>,
    /// `None` beyond [`Diagnostics::MAX_SHOWN`].
    diagnostic: Option<&'p mut Diagnostic>,
}

impl Report<'_> {
    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        self.maybe_help(Some(help.into()))
    }

    pub(crate) fn maybe_help(mut self, help: Option<String>) -> Self {
        if let Some(diagnostic) = &mut self.diagnostic {
            diagnostic.help = help.map(abridged);
        }
        self
    }

    pub(crate) fn note(mut self, span: Span, message: impl Into<String>) -> Self {
        if let Some(diagnostic) = &mut self.diagnostic {
            diagnostic.notes.push(Note { message: abridged(message.into()), place: self.source.place(span) });
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_quote_much_are_abridged() {
        let source = SweepSource::new("a: 1\n", "x.yaml");
        let mut problems = Problems::new(&source);
        let span = Span { start: 3, end: 4 };
        let long = || format!("it is {}, and must be at most 1", "9".repeat(100_000));
        problems.error(span, long()).help(long()).note(span, long());
        let [told] = &problems.fail().all[..] else { panic!("one was noted") };
        for text in [&told.message, told.help.as_ref().unwrap(), &told.notes[0].message] {
            assert!(text.starts_with("it is 999") && text.ends_with("9, and must be at most 1"), "{text}");
            assert!(text.len() < 600);
        }
    }

    #[test]
    fn what_steers_a_terminal_is_shown_and_not_obeyed() {
        let text = "a: \u{202e}1\n";
        let source = SweepSource::new(text, "x\u{202e}.yaml");
        let mut problems = Problems::new(&source);
        problems.error(Span { start: 3, end: 7 }, "there is no `\u{202e}1`");
        let told = problems.fail().to_string();
        assert!(told.contains("no `\\u{202e}1`") && told.contains("x\\u{202e}.yaml:1:4"), "{told}");
        assert!(!told.contains('\u{202e}'), "{told}");
    }
}
