//! Follows the file to which a program appends its epochs and its result.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use nix::libc;

use crate::{
    collected::{About, Collected},
    metrics_line,
};

/// Longest line, in bytes.
const MAX_LINE: usize = 1 << 20;
/// Largest file, in bytes; of several files under the name, all bytes that are read.
const MAX_BYTES: u64 = 64 << 20;
/// Bytes that are read at once. The rest waits, so that the runner hears the agent in between.
const MAX_AT_ONCE: u64 = 2 << 20;
/// Bytes before the place of reading that must stay as they are.
const REMEMBERED: usize = 64;

/// The file of metrics of an attempt.
#[derive(Debug)]
pub(crate) struct MetricsFile {
    path: PathBuf,
    task: String,
    file: Option<File>,
    /// Where to read on.
    offset: u64,
    /// What was read last.
    remembered: Vec<u8>,
    /// Bytes without a line break so far.
    line: Vec<u8>,
    is_too_long: bool,
    line_number: u64,
    bytes: u64,
    is_gone: bool,
}

impl MetricsFile {
    /// Makes an empty file.
    pub(crate) fn make(path: PathBuf, task: String) -> io::Result<Self> {
        File::create_new(&path)?;
        let file = open(&path)?;
        Ok(Self {
            path,
            task,
            file: Some(file),
            offset: 0,
            remembered: Vec::new(),
            line: Vec::new(),
            is_too_long: false,
            line_number: 0,
            bytes: 0,
            is_gone: false,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes what was written since the last call, but not too much at once. Returns whether there may be more.
    pub(crate) fn poll(&mut self, collected: &mut Collected) -> bool {
        let before = self.bytes;
        if let Err(error) = self.try_poll(collected) {
            collected.warn(About::File, format!("the file of metrics cannot be read: {error}"));
        }
        self.bytes > before && collected.fatal.is_none()
    }

    /// Takes the rest, also a last line without a line break.
    pub(crate) fn finish(&mut self, collected: &mut Collected) {
        while self.poll(collected) {}
        let line = std::mem::take(&mut self.line);
        if self.is_too_long {
            self.tell_too_long(collected);
        } else if metrics_line::is_whole(&line) {
            self.line_number += 1;
            metrics_line::take(&line, self.line_number, &self.task, collected);
        } else if !line.is_empty() {
            collected.warn(
                About::Line,
                format!(
                    "line {} of the file of metrics is the last one and incomplete; it is left out",
                    self.line_number + 1
                ),
            );
        }
    }

    fn try_poll(&mut self, collected: &mut Collected) -> io::Result<()> {
        if self.bytes > MAX_BYTES {
            return Ok(());
        }
        // First what is in the file that is open, also if it was removed or replaced meanwhile.
        if let Some(file) = &self.file {
            let metadata = file.metadata()?;
            if metadata.len() > MAX_BYTES {
                self.bytes = metadata.len();
                tell_too_large(collected);
                return Ok(());
            }
            let rewritten = metadata.len() < self.offset || !self.is_continued(file)?;
            if rewritten {
                self.start_over(collected, "was written anew instead of appended to");
            }
            self.read_on(collected)?;
            if self.offset < metadata.len() {
                return Ok(());
            }
            let own = (metadata.dev(), metadata.ino());
            let there = fs::metadata(&self.path).ok().map(|there| (there.dev(), there.ino()));
            if there == Some(own) {
                return Ok(());
            }
            self.file = None;
        }
        match open(&self.path) {
            Ok(file) => {
                let text = "was replaced by another file";
                self.start_over(collected, text);
                self.file = Some(file);
                self.is_gone = false;
                self.read_on(collected)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !self.is_gone {
                    self.is_gone = true;
                    collected.warn(
                        About::File,
                        "the program has removed the file of metrics; what it held before counts",
                    );
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the bytes that were read last are still there.
    fn is_continued(&self, file: &File) -> io::Result<bool> {
        let mut there = vec![0; self.remembered.len()];
        match file.read_exact_at(&mut there, self.offset - self.remembered.len() as u64) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            read => read.map(|()| there == self.remembered),
        }
    }

    fn start_over(&mut self, collected: &mut Collected, what: &str) {
        if self.offset > 0 {
            collected.warn(
                About::File,
                format!("the file of metrics {what}: it is read from the beginning, and lines may have been missed; append to it"),
            );
        }
        self.offset = 0;
        self.line_number = 0;
        self.remembered.clear();
        self.line.clear();
        self.is_too_long = false;
    }

    fn read_on(&mut self, collected: &mut Collected) -> io::Result<()> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = vec![0; 64 << 10];
        let enough = self.bytes + MAX_AT_ONCE;
        while self.bytes < enough {
            let read = match file.read(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            if read == 0 || collected.fatal.is_some() {
                break;
            }
            self.offset += read as u64;
            self.bytes += read as u64;
            if self.bytes > MAX_BYTES {
                tell_too_large(collected);
                break;
            }
            self.remember(&bytes[..read]);
            self.split(&bytes[..read], collected);
        }
        self.file = Some(file);
        Ok(())
    }

    fn remember(&mut self, bytes: &[u8]) {
        let last = &bytes[bytes.len().saturating_sub(REMEMBERED)..];
        self.remembered.extend_from_slice(last);
        let excess = self.remembered.len().saturating_sub(REMEMBERED);
        self.remembered.drain(..excess);
    }

    fn split(&mut self, bytes: &[u8], collected: &mut Collected) {
        let mut parts = bytes.split(|&byte| byte == b'\n');
        let rest = parts.next_back().unwrap_or_default();
        for part in parts {
            self.add(part);
            let line = std::mem::take(&mut self.line);
            if self.is_too_long {
                self.tell_too_long(collected);
                self.is_too_long = false;
                self.line_number += 1;
            } else {
                self.line_number += 1;
                metrics_line::take(&line, self.line_number, &self.task, collected);
            }
        }
        self.add(rest);
    }

    fn add(&mut self, bytes: &[u8]) {
        self.is_too_long |= self.line.len() + bytes.len() > MAX_LINE;
        if self.is_too_long {
            self.line.clear();
        } else {
            self.line.extend_from_slice(bytes);
        }
    }

    fn tell_too_long(&self, collected: &mut Collected) {
        collected.warn(
            About::Line,
            format!(
                "line {} of the file of metrics is longer than 1 MiB and is left out",
                self.line_number + 1
            ),
        );
    }
}

fn tell_too_large(collected: &mut Collected) {
    collected.fail(format!(
        "the program has written more than {} MiB to the file of metrics; it is for one line per epoch and the result",
        MAX_BYTES >> 20
    ));
}

/// Opens a regular file. Nothing else in its place is waited for.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, os::unix::fs::symlink};

    use nix::{sys::stat::Mode, unistd::mkfifo};
    use tempfile::TempDir;

    use super::*;

    struct Test {
        folder: TempDir,
        file: MetricsFile,
        collected: Collected,
    }

    fn test() -> Test {
        let folder = tempfile::tempdir().unwrap();
        let file = MetricsFile::make(folder.path().join("metrics"), "3-x-1".to_owned()).unwrap();
        Test { folder, file, collected: Collected::default() }
    }

    impl Test {
        fn append(&mut self, text: &str) {
            OpenOptions::new()
                .append(true)
                .open(&self.file.path)
                .unwrap()
                .write_all(text.as_bytes())
                .unwrap();
        }

        fn epochs(&mut self) -> Vec<u32> {
            self.file.poll(&mut self.collected);
            self.collected.take_epochs().iter().map(|record| record.epoch).collect()
        }
    }

    #[test]
    fn lines_are_taken_when_they_are_whole() {
        let mut test = test();
        assert_eq!(test.epochs(), [0; 0]);
        test.append("{\"epoch\": 1}\n{\"epo");
        assert_eq!(test.epochs(), [1]);
        test.append("ch\": 2}\n\n{\"epoch\": 3}");
        assert_eq!(test.epochs(), [2]);
        test.file.finish(&mut test.collected);
        assert_eq!(test.epochs(), [3]);
        test.append("{\"epoch\": 4");
        test.file.finish(&mut test.collected);
        assert!(
            test.collected.take_warnings()[0]
                .contains("line 5 of the file of metrics is the last one and incomplete")
        );
    }

    #[test]
    fn a_file_that_is_written_anew_is_read_anew() {
        let mut test = test();
        test.append("{\"epoch\": 1}\n");
        assert_eq!(test.epochs(), [1]);
        for (text, epoch) in
            [("{\"epoch\": 2}\n", 2), ("{\"epoch\": 3, \"loss\": 0.25}\n", 3), ("{\"epoch\":4}", 4)]
        {
            fs::write(&test.file.path, text).unwrap();
            let mut epochs = test.epochs();
            test.file.finish(&mut test.collected);
            epochs.extend(test.epochs());
            assert_eq!(epochs, [epoch]);
        }
        let other = test.folder.path().join("other");
        fs::write(&other, "{\"epoch\": 7}\n").unwrap();
        fs::rename(&other, &test.file.path).unwrap();
        assert_eq!(test.epochs(), [7]);
        let warnings = test.collected.take_warnings();
        assert!(warnings.iter().all(|warning| warning.contains("read from the beginning")), "{warnings:?}");
        assert_eq!(warnings.len(), 3);
    }

    #[test]
    fn what_was_written_before_the_file_was_removed_counts() {
        let mut test = test();
        test.append("{\"epoch\": 1}\n");
        fs::remove_file(&test.file.path).unwrap();
        assert_eq!(test.epochs(), [1]);
        assert_eq!(test.epochs(), [0; 0]);
        assert_eq!(test.collected.take_warnings().len(), 1);
        fs::write(&test.file.path, "{\"epoch\": 2}\n").unwrap();
        assert_eq!(test.epochs(), [2]);
    }

    #[test]
    fn other_things_in_its_place_are_not_waited_for() {
        let mut test = test();
        fs::remove_file(&test.file.path).unwrap();
        mkfifo(&test.file.path, Mode::S_IRWXU).unwrap();
        assert_eq!(test.epochs(), [0; 0]);
        assert!(test.collected.take_warnings()[0].contains("not a regular file"));
        fs::remove_file(&test.file.path).unwrap();
        symlink("/dev/zero", &test.file.path).unwrap();
        assert_eq!(test.epochs(), [0; 0]);
        assert_eq!(test.collected.take_warnings().len(), 1);
    }

    #[test]
    fn long_lines_are_left_out_and_large_files_fail() {
        let mut test = test();
        test.append(&format!("{}\n{{\"epoch\": 2}}\n", "x".repeat(MAX_LINE + 1)));
        assert_eq!(test.epochs(), [2]);
        assert!(
            test.collected.take_warnings()[0].contains("line 1 of the file of metrics is longer than 1 MiB")
        );
        assert_eq!(test.collected.fatal, None);
        test.append(&"\n".repeat(MAX_BYTES as usize));
        test.epochs();
        assert!(test.collected.fatal.unwrap().message.contains("64 MiB"));
    }
}
