//! Passes the commit that the program is built from, for the provenance of reports.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

fn main() {
    println!("cargo::rerun-if-env-changed=COLEARN_COMMIT");
    let own = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it for build scripts"));
    let root = own.parent().expect("this crate lies in the workspace's folder");
    // A package of sources without git history can set the commit here.
    let given = env::var("COLEARN_COMMIT").ok().filter(|commit| !commit.is_empty());
    for path in watched(root) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    if let Some(commit) = given.or_else(|| commit(root)) {
        println!("cargo::rustc-env=COLEARN_COMMIT={commit}");
    }
}

/// The abbreviated commit of the checkout at `root`, with `-dirty` if tracked files differ from it. `None` if there
/// is no checkout or no git. Sources from an archive can be built too, even inside another checkout.
pub(crate) fn commit(root: &Path) -> Option<String> {
    if !root.join(".git").exists() {
        return None;
    }
    let commit = git(root, &["rev-parse", "--short", "HEAD"])?;
    let changed = git(root, &["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changed.is_empty() { commit } else { format!("{commit}-dirty") })
}

/// The files that decide the commit and whether it is dirty: git's state and the sources. Without the sources the
/// mark would be that of the last build on another commit. Missing files are left out, because cargo would rerun this
/// script every time for them.
pub(crate) fn watched(root: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        ["cli/build.rs", "Cargo.toml", "Cargo.lock"].map(|name| root.join(name)).into();
    if root.join(".git").exists() {
        // In a linked worktree these files are in another folder, which git knows.
        let branch = git(root, &["symbolic-ref", "--quiet", "HEAD"]);
        let names = ["HEAD", "logs/HEAD", "packed-refs"].into_iter().chain(branch.as_deref());
        paths.extend(
            names
                .filter_map(|name| git(root, &["rev-parse", "--git-path", name]))
                .map(|path| root.join(path)),
        );
        let crates = [
            "cli",
            "coordinator",
            "core",
            "data-format",
            "proto",
            "report",
            "trainer",
            "trainer-protocol",
            "worker",
        ];
        paths.extend(crates.map(|name| root.join(name).join("src")));
    }
    paths.retain(|path| path.exists());
    paths
}

/// The output of a git command; `None` if it fails.
fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    // In a hook of another repository these variables name that repository.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    let output = command.arg("-C").arg(root).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
