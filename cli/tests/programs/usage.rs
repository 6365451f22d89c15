//! Completions, man pages, and `--quiet`.

use std::{fs, process::Command};

use crate::lab::{Lab, text, worker};

/// The commands of `colearn`, as its help lists them below `Commands:`.
fn commands(lab: &Lab, of: &[&str]) -> Vec<String> {
    let help = text(&lab.colearn(&[of, &["-h"]].concat()).stdout);
    let listed = help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1);
    let names = listed.take_while(|line| !line.trim().is_empty()).filter(|line| !line.starts_with("    "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn every_command_has_a_man_page() {
    let lab = Lab::new();
    let output = lab.colearn(&["man", "--out", "man/man1"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let page = |name: &str| {
        let path = lab.path().join(format!("man/man1/{name}.1"));
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let all = commands(&lab, &[]);
    assert!(all.len() > 25 && all.iter().any(|name| name == "watch"), "{all:?}");
    for name in &all {
        let of_it = page(&format!("colearn-{name}"));
        assert!(of_it.contains(".SH NAME") && of_it.contains(".SH SYNOPSIS"), "{name}: {of_it}");
        // `worker` has no help of its own: that of `colearn-worker` is shown.
        let parts = if name == "worker" { Vec::new() } else { commands(&lab, &[name]) };
        for part in parts {
            page(&format!("colearn-{name}-{part}"));
        }
    }
    assert!(page("colearn").contains("Exit codes"));
    // Those of the other programs; the agent's page takes the place of that of `colearn worker`.
    assert!(page("colearn-worker").contains(r"\-\-idle\-timeout"));
    assert!(page("colearn-trainer-train").contains(r"\-\-checkpoints"));
    lab.write("file", "");
    let output = lab.colearn(&["man", "--out", "file"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("cannot write the man pages to `file`"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn bash_completes_commands_and_options() {
    let lab = Lab::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = lab.colearn(&["completions", shell]);
        assert!(output.status.success() && output.stdout.len() > 1000, "{shell}");
    }
    let of_worker = Command::new(worker()).args(["--completions", "bash"]).output().unwrap();
    assert!(text(&of_worker.stdout).contains("--idle-timeout"), "{}", text(&of_worker.stderr));
    let unknown = Command::new(worker()).args(["--completions", "cmd"]).output().unwrap();
    assert_eq!((unknown.status.code(), unknown.stdout.len()), (Some(1), 0));
    let script = lab.colearn(&["completions", "bash"]).stdout;
    fs::write(lab.path().join("colearn.bash"), script).unwrap();
    // As bash itself calls it: the command, the word at the cursor, the one before it.
    let complete = |words: &[&str]| {
        let [.., before, word] = words else { panic!("{words:?}") };
        let line = format!(
            "source colearn.bash; COMP_WORDS=({}); COMP_CWORD={}; _colearn colearn {word} {before}; echo \"${{COMPREPLY[@]}}\"",
            words.join(" "),
            words.len() - 1
        );
        let output = Command::new("bash").args(["--norc", "-c", &line]).current_dir(lab.path()).output();
        output.ok().map(|output| text(&output.stdout))
    };
    let Some(found) = complete(&["colearn", "wat"]) else {
        eprintln!("skipped: there is no bash");
        return;
    };
    assert_eq!(found.trim(), "watch");
    let options = complete(&["colearn", "watch", "--p"]).unwrap();
    assert_eq!(options.trim(), "--plain");
}

#[test]
fn quiet_commands_print_results_and_errors_alone() {
    let lab = Lab::new();
    lab.write("small.yaml", &crate::lab::SWEEP.replace("epochs: 6", "epochs: 1"));
    let run = ["run", "small.yaml", "--slots", "1", "--threads", "1", "--device", "cpu"];
    let quiet = lab.colearn(&[&run[..], &["--quiet"]].concat());
    assert_eq!(quiet.status.code(), Some(0), "{}", text(&quiet.stderr));
    assert_eq!(text(&quiet.stderr), "");
    assert!(text(&quiet.stdout).starts_with("sweep small\n"), "{}", text(&quiet.stdout));
    let loud = lab.colearn(&run);
    assert!(text(&loud.stderr).contains("small: known already"), "{}", text(&loud.stderr));
    assert_eq!(text(&loud.stdout), text(&quiet.stdout));
    // Before the command it means the same; errors stay.
    let failed = lab.colearn(&["-q", "status", "nothing"]);
    assert_eq!(failed.status.code(), Some(8));
    assert!(text(&failed.stderr).starts_with("error: "), "{}", text(&failed.stderr));
    let watched = lab.colearn(&["watch", "small", "-q"]);
    assert_eq!((text(&watched.stderr), watched.status.code()), (String::new(), Some(0)));
    assert_eq!(text(&watched.stdout), "small: complete, 6 of 6 tasks done, 0 failed\n");
}

#[test]
fn a_quiet_worker_and_coordinator_log_errors_alone() {
    let lab = Lab::new();
    let (_coordinator, url) = lab.coordinator_with("127.0.0.1:0", &["--quiet"]);
    let submitted = lab.colearn(&["submit", "small.yaml", "--coordinator", &url, "--quiet"]);
    assert!(submitted.status.success() && submitted.stderr.is_empty(), "{}", text(&submitted.stderr));
    let worker = ["--coordinator", &url, "--slots", "1", "--device", "cpu", "--idle-timeout", "1s"];
    for (through, quiet) in [(false, "--quiet"), (true, "-q")] {
        let output = if through {
            lab.colearn(&[&["worker", quiet], &worker[..]].concat())
        } else {
            lab.worker_command(&[&[quiet], &worker[..]].concat()).output().unwrap()
        };
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{quiet}");
    }
    let watched = lab.colearn(&["watch", "small", "--coordinator", &url]);
    assert!(text(&watched.stdout).contains("small: complete"), "it did its work");
    let log = fs::read_to_string(lab.path().join("coordinator.log")).unwrap();
    assert!(!log.contains("INFO"), "{log}");
}
