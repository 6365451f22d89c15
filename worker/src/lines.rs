//! Reads lines from a child process with a length limit, and keeps the last ones.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

use super::input::TrainerEnd;

/// The result of a read.
pub(super) enum ReadLine {
    /// A line, or the text after the last line break.
    Whole,
    /// The beginning of a long line; the rest comes as further lines.
    TooLong,
    /// The end of the input.
    End,
}

/// Reads the next line, or the first `longest` bytes of it.
pub(super) async fn read_line(
    from: &mut BufReader<impl AsyncRead + Unpin>,
    line: &mut Vec<u8>,
    longest: usize,
) -> io::Result<ReadLine> {
    line.clear();
    let limit = u64::try_from(longest).unwrap_or(u64::MAX);
    let read = from.take(limit).read_until(b'\n', line).await?;
    Ok(match line.last() {
        None => ReadLine::End,
        Some(b'\n') => ReadLine::Whole,
        Some(_) if read >= longest => ReadLine::TooLong,
        Some(_) => ReadLine::Whole,
    })
}

/// The end of a trainer's standard error.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail(Arc<Mutex<VecDeque<u8>>>);

impl Tail {
    pub(super) fn keep(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(bytes);
        let excess = kept.len().saturating_sub(TrainerEnd::STDERR_KEPT);
        kept.drain(..excess);
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) fn text(&self) -> String {
        let kept: Vec<u8> = self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        let text = String::from_utf8_lossy(&kept);
        // A replacement character is longer than the bytes that it replaces.
        let mut start = text.len().saturating_sub(TrainerEnd::STDERR_KEPT);
        while !text.is_char_boundary(start) {
            start += 1;
        }
        text[start..].to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_log_is_kept() {
        let tail = Tail::default();
        tail.keep(&vec![b'a'; TrainerEnd::STDERR_KEPT]);
        tail.keep(b"last words\n");
        assert_eq!(tail.text().len(), TrainerEnd::STDERR_KEPT);
        assert!(tail.text().ends_with("alast words\n"));
        tail.clear();
        assert_eq!(tail.text(), "");
        tail.keep(&[0xff; TrainerEnd::STDERR_KEPT]);
        assert_eq!(tail.text().len(), TrainerEnd::STDERR_KEPT / 3 * 3);
    }

    #[tokio::test]
    async fn lines_have_a_limit() {
        let mut from = BufReader::new(&b"short\nmuch too long\nend"[..]);
        let mut line = Vec::new();
        assert!(matches!(read_line(&mut from, &mut line, 8).await, Ok(ReadLine::Whole)));
        assert!(matches!(read_line(&mut from, &mut line, 8).await, Ok(ReadLine::TooLong)));
        assert!(matches!(read_line(&mut from, &mut line, 8).await, Ok(ReadLine::Whole)));
        assert!(matches!(read_line(&mut from, &mut line, 8).await, Ok(ReadLine::Whole)));
        assert_eq!(line, b"end");
        assert!(matches!(read_line(&mut from, &mut line, 8).await, Ok(ReadLine::End)));
    }
}
