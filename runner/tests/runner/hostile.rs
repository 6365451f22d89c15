//! Programs that do what they should not.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::{Folder, Runner, eventually, failure, result, rust};

const RESULT: &str = r#"echo '{"result": {"accuracy": 1}}' >> $COLEARN_METRICS"#;

#[test]
fn a_flood_of_output_is_bounded() {
    let folder = Folder::new();
    let mut runner = Runner::start();
    // 100 MB of short lines, a line of 50 MB, and 20 MB of binary on the other output.
    let script = format!(
        "yes flood | head -c 100000000; head -c 50000000 /dev/zero | tr '\\0' x; echo; head -c 20000000 /dev/urandom >&2; {RESULT}"
    );
    result(&runner.run(folder.shell(&script)));
    let crash = "yes flood | head -n 100000; echo the end; exit 3";
    let event = runner.run(folder.shell(crash));
    assert!(failure(&event, "crash").ends_with("flood\nthe end"), "{event}");
    let (_, log) = runner.end();
    assert!(log.len() < 40_000_000, "{} bytes", log.len());
    assert!(log.contains("lines of the program's output were left out"));
    assert!(log.contains("the end\n") && !log.contains('\0') && !log.contains('\r'));
}

#[test]
fn errors_come_after_the_output_that_was_written_before_them() {
    let folder = Folder::new();
    let mut runner = Runner::start();
    let script = format!(
        "i=0; while [ $i -lt 900 ]; do echo output $i; echo error $i >&2; i=$((i+1)); done; {RESULT}"
    );
    result(&runner.run(folder.shell(&script)));
    let (_, log) = runner.end();
    let mut outputs = 0;
    let mut errors = 0;
    for line in log.lines() {
        if line == format!("output {outputs}") {
            outputs += 1;
        } else if line == format!("error {errors}") {
            errors += 1;
            assert!(errors <= outputs, "{line} before output {outputs}");
        }
    }
    assert_eq!((outputs, errors), (900, 900), "{log}");
}

#[test]
fn progress_bars_are_thinned() {
    let folder = Folder::new();
    let mut runner = Runner::start();
    let script = format!(
        "i=0; while [ $i -lt 5000 ]; do printf '\\r%d%%' $i >&2; i=$((i+1)); done; echo >&2; {RESULT}"
    );
    result(&runner.run(folder.shell(&script)));
    let (_, log) = runner.end();
    assert!(log.lines().count() < 100, "{} lines", log.lines().count());
    assert!(log.contains("4999%"), "{log}");
}

#[test]
fn signals_to_its_group_reach_nobody_else() {
    let folder = Folder::new();
    let mut runner = Runner::start();
    let event = runner.run(folder.shell("kill -KILL 0; sleep 3600"));
    assert!(failure(&event, "crash").contains("was ended by SIGKILL"), "{event}");
    let event = runner.run(folder.shell("echo last words >&2; kill -SEGV $$"));
    assert!(failure(&event, "crash").contains("was ended by SIGSEGV:\nlast words"), "{event}");
    result(&runner.run(rust(&folder, "train")));
    runner.end();
}

#[test]
fn closed_outputs_and_a_removed_folder_do_no_harm() {
    let folder = Folder::new();
    let mut runner = Runner::start();
    result(&runner.run(folder.shell(&format!("exec >&- 2>&-; sleep 0.2; {RESULT}"))));
    let script = format!("{RESULT}; sleep 0.3; rm -rf \"$(dirname $COLEARN_METRICS)\"");
    result(&runner.run(folder.shell(&script)));
    result(&runner.run(folder.shell(&format!("{RESULT}; rm -rf \"$TMPDIR\"/*"))));
    result(&runner.run(rust(&folder, "train")));
    let (_, log) = runner.end();
    assert!(log.contains("has removed the file of metrics"), "{log}");
}

#[test]
fn a_file_of_metrics_without_end_fails() {
    let folder = Folder::new();
    let mut runner = Runner::start();
    let event = runner.run(folder.shell("yes >> $COLEARN_METRICS"));
    assert!(failure(&event, "settings").contains("64 MiB"), "{event}");
    runner.end();
}

#[test]
fn every_child_that_a_program_forks_is_ended() {
    let folder = Folder::new();
    let mut runner = Runner::start();
    // Processes that beget others faster than anybody could count them, for a while.
    let script = r#"
import os, time
end = time.time() + 2
for _ in range(20):
    if os.fork() == 0:
        os.setsid()
        while time.time() < end:
            if os.fork() > 0:
                os._exit(0)
        time.sleep(3600)
with open(os.environ["COLEARN_METRICS"], "a") as metrics:
    metrics.write('{"result": {"accuracy": 1}}')
"#;
    let Some(member) = folder.python(script) else { return };
    result(&runner.run(member));
    let marker = folder.path().to_str().unwrap().to_owned();
    eventually("the end of all processes", || !processes_in(&marker));
    let (_, log) = runner.end();
    assert!(log.contains("running, which the runner has killed"), "{log}");
}

/// Whether a process works in this folder.
fn processes_in(folder: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let mut folders = processes.filter_map(|process| fs::read_link(process.path().join("cwd")).ok());
    folders.any(|cwd| cwd.starts_with(folder))
}

#[test]
fn read_only_folders_of_a_program_are_removed() {
    let folder = Folder::new();
    let mut runner = Runner::start();
    let script = format!(
        "mkdir -p $COLEARN_CHECKPOINT_DIR/a/b; touch $COLEARN_CHECKPOINT_DIR/a/b/c; chmod -R a-w $COLEARN_CHECKPOINT_DIR; {RESULT}"
    );
    result(&runner.run(folder.shell(&script)));
    assert!(fs::metadata(runner.temporary.path()).unwrap().permissions().mode() & 0o700 == 0o700);
    runner.end();
}
