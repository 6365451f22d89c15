//! Programs that cannot be started, or are not the right ones.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    process::Command as Process,
    time::{Duration, SystemTime},
};

use colearn_core::{
    failure::FailureReason,
    settings::{NetworkSettings, Parameter},
};
use colearn_runner::files_digest;
use colearn_trainer_protocol::{Command, Member};
use serde_json::{Value, json};

use super::{Folder, Runner, failure, result, with};

#[test]
fn what_can_not_be_started_is_named() {
    let folder = Folder::new();
    let script = |name: &str, text: &str, mode: u32| {
        fs::set_permissions(folder.write(name, text), fs::Permissions::from_mode(mode)).unwrap();
    };
    script("plain", "#!/bin/sh\n", 0o644);
    script("lost", "#!/no/such/interpreter -x\n", 0o755);
    let mut runner = Runner::start();
    let place = folder.path().display();
    for (command, reason, said) in [
        ("./absent.py", "data", format!("{place}/./absent.py does not exist on this host")),
        ("python9", "data", "there is no program `python9` in the folders of PATH (".to_owned()),
        ("./plain", "data", "is not executable: run `chmod +x`".to_owned()),
        ("./lost", "data", "its interpreter `/no/such/interpreter -x` does not exist".to_owned()),
        ("${sed}", "settings", "`${sed}`: there is no placeholder `${sed}`; did you mean `seed`?".to_owned()),
        ("a\0b", "data", "there is no program `a\0b`".to_owned()),
    ] {
        let event = runner.run(folder.member(&[command]));
        let message = failure(&event, reason);
        assert!(message.contains(&said), "{command}: {message}");
    }
    for (large, said) in [("x".repeat(3 << 20), "too long"), ("\0".to_owned(), "NUL character")] {
        let member = with(folder.member(&["true", "${args}"]), |settings| {
            settings.parameters.push(Parameter("large".to_owned(), json!(large)));
        });
        assert!(failure(&runner.run(member), "settings").contains(said), "{said}");
    }
    let event = runner.run(folder.shell("no-such-program-anywhere"));
    let message = failure(&event, "crash");
    assert!(
        message.contains("exit code 127, which is a shell's for a program that it does not find:\n"),
        "{message}"
    );
    runner.end();
}

/// The only event of a task whose files cannot be read.
fn only_event(runner: &mut Runner, member: Member) -> Value {
    runner.train(member);
    let events = runner.until_idle();
    assert_eq!(events.len(), 1, "{events:?}");
    events[0].clone()
}

#[test]
fn missing_folders_and_files_are_named() {
    let folder = Folder::new();
    let mut runner = Runner::start();
    let member = with(folder.shell("true"), |settings| settings.directory.push_str("/absent"));
    assert!(
        failure(&only_event(&mut runner, member), "data")
            .contains("/absent of the program does not exist on this host")
    );
    let member = with(folder.shell("true"), |settings| settings.files = Some(vec!["model.py".to_owned()]));
    assert!(
        failure(&only_event(&mut runner, member), "data").contains("/model.py of the program does not exist")
    );
    runner.end();
}

#[test]
fn only_the_same_program_adds_to_a_sweep() {
    let folder = Folder::new();
    folder.write("train.sh", "echo '{\"result\": {\"accuracy\": 1}}' >> $COLEARN_METRICS\n");
    let member = folder.member(&["sh", "train.sh"]);
    let digest = files_digest(member.settings.program().unwrap()).unwrap();
    let member = Member { data_digest: digest.clone(), ..member };
    let mut runner = Runner::start();
    runner.train(member.clone());
    let events = runner.until_idle();
    let name = format!("{}: sh train.sh", folder.path().display());
    assert_eq!(events[0], json!({"event": "opened", "data_set": name, "digest": digest}));
    assert_eq!(result(&events[1])["data_digest"], json!(digest));
    folder.write("train.sh", "echo changed\n");
    let message = runner.run(member);
    assert!(failure(&message, "data").contains("has changed since the first result"), "{message}");
    assert!(failure(&message, "data").contains("--changed-program"));

    // A file that a task writes, and the next task's command names.
    folder.write("train.sh", "echo '{\"result\": {\"accuracy\": 1}}' >> $COLEARN_METRICS; echo done >> $1\n");
    let script = File::options().append(true).open(folder.path().join("train.sh")).unwrap();
    script.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
    let first = folder.member(&["sh", "train.sh", "written"]);
    let expected = files_digest(first.settings.program().unwrap()).unwrap();
    let next = Member { data_digest: expected, ..first };
    result(&runner.run(next.clone()));
    let message = runner.run(next);
    let why = failure(&message, "data");
    assert!(why.contains("its files by the time of their last change: written, train.sh; restore its files, name the program's own files in `program.files` if tasks write others of these, or submit"), "{why}");
    runner.end();
}

#[test]
fn tasks_that_are_none_of_its_own_are_refused() {
    let folder = Folder::new();
    let mut runner = Runner::start();
    let member = folder.shell("true");
    runner.tell(&Command::Train { members: vec![member.clone(), member.clone()] });
    let events = runner.until_idle();
    assert_eq!(events.len(), 2);
    assert!(failure(&events[1], "settings").contains("programs run alone"));
    let network: NetworkSettings = serde_json::from_value(network()).unwrap();
    let member = Member { settings: colearn_core::settings::TaskSettings::Network(network), ..member };
    assert!(
        failure(&only_event(&mut runner, member), FailureReason::Settings.as_str())
            .contains("is of a network")
    );
    runner.end();
}

fn network() -> Value {
    use colearn_core::settings::{BiEflstmSettings, ModelSettings, TrainingSettings};
    let settings = NetworkSettings {
        dataset: "tiny".to_owned(),
        primary: "words".to_owned(),
        unimodal: false,
        model: ModelSettings::BiEflstm(BiEflstmSettings { hidden: 4, layers: 2, dropout: 0.5 }),
        training: TrainingSettings::default(),
        modality_dropout: Default::default(),
        evaluate: Vec::new(),
    };
    serde_json::to_value(settings).unwrap()
}

#[test]
fn programs_have_default_signals_and_their_own_group() {
    let folder = Folder::new();
    let mut runner = Runner::start();
    let script = r#"
sed -nE 's/^Sig(Blk|Ign):.*(.{8})$/\1 \2/p' /proc/self/status
test "$(ps -o pgid= -p $$ | tr -d ' ')" = $$ && echo '{"result": {"accuracy": 1}}' >> $COLEARN_METRICS
"#;
    if Process::new("ps").arg("-p1").output().is_err() {
        eprintln!("skipped: there is no ps");
        return;
    }
    result(&runner.run(folder.shell(script)));
    let (_, log) = runner.end();
    let masks: Vec<(&str, u32)> = log
        .lines()
        .filter_map(|line| line.split_once(' '))
        // The 32nd belongs to the C library.
        .map(|(name, mask)| (name, u32::from_str_radix(mask, 16).unwrap() & !(1 << 31)))
        .collect();
    assert_eq!(masks, [("Blk", 0), ("Ign", 0)], "{log}");
}
