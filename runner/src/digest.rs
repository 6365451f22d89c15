//! The digest of a program's files: equal digests mean that results are of the same program.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    os::unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    path::{Component, Path, PathBuf},
};

use colearn_core::settings::{ProgramSettings, placeholders::placeholders};
use nix::libc;
use sha2::{Digest as _, Sha256};

use crate::script::words_read;

/// Folders that hold nothing of the program itself.
const IGNORED: [&str; 2] = ["__pycache__", ".git"];
/// Endings of scripts, which interpreters take as arguments.
const SCRIPTS: [&str; 7] = ["py", "sh", "R", "jl", "pl", "rb", "lua"];
/// Maximum number of files.
const MAX_FILES: usize = 100_000;
/// Maximum number of folders within each other.
const MAX_DEPTH: usize = 100;

/// The reason why the files of a program have no digest.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The folder of the program is not there.
    #[error("the folder {} of the program {why}: programs need the same folders on every worker", path.display())]
    Directory {
        /// Its path.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file of `files` cannot be read.
    #[error("the file {} of the program {why}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There are more files than a program has.
    #[error("{} holds more than {MAX_FILES} files; name only those of the program in `files`", path.display())]
    TooMany {
        /// The folder that is named.
        path: PathBuf,
    },
}

/// The SHA-256 of the program's files in hexadecimal digits; empty if it has none, and then nothing is compared.
///
/// The files are those that the settings name, relative to the program's folder. A folder stands for all files in it,
/// at any depth, except those in `__pycache__`, `.git` and state folders of colearn, which change all the time; a link in
/// it counts with its target's name, and is not followed. If the settings name no files, they are the words of the
/// command, also those within a shell's script, that name existing files below the program's folder, such as `train.py`.
/// A file that the script writes by `>`, `>>` or `tee` does not count. The digest covers the name, the length and the
/// contents of each file.
///
/// # Errors
/// If the folder or a named file is missing or cannot be read.
pub fn files_digest(settings: &ProgramSettings) -> Result<String, FilesError> {
    let files = files(settings)?;
    if files.is_empty() {
        return Ok(String::new());
    }
    let mut all = Sha256::new();
    for (name, path) in files {
        let (length, contents) =
            contents(&path).map_err(|error| FilesError::File { why: cannot_be_read(&error), path })?;
        all.update((name.len() as u64).to_le_bytes());
        all.update(&name);
        all.update(length.to_le_bytes());
        all.update(contents);
    }
    Ok(all.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The names of the files that [`files_digest`] covers, relative to the program's folder, in order.
///
/// # Errors
/// As [`files_digest`], except for files that cannot be read.
pub fn file_names(settings: &ProgramSettings) -> Result<Vec<String>, FilesError> {
    let names = files(settings)?.into_keys();
    Ok(names.map(|name| String::from_utf8_lossy(&name).into_owned()).collect())
}

/// The names of the files that [`files_digest`] covers, the last changed first.
pub(crate) fn last_changed(settings: &ProgramSettings) -> Vec<String> {
    // Links that were named are resolved already, and of others only the name of their target counts.
    let changed = |path: &Path| fs::symlink_metadata(path).and_then(|metadata| metadata.modified()).ok();
    let mut files: Vec<_> = files(settings).into_iter().flatten().collect();
    files.sort_by_cached_key(|(_, path)| Reverse(changed(path)));
    files.into_iter().map(|(name, _)| String::from_utf8_lossy(&name).into_owned()).collect()
}

/// The words of the command that name a script which does not exist on this host.
#[must_use]
pub fn missing_scripts(settings: &ProgramSettings) -> Vec<String> {
    let directory = Path::new(&settings.directory);
    let is_missing = |word: &&String| {
        let ending = Path::new(word).extension().and_then(|ending| ending.to_str());
        let replaced = placeholders(word).map_or(true, |found| !found.is_empty());
        ending.is_some_and(|ending| SCRIPTS.contains(&ending))
            && !replaced
            && !word.contains(char::is_whitespace)
            && !word.starts_with('-')
            && !directory.join(word).exists()
    };
    settings.command.iter().filter(is_missing).cloned().collect()
}

fn files(settings: &ProgramSettings) -> Result<Files, FilesError> {
    let directory = Path::new(&settings.directory);
    check_directory(directory)?;
    let mut files = BTreeMap::new();
    match &settings.files {
        Some(named) => {
            for name in named {
                add(&directory.join(name), name, &mut files)?;
            }
        }
        None => {
            let words =
                settings.command.iter().flat_map(|word| [vec![word.as_str()], words_read(word)].concat());
            for word in words.filter(|word| is_own_file(directory, word)) {
                add(&directory.join(word), word, &mut files)?;
            }
        }
    }
    Ok(files)
}

/// Checks that the folder of a program is there.
pub(crate) fn check_directory(directory: &Path) -> Result<(), FilesError> {
    let why = match fs::metadata(directory) {
        Ok(metadata) if metadata.is_dir() => return Ok(()),
        Ok(_) => "is not a folder".to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => "does not exist on this host".to_owned(),
        Err(error) => cannot_be_read(&error),
    };
    Err(FilesError::Directory { path: directory.to_owned(), why })
}

/// Whether a word of the command names a file below the program's folder. An interpreter elsewhere is not the user's.
fn is_own_file(directory: &Path, word: &str) -> bool {
    let replaced = placeholders(word).map_or(true, |found| !found.is_empty());
    let path = directory.join(word);
    !word.is_empty() && !replaced && path.starts_with(directory) && path.is_file()
}

/// A file that only state folders of colearn have.
const STATE: &str = "colearn.db";

type Files = BTreeMap<Vec<u8>, PathBuf>;

/// Adds what is named: a file, or all files of a folder.
fn add(path: &Path, name: &str, files: &mut Files) -> Result<(), FilesError> {
    let error = |why: String| FilesError::File { path: path.to_owned(), why };
    let metadata = fs::metadata(path).map_err(|found| {
        error(match found.kind() {
            io::ErrorKind::NotFound => "does not exist".to_owned(),
            _ => cannot_be_read(&found),
        })
    })?;
    let name: PathBuf = Path::new(name).components().filter(|part| *part != Component::CurDir).collect();
    let name = name.as_os_str().as_bytes().to_vec();
    if metadata.is_dir() {
        add_folder(path, &name, files, 0).map_err(|fault| match fault {
            Fault::Io(path, found) => FilesError::File { why: cannot_be_read(&found), path },
            Fault::TooMany => FilesError::TooMany { path: path.to_owned() },
            Fault::TooDeep => error(format!("has more than {MAX_DEPTH} folders within each other")),
        })
    } else if metadata.is_file() {
        // A file that is named may be a link. Those in a folder are not followed.
        let target = path.canonicalize().map_err(|found| error(cannot_be_read(&found)))?;
        files.insert(name, target);
        Ok(())
    } else {
        Err(error("is neither a file nor a folder".to_owned()))
    }
}

enum Fault {
    Io(PathBuf, io::Error),
    TooMany,
    TooDeep,
}

fn add_folder(folder: &Path, prefix: &[u8], files: &mut Files, depth: usize) -> Result<(), Fault> {
    if depth > MAX_DEPTH {
        return Err(Fault::TooDeep);
    }
    let fault = |error| Fault::Io(folder.to_owned(), error);
    for entry in fs::read_dir(folder).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        let kind = entry.file_type().map_err(fault)?;
        let own = entry.file_name();
        let mut name = prefix.to_vec();
        name.push(b'/');
        name.extend_from_slice(own.as_bytes());
        if kind.is_dir() {
            let is_ignored = IGNORED.iter().any(|ignored| own == *ignored);
            if !is_ignored && !entry.path().join(STATE).is_file() {
                add_folder(&entry.path(), &name, files, depth + 1)?;
            }
        } else if kind.is_file() || kind.is_symlink() {
            files.insert(name, entry.path());
            if files.len() > MAX_FILES {
                return Err(Fault::TooMany);
            }
        }
    }
    Ok(())
}

/// The length and the SHA-256 of a file; for a link in a folder those of its target's name.
fn contents(path: &Path) -> io::Result<(u64, [u8; 32])> {
    let mut hasher = Sha256::new();
    let mut length = 0;
    let mut file: File = match open_no_link(path) {
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
            let target = fs::read_link(path)?;
            hasher.update(b"link:");
            hasher.update(target.as_os_str().as_bytes());
            return Ok((0, hasher.finalize().into()));
        }
        file => file?,
    };
    let mut bytes = vec![0; 64 << 10];
    loop {
        match file.read(&mut bytes) {
            Ok(0) => return Ok((length, hasher.finalize().into())),
            Ok(read) => {
                hasher.update(&bytes[..read]);
                length += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn open_no_link(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
}

fn cannot_be_read(error: &io::Error) -> String {
    format!("cannot be read: {error}")
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::symlink,
        time::{Duration, SystemTime},
    };

    use tempfile::TempDir;

    use super::*;

    fn program(files: Option<&[&str]>) -> (TempDir, ProgramSettings) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("net/__pycache__")).unwrap();
        for name in ["train.py", "model.py", "net/a.py", "net/__pycache__/a.pyc"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let settings = ProgramSettings {
            command: ["/bin/sh", "python3", "./train.py", "${args}", "net"].map(str::to_owned).into(),
            directory: folder.path().to_str().unwrap().to_owned(),
            files: files.map(|files| files.iter().map(|&file| file.to_owned()).collect()),
            ..ProgramSettings::default()
        };
        (folder, settings)
    }

    fn changes_with(files: Option<&[&str]>, name: &str) -> bool {
        let (folder, settings) = program(files);
        let before = files_digest(&settings).unwrap();
        assert_eq!((before.len(), before.clone()), (64, files_digest(&settings).unwrap()));
        fs::write(folder.path().join(name), "changed").unwrap();
        files_digest(&settings).unwrap() != before
    }

    #[test]
    fn a_script_that_is_not_there_is_missing() {
        let (folder, mut settings) = program(None);
        std::fs::write(folder.path().join("train.py"), "").unwrap();
        let words =
            ["python3", "train.py", "gone.py", "--log=x.py", "${args}.py", "print('a b.py')", "/x/other.sh"];
        settings.command = words.map(str::to_owned).to_vec();
        assert_eq!(missing_scripts(&settings), ["gone.py", "/x/other.sh"]);
    }

    #[test]
    fn the_files_of_the_command_count_unless_others_are_named() {
        assert!(changes_with(None, "train.py"));
        assert!(!changes_with(None, "model.py"));
        let named: &[&str] = &["model.py", "net/"];
        assert!(changes_with(Some(named), "model.py"));
        assert!(changes_with(Some(named), "net/a.py"));
        assert!(changes_with(Some(named), "net/new.py"));
        assert!(!changes_with(Some(named), "train.py"));
        assert!(!changes_with(Some(named), "net/__pycache__/a.pyc"));
        let (folder, settings) = program(Some(&["."]));
        let digest = files_digest(&settings).unwrap();
        fs::create_dir(folder.path().join(".colearn")).unwrap();
        fs::write(folder.path().join(".colearn").join(STATE), "journal").unwrap();
        assert_eq!(files_digest(&settings).unwrap(), digest, "the state folder is not part of the program");
        assert_eq!(files_digest(&program(Some(&[])).1).unwrap(), "");
        let (folder, settings) = program(None);
        let digest = files_digest(&settings).unwrap();
        let shell = ["sh", "-c", "cd /; python3 'train.py' ${args}"].map(str::to_owned).into();
        let in_shell = ProgramSettings { command: shell, ..settings.clone() };
        assert_eq!(files_digest(&in_shell).unwrap(), digest);
        assert_eq!(file_names(&in_shell).unwrap(), ["train.py"]);
        fs::write(folder.path().join("log"), "epoch 1").unwrap();
        let command = ["sh", "-c", "python3 train.py > log; tail -n 1 log"].map(str::to_owned).into();
        assert_eq!(file_names(&ProgramSettings { command, ..settings.clone() }).unwrap(), ["train.py"]);
        let nothing = ["sh", "-c", "python3 other.py"].map(str::to_owned).into();
        assert_eq!(files_digest(&ProgramSettings { command: nothing, ..settings }).unwrap(), "");
    }

    #[test]
    fn files_are_listed_by_the_time_of_their_change() {
        let (folder, settings) = program(Some(&["train.py", "model.py", "link"]));
        symlink("net", folder.path().join("link")).unwrap();
        let now = SystemTime::now();
        for (name, ago) in [("train.py", 20), ("model.py", 10), ("net/a.py", 30)] {
            let file = File::options().append(true).open(folder.path().join(name)).unwrap();
            file.set_modified(now - Duration::from_secs(ago)).unwrap();
        }
        assert_eq!(last_changed(&settings), ["model.py", "train.py", "link/a.py"]);
    }

    #[test]
    fn how_a_file_is_named_does_not_matter() {
        let (folder, mut settings) = program(Some(&["net", "./train.py"]));
        let digest = files_digest(&settings).unwrap();
        settings.files = Some(["train.py", "net/", "net/a.py"].map(str::to_owned).into());
        assert_eq!(files_digest(&settings).unwrap(), digest);
        fs::rename(folder.path().join("net/a.py"), folder.path().join("net/b.py")).unwrap();
        settings.files = Some(["train.py", "net"].map(str::to_owned).into());
        assert_ne!(files_digest(&settings).unwrap(), digest);
    }

    #[test]
    fn links_in_folders_are_not_followed_and_named_ones_are() {
        let (folder, mut settings) = program(Some(&["net", "named"]));
        let outside = tempfile::NamedTempFile::new().unwrap();
        symlink(outside.path(), folder.path().join("net/link")).unwrap();
        symlink("train.py", folder.path().join("named")).unwrap();
        let digest = files_digest(&settings).unwrap();
        fs::write(outside.path(), "changed").unwrap();
        assert_eq!(files_digest(&settings).unwrap(), digest);
        fs::write(folder.path().join("train.py"), "changed").unwrap();
        assert_ne!(files_digest(&settings).unwrap(), digest);
        settings.files = Some(vec!["absent.py".to_owned()]);
        let error = files_digest(&settings).unwrap_err().to_string();
        assert!(error.contains("absent.py of the program does not exist"), "{error}");
        settings.directory.push_str("/train.py");
        assert!(files_digest(&settings).unwrap_err().to_string().contains("is not a folder"));
        settings.directory.push('x');
        assert!(files_digest(&settings).unwrap_err().to_string().contains("does not exist on this host"));
    }
}
