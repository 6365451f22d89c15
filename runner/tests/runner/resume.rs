//! Attempts that go on where an earlier one ended.

use std::fs;

use colearn_trainer_protocol::{Command, Member, checkpoint::Store};
use serde_json::{Value, json};

use super::{Folder, Runner, TASK, failure, result};

/// Trains an epoch more in every attempt, and needs four.
const EPOCH_BY_EPOCH: &str = r#"
at="$COLEARN_CHECKPOINT_DIR/epoch"
epoch=$(( $(cat "$at" 2>/dev/null || echo 0) + 1 ))
echo $epoch > "$at"
echo "{\"epoch\": $epoch, \"train_loss\": $epoch}" >> "$COLEARN_METRICS"
if [ $epoch -lt 4 ]; then exit 75; fi
echo '{"result": {"accuracy": 1}}' >> "$COLEARN_METRICS"
"#;

fn attempt(number: u32, member: Member) -> Member {
    Member { attempt: number, ..member }
}

fn epochs(result: &Value) -> Vec<(u64, f64)> {
    let history = result["history"].as_array().unwrap().iter();
    history
        .map(|record| (record["epoch"].as_u64().unwrap(), record["train_loss"].as_f64().unwrap()))
        .collect()
}

#[test]
fn a_program_that_goes_on_later_has_one_history() {
    let (folder, kept) = (Folder::new(), Folder::new());
    for number in 1..=3 {
        let mut runner = Runner::with_checkpoints(kept.path());
        let event = runner.run(attempt(number, folder.shell(EPOCH_BY_EPOCH)));
        assert!(failure(&event, "parked").contains("asks to go on later"));
        runner.end();
    }
    let mut runner = Runner::with_checkpoints(kept.path());
    let event = runner.run(attempt(4, folder.shell(EPOCH_BY_EPOCH)));
    assert_eq!(epochs(result(&event)), [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]);
    assert_eq!(event["result"]["resumed_after"], json!([1, 2, 3]));
    runner.end();
    let store = Store::open(kept.path().to_str().unwrap()).unwrap();
    store.remove(TASK).unwrap();
    assert_eq!(fs::read_dir(kept.path()).unwrap().count(), 0);
}

#[test]
fn without_a_location_the_folder_lives_as_long_as_the_attempt() {
    let folder = Folder::new();
    let mut runner = Runner::start();
    for number in 1..=2 {
        let event = runner.run(attempt(number, folder.shell(EPOCH_BY_EPOCH)));
        assert!(failure(&event, "parked").contains("there is no location for checkpoints"));
    }
    let event = runner.run(attempt(3, folder.shell(&EPOCH_BY_EPOCH.replace("exit 75", "true"))));
    assert_eq!(epochs(result(&event)), [(1, 1.0)]);
    runner.end();
}

#[test]
fn a_crash_and_a_kill_of_the_runner_keep_the_checkpoint() {
    let (folder, kept) = (Folder::new(), Folder::new());
    let mut runner = Runner::with_checkpoints(kept.path());
    let event = runner.run(folder.shell(&EPOCH_BY_EPOCH.replace("exit 75", "exit 1")));
    failure(&event, "crash");
    let hangs = EPOCH_BY_EPOCH.replace("exit 75", "exec sleep 3600");
    runner.train(attempt(2, folder.shell(&hangs)));
    assert_eq!(runner.epoch()["epoch"], 2);
    runner.child.kill().unwrap();
    let temporary = {
        runner.child.wait().unwrap();
        std::mem::replace(&mut runner.temporary, tempfile::tempdir().unwrap())
    };
    drop(runner);
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 1, "its temporary files are left");
    let mut runner = Runner::start_in(temporary, Some(kept.path()));
    let event = runner.run(attempt(3, folder.shell(&EPOCH_BY_EPOCH.replace("-lt 4", "-lt 3"))));
    // The runner had no time to save the second epoch.
    assert_eq!(epochs(result(&event)), [(1, 1.0), (3, 3.0)]);
    // This also checks that the temporary files of the killed runner are gone.
    runner.end();
}

#[test]
fn the_end_of_the_agent_keeps_all_epochs() {
    let (folder, kept) = (Folder::new(), Folder::new());
    let mut runner = Runner::with_checkpoints(kept.path());
    runner.train(folder.shell(&EPOCH_BY_EPOCH.replace("exit 75", "exec sleep 3600")));
    assert_eq!(runner.epoch()["epoch"], 1);
    runner.end();
    let mut runner = Runner::with_checkpoints(kept.path());
    let event = runner.run(attempt(2, folder.shell(&EPOCH_BY_EPOCH.replace("-lt 4", "-lt 2"))));
    assert_eq!(epochs(result(&event)), [(1, 1.0), (2, 2.0)]);
    runner.end();
}

#[test]
fn a_parked_program_saves_its_state_and_goes_on() {
    let (folder, kept) = (Folder::new(), Folder::new());
    let script = r#"
import json, os, signal, sys, time
state = os.path.join(os.environ["COLEARN_CHECKPOINT_DIR"], "state.json")
epoch = json.load(open(state)) if os.path.exists(state) else 0
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
with open(os.environ["COLEARN_METRICS"], "a", buffering=1) as metrics:
    while epoch < 6:
        epoch += 1
        print(json.dumps({"epoch": epoch, "epochs": 6, "train_loss": os.getpid()}), file=metrics)
        while epoch == 3 and not asked:
            time.sleep(0.01)
        if asked:
            json.dump(epoch, open(state, "w"))
            sys.exit(75)
    print(json.dumps({"result": {"accuracy": 1}}), file=metrics)
"#;
    let Some(member) = folder.python(script) else { return };
    let mut runner = Runner::with_checkpoints(kept.path());
    runner.train(member.clone());
    while runner.epoch()["epoch"] != 3 {}
    runner.tell(&Command::Park);
    assert_eq!(runner.until_idle().last().unwrap()["event"], "parked");
    let event = runner.run(attempt(2, member));
    let history = epochs(result(&event));
    assert_eq!(history.iter().map(|(epoch, _)| *epoch).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_ne!(history[2].1.to_bits(), history[3].1.to_bits(), "they are of two processes");
    assert_eq!(event["result"]["resumed_after"], json!([3]));
    runner.end();
}
