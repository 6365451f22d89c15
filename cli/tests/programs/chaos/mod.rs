//! Real programs under `kill -9`: coordinator, workers and trainers are killed at random moments.
//!
//! `make test` has a few kills; `make chaos KILLS=200 SEED=17` has more, with `TLS=1` over TLS. The seed decides which process is killed
//! after which pause; the state of the programs at that moment depends on the machine.

mod cluster;
mod demo;
mod ledger;
mod rng;

use std::{
    env,
    time::{Duration, Instant, SystemTime},
};

use serde_json::Value;

use self::rng::Dice;
pub(crate) use self::{
    cluster::{Cluster, Setup, Victim},
    ledger::Ledger,
};
use crate::lab::{Lab, SWEEP, largest_difference, text};

/// Two runs of the same tasks on the same machine may differ only by float rounding.
const ROUNDING: f64 = 1e-4;

/// Number of kills in `make test`.
const FEW: usize = 12;

/// Kills are not caused by the tasks: attempts must not run out because of them. The default of three attempts is for
/// tasks that crash their trainers themselves.
const RETRIES: &str = "retries: {max_attempts: 100, initial_backoff: 0s}\n";

/// Workers that answer at once, so that there are many acknowledgements to lose.
pub(crate) const NO_OP: &[&str] = &["--slots", "2", "--max-cohort", "3", "--trainer", "no-op"];
const REAL: &[&str] = &["--slots", "1", "--threads", "1", "--device", "cpu"];

/// Whether everything is said over TLS.
fn tls() -> bool {
    env::var("COLEARN_CHAOS_TLS").is_ok_and(|value| value == "1")
}

/// One kind of work with kills.
struct Phase {
    setup: Setup,
    sweep: String,
    victims: &'static [Victim],
    /// Range of milliseconds between two kills.
    pause: std::ops::Range<u64>,
    kills: usize,
}

/// The outcome of a phase.
struct Outcome {
    sweeps: usize,
    tasks: u64,
    kills: [usize; 3],
    difference: f64,
}

#[test]
fn kills_of_anything_at_any_moment_lose_nothing_and_change_no_table() {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let moment = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos();
    let kills = number("COLEARN_CHAOS_KILLS").map_or(FEW, |kills| usize::try_from(kills).unwrap());
    let seed = number("COLEARN_CHAOS_SEED").unwrap_or_else(|| moment().into());
    println!("chaos: {kills} kills with seed {seed}, {}", if tls() { "over TLS" } else { "in plain text" });
    let lab = Lab::new();
    let mut dice = Dice(seed);
    let trained = kills * 3 / 5;
    real_training(&lab, &mut dice, trained);
    many_results(&lab, &mut dice, kills - trained);
    println!("chaos: all is well; seed {seed}");
}

/// A few results that take a second each, with a checkpoint after every epoch.
fn real_training(lab: &Lab, dice: &mut Dice, kills: usize) {
    let sweep = format!("{SWEEP}{RETRIES}checkpoint: {{every_epochs: 1}}\n");
    lab.write("small.yaml", &sweep);
    let run = ["run", "small.yaml", "--state", "undisturbed", "--slots", "2", "--threads", "1"];
    let output = lab.colearn(&[&run[..], &["--device", "cpu", "--format", "json"]].concat());
    assert!(output.status.success(), "{}\n{}", text(&output.stderr), lab.logs());
    let expected = serde_json::from_slice(&output.stdout).unwrap();
    let phase = Phase {
        setup: Setup { state: "trained", lease: 3, tls: tls(), workers: 2, worker: REAL },
        sweep,
        victims: &[Victim::Coordinator, Victim::Worker, Victim::Trainer],
        pause: 100..1500,
        kills,
    };
    under_fire(lab, dice, phase, &expected);
}

/// Many results that take no time.
fn many_results(lab: &Lab, dice: &mut Dice, kills: usize) {
    let sweep = many(20);
    let calm = Phase {
        setup: Setup { state: "calm", lease: 3, tls: tls(), workers: 1, worker: NO_OP },
        sweep: sweep.clone(),
        victims: &[],
        pause: 10..50,
        kills: 0,
    };
    let expected = under_fire(lab, dice, calm, &Value::Null);
    let phase = Phase {
        setup: Setup { state: "many", lease: 3, tls: tls(), workers: 3, worker: NO_OP },
        sweep,
        victims: &[Victim::Coordinator, Victim::Coordinator, Victim::Worker],
        pause: 20..400,
        kills,
    };
    under_fire(lab, dice, phase, &expected);
}

/// A sweep of 50 tasks for each of this number of levels.
pub(crate) fn many(levels: u32) -> String {
    let of_grid = |line: &str| line.starts_with("parameters") || line.starts_with("  modality");
    let levels: Vec<String> = (0..levels).map(|level| format!("0.{level:02}")).collect();
    SWEEP
        .lines()
        .filter(|line| !of_grid(line) && !line.starts_with("zip") && !line.starts_with("include"))
        .map(|line| if line.starts_with("seeds") { "seeds: {count: 50, base: 0}" } else { line })
        .map(|line| format!("{line}\n"))
        .collect::<String>()
        + &format!("parameters:\n  modality_dropout.audio: [{}]\n{RETRIES}", levels.join(", "))
}

/// Submits sweeps and kills until there were enough kills and all sweeps have ended. Asserts the invariants
/// throughout, and that every table is as expected. Returns the last table.
fn under_fire(lab: &Lab, dice: &mut Dice, phase: Phase, expected: &Value) -> Value {
    let Phase { setup, sweep, victims, pause, kills: wanted } = phase;
    let (state, began) = (setup.state, Instant::now());
    let mut cluster = Cluster::start(lab, setup);
    let mut ledger = Ledger::new(lab, &cluster.names());
    let mut outcome = Outcome { sweeps: 0, tasks: 0, kills: [0; 3], difference: 0.0 };
    let mut current = submit(lab, &cluster, &sweep, &mut outcome);
    let mut progress = (0, Instant::now());
    loop {
        std::thread::sleep(dice.pause(pause.clone()));
        cluster.revive();
        let killed: usize = outcome.kills.iter().sum();
        if killed < wanted {
            let victim = cluster.strike(victims[dice.below(victims.len())], dice.below(100));
            outcome.kills[victim as usize] += 1;
            if victim == Victim::Coordinator {
                check_store(lab, state);
            }
            ledger.check(lab, &current, &cluster.target());
            println!(
                "{state}: kill {} of {wanted}: {victim:?}; {} acknowledged results are all there",
                killed + 1,
                ledger.acknowledged()
            );
        } else {
            ledger.listen();
        }
        if ledger.acknowledged() > progress.0 {
            progress = (ledger.acknowledged(), Instant::now());
        }
        assert!(progress.1.elapsed() < Duration::from_secs(120), "nothing goes on any more\n{}", lab.logs());
        let status = lab.json(&[&["status", &current, "--json"], &cluster.target()[..]].concat());
        if status["state"] != "active" {
            assert_eq!(status["state"], "complete", "{status}");
            ledger.check(lab, &current, &cluster.target());
            let rows = |table: &Value| table["configurations"].clone();
            if !expected.is_null() {
                let difference = largest_difference(&rows(expected), &rows(ledger.table(&current)));
                assert!(difference <= ROUNDING, "{current}: the table differs by {difference}");
                outcome.difference = outcome.difference.max(difference);
            }
            outcome.tasks += status["tasks"]["total"].as_u64().unwrap();
            if outcome.kills.iter().sum::<usize>() >= wanted {
                break;
            }
            current = submit(lab, &cluster, &sweep, &mut outcome);
        }
    }
    // Finished sweeps are kept as well as running ones.
    for sweep in 1..=outcome.sweeps {
        ledger.check(lab, &format!("small-{sweep}"), &cluster.target());
    }
    check_store(lab, state);
    summary(state, &outcome, &cluster, &ledger, began.elapsed());
    let losses = outcome.kills.iter().sum::<usize>() + cluster.left;
    if wanted == 0 {
        assert_eq!(ledger.repeated(), 0, "without kills every task is tried once");
    }
    // A kill costs at most the attempts of all tasks that were leased at that moment: the cohort of every slot.
    assert!(ledger.repeated() <= losses as u64 * 18, "{} repeated attempts", ledger.repeated());
    ledger.table(&current).clone()
}

fn submit(lab: &Lab, cluster: &Cluster<'_>, sweep: &str, outcome: &mut Outcome) -> String {
    outcome.sweeps += 1;
    let name = format!("small-{}", outcome.sweeps);
    lab.write("next.yaml", &sweep.replace("name: small", &format!("name: {name}")));
    let submitted = lab.colearn(&[&["submit", "next.yaml"], &cluster.target()[..]].concat());
    assert!(submitted.status.success(), "{}", text(&submitted.stderr));
    name
}

/// `colearn db check`: journal and results agree, with one result per task.
pub(crate) fn check_store(lab: &Lab, state: &str) {
    let checked = lab.colearn(&["db", "check", "--state", state]);
    assert!(checked.status.success(), "{}{}", text(&checked.stdout), text(&checked.stderr));
}

fn summary(state: &str, outcome: &Outcome, cluster: &Cluster<'_>, ledger: &Ledger, elapsed: Duration) {
    let spread = |times: &[Duration]| {
        let mut times = times.to_vec();
        times.sort();
        let at = |share: usize| {
            times.get(times.len() * share / 100).or(times.last()).map_or(0, Duration::as_millis)
        };
        format!("median {} ms, longest {} ms", at(50), at(100))
    };
    let [coordinators, workers, trainers] = outcome.kills;
    println!(
        "{state}: {coordinators} coordinators, {workers} workers and {trainers} trainers killed in {elapsed:.1?}"
    );
    println!("{state}: coordinators listened again after: {}", spread(&cluster.back));
    println!("{state}: the first worker was back after: {}", spread(&cluster.reconnected));
    if let Some(last) = cluster.recoveries.last() {
        println!("{state}: {} recoveries, the last: {last}", cluster.recoveries.len());
    }
    println!(
        "{state}: {} sweeps of {} tasks complete; {} results acknowledged, none lost, none twice; {} attempts repeated, {} went on from a checkpoint; {} workers left and were started again",
        outcome.sweeps,
        outcome.tasks,
        ledger.acknowledged(),
        ledger.repeated(),
        ledger.resumed,
        cluster.left
    );
    println!("{state}: largest difference to the undisturbed table {:e}", outcome.difference);
}
