//! The git commit of a program's folder.

use std::{
    io::Read as _,
    os::fd::AsFd as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

const LIMIT: Duration = Duration::from_secs(1);

/// The commit that is checked out in the folder; empty if it is in no repository, or git does not say it within a
/// second. Called only while no program runs: the runner collects all its children then.
pub(crate) fn commit(directory: &Path) -> String {
    let in_repository = directory.ancestors().any(|folder| folder.join(".git").exists());
    if in_repository { ask_git(directory).unwrap_or_default() } else { String::new() }
}

fn ask_git(directory: &Path) -> Option<String> {
    let mut child = Command::new("git")
        .arg("-C")
        .arg(directory)
        .args(["rev-parse", "HEAD"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let deadline = Instant::now() + LIMIT;
    let mut said = [0; 256];
    let mut length = 0;
    if let Some(mut out) = child.stdout.take() {
        while length < said.len() {
            let left = deadline.saturating_duration_since(Instant::now()).as_millis();
            let mut polled = [PollFd::new(out.as_fd(), PollFlags::POLLIN)];
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            match poll(&mut polled, timeout) {
                Err(nix::errno::Errno::EINTR) => continue,
                Ok(1..) => {}
                _ => break,
            }
            match out.read(&mut said[length..]) {
                Ok(read @ 1..) => length += read,
                _ => break,
            }
        }
    }
    // It has ended, or it is too slow.
    let _ = child.kill();
    child.wait().ok()?;
    let commit = std::str::from_utf8(said.get(..length)?).ok()?.trim();
    let is_commit = matches!(commit.len(), 40 | 64) && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_commit.then(|| commit.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_known_only_in_a_repository() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(commit(folder.path()), "");
        let git = |arguments: &[&str]| {
            let identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"];
            let ended =
                Command::new("git").arg("-C").arg(folder.path()).args(identity).args(arguments).output();
            ended.is_ok_and(|output| output.status.success())
        };
        if !git(&["init"]) {
            eprintln!("skipped: there is no git");
            return;
        }
        assert_eq!(commit(folder.path()), "");
        assert!(git(&["commit", "--allow-empty", "-m", "x"]));
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        assert_eq!(commit(&inner).len(), 40);
    }
}
