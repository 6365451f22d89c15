//! Tests which files are opened, and how little errors reveal about files that are not data sets.

use std::fs;
use std::os::unix::{fs::symlink, net::UnixListener};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use colearn_data_format::{DataFolder, Dataset, DatasetError, write};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tempfile::TempDir;

use crate::support::{assert_same, put_together, small};

/// A folder `data` with the small set as `set`, and beside the folder a copy as `outside.safetensors`.
fn host() -> (TempDir, DataFolder) {
    let host = tempfile::tempdir().unwrap();
    let data = host.path().join("data");
    fs::create_dir_all(data.join("sub")).unwrap();
    write(&data.join("set.safetensors"), &small()).unwrap();
    write(&host.path().join("outside.safetensors"), &small()).unwrap();
    (host, DataFolder::confined(data))
}

/// The result of a call that must not take long.
fn promptly<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(call()));
    receiver.recv_timeout(Duration::from_secs(30)).expect("the call ends")
}

#[test]
fn a_confined_folder_opens_what_lies_in_it() {
    let (host, folder) = host();
    let data = host.path().join("data");
    symlink("set.safetensors", data.join("link.safetensors")).unwrap();
    symlink("../sub/../set.safetensors", data.join("sub/up.safetensors")).unwrap();
    symlink(data.join("sub"), data.join("absolute")).unwrap();
    symlink(&data, host.path().join("alias")).unwrap();
    let path = |name: &str| data.join(name).display().to_string();
    let names = [
        "set".to_owned(),
        "link".to_owned(),
        path("set.safetensors"),
        path("sub/../set.safetensors"),
        path("../data/./set.safetensors"),
        path("sub/up.safetensors"),
        path("absolute/up.safetensors"),
    ];
    for name in names {
        let file = folder.open(&name).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(file.path(), folder.path(&name));
        assert_eq!(file.metadata().len(), fs::metadata(data.join("set.safetensors")).unwrap().len());
        assert_same(&Dataset::read(file).unwrap(), &small());
    }
    // The folder itself may be a link, and has the same contents by both names.
    let alias = DataFolder::confined(host.path().join("alias"));
    for name in ["set".to_owned(), path("set.safetensors"), path("../alias/set.safetensors")] {
        alias.open(&name).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    assert!(matches!(folder.open("other"), Err(DatasetError::Missing { .. })));
    assert!(matches!(folder.open(&path("sub/other.safetensors")), Err(DatasetError::Missing { .. })));
    assert!(matches!(folder.open(&path("sub")), Err(DatasetError::NotAFile { kind: "a directory", .. })));
    symlink("circle.safetensors", data.join("circle.safetensors")).unwrap();
    assert!(matches!(folder.open("circle"), Err(DatasetError::Io { .. })));
}

#[test]
fn a_confined_folder_tells_nothing_of_what_lies_outside() {
    let (host, folder) = host();
    let data = host.path().join("data");
    fs::write(host.path().join("secret"), "secrets").unwrap();
    mkfifo(&host.path().join("pipe"), Mode::S_IRWXU).unwrap();
    symlink("../outside.safetensors", data.join("out.safetensors")).unwrap();
    symlink("../nothing.safetensors", data.join("dangling.safetensors")).unwrap();
    symlink("sub/../../secret", data.join("winding.safetensors")).unwrap();
    symlink("../pipe", data.join("pipe.safetensors")).unwrap();
    symlink(host.path(), data.join("up")).unwrap();
    symlink("/proc/self/cwd", data.join("cwd")).unwrap();
    let path = |name: &str| data.join(name).display().to_string();
    let names = [
        "/etc/passwd".to_owned(),
        "/etc/no-such-file".to_owned(),
        "/dev/zero".to_owned(),
        "/root/".to_owned(),
        "../../../../../etc/passwd".to_owned(),
        "outside.safetensors".to_owned(),
        path("../outside.safetensors"),
        path("../nothing.safetensors"),
        path("../secret"),
        path("../pipe"),
        path(".."),
        path("up/outside.safetensors"),
        path("up/nothing.safetensors"),
        path("cwd/nothing.safetensors"),
        "out".to_owned(),
        "dangling".to_owned(),
        "winding".to_owned(),
        "pipe".to_owned(),
    ];
    for name in names {
        let (folder, asked) = (folder.clone(), name.clone());
        let error = promptly(move || folder.open(&asked)).unwrap_err();
        let expected = format!(
            "data set `{name}` is outside this worker's data folder: put it there and give its bare name, \
             or start the worker with --allow-data-outside"
        );
        assert_eq!(error.to_string(), expected);
    }
    // An existing folder and a missing one in the middle of a path give the same error.
    for way in ["/etc/..", "/no-such-folder/.."] {
        let set = format!("{way}{}", path("set.safetensors"));
        folder.open(&set).unwrap_or_else(|error| panic!("{set}: {error}"));
    }
}

#[test]
fn a_folder_that_is_not_confined_opens_what_is_named() {
    let (host, _) = host();
    let folder = DataFolder::unconfined(host.path().join("data"));
    symlink("../outside.safetensors", host.path().join("data/out.safetensors")).unwrap();
    for name in ["set", "out", host.path().join("outside.safetensors").to_str().unwrap()] {
        assert_same(&Dataset::read(folder.open(name).unwrap()).unwrap(), &small());
    }
}

#[test]
fn only_regular_files_are_opened_and_others_are_called_what_they_are() {
    let (host, confined) = host();
    let data = host.path().join("data");
    mkfifo(&data.join("pipe.safetensors"), Mode::S_IRWXU).unwrap();
    fs::create_dir(data.join("folder.safetensors")).unwrap();
    let _listener = UnixListener::bind(data.join("socket.safetensors")).unwrap();
    for (name, kind) in
        [("pipe", "a named pipe"), ("folder", "a directory"), ("socket", "a socket or a device")]
    {
        let path = data.join(format!("{name}.safetensors"));
        let expected = format!("{} is {kind}; a data set is a regular file", path.display());
        for folder in [confined.clone(), DataFolder::unconfined(data.clone())] {
            let error = promptly(move || folder.open(name)).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }
    let error = promptly(|| Dataset::open(Path::new("/dev/zero"))).unwrap_err();
    assert_eq!(error.to_string(), "/dev/zero is a device; a data set is a regular file");
}

/// A file that is not a data set may be any file that the process can read.
#[test]
fn other_files_are_not_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.safetensors");
    let format = r#"{"__metadata__":{"format":"hunter2"}}"#;
    let contents = [
        b"hunter2, and more".to_vec(),
        // A header longer than the file.
        b"hunter\0\0 and more".iter().map(|&byte| if byte == b'r' { 0 } else { byte }).collect(),
        b"hu\0\0\0\0\0\0 and more".to_vec(),
        put_together(r#""hunter2""#, b""),
        put_together(r#"{"a":"hunter2"}"#, b""),
        put_together(r#"{"a":{"dtype":"hunter2","shape":[],"data_offsets":[0,0]}}"#, b""),
        put_together(format, b""),
    ];
    for content in contents {
        fs::write(&path, &content).unwrap();
        let error = Dataset::open(&path).unwrap_err().to_string();
        let told = error.replace(&path.display().to_string(), "");
        let number = u64::from_le_bytes(content[..8].try_into().unwrap());
        for quoted in ["hunter2".to_owned(), number.to_string(), (number + 8).to_string()] {
            assert!(!told.contains(&quoted), "`{quoted}` in {told}");
        }
    }
}
