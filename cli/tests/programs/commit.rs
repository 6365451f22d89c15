//! The commit that programs say they are built from.

#[path = "../../build.rs"]
#[expect(dead_code, reason = "the build script's own `main` is not called here")]
mod build_script;

use std::{
    path::Path,
    process::{Command, Stdio},
};

use build_script::{commit, watched};

/// Runs git with a fixed user, whatever is configured here; `false` if there is no git.
fn git(folder: &Path, arguments: &[&str]) -> bool {
    let identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"];
    let mut command = Command::new("git");
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    let status = command.arg("-C").arg(folder).args(identity).args(arguments).stdout(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

#[test]
fn a_checkout_names_its_commit_and_whether_it_was_changed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    if !git(root, &["init", "--quiet"]) {
        println!("skipped: there is no git");
        return;
    }
    std::fs::write(root.join("Cargo.toml"), "[workspace]\n").unwrap();
    assert_eq!(commit(root), None, "there is no commit yet");
    assert!(git(root, &["add", "."]) && git(root, &["commit", "--quiet", "-m", "first"]));
    let first = commit(root).unwrap();
    assert!(first.len() >= 7 && first.bytes().all(|byte| byte.is_ascii_hexdigit()), "{first}");
    std::fs::write(root.join("new"), "").unwrap();
    assert_eq!(commit(root).as_ref(), Some(&first), "a file that is not tracked changes no program");
    std::fs::write(root.join("Cargo.toml"), "[workspace]\nmembers = []\n").unwrap();
    assert_eq!(commit(root), Some(format!("{first}-dirty")));

    // The watched files exist, or cargo would rebuild every time, and they change with the next commit.
    let before = watched(root);
    assert!(before.iter().all(|path| path.exists()), "{before:?}");
    let contents = || {
        let files = before.iter().filter(|path| path.is_file() && path.starts_with(root.join(".git")));
        files.map(|path| std::fs::read(path).unwrap()).collect::<Vec<_>>()
    };
    let then = contents();
    assert!(!then.is_empty());
    assert!(git(root, &["commit", "--quiet", "-a", "-m", "second"]));
    assert_ne!(contents(), then);
    assert_ne!(commit(root), Some(first));
}

#[test]
fn sources_without_history_name_no_commit() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(commit(folder.path()), None);
    // Unpacked inside another checkout, whose commit is unrelated.
    let outer = folder.path();
    let inner = outer.join("colearn-0.1.0");
    std::fs::create_dir(&inner).unwrap();
    std::fs::write(outer.join("file"), "").unwrap();
    if git(outer, &["init", "--quiet"]) && git(outer, &["add", "."]) {
        assert!(git(outer, &["commit", "--quiet", "-m", "first"]));
        assert_eq!(commit(&inner), None);
        assert_eq!(watched(&inner), Vec::<std::path::PathBuf>::new());
    }
}
