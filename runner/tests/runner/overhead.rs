//! What the runner adds to a task.

use std::time::{Duration, Instant};

use super::{Folder, Runner, result};

/// `cargo test --release -p colearn-runner --test runner overhead -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn overhead_per_task() {
    const RUNS: u32 = 200;
    let (folder, kept) = (Folder::new(), Folder::new());
    let script = r#"echo '{"result": {"accuracy": 1}}' >> "$COLEARN_METRICS""#;
    folder.write("train.sh", script);
    let started = Instant::now();
    let mut runner = Runner::with_checkpoints(kept.path());
    println!("start: {:.1} ms", started.elapsed().as_secs_f64() * 1e3);
    let mut alone = Duration::ZERO;
    for _ in 0..RUNS {
        let begun = Instant::now();
        let mut command = std::process::Command::new("sh");
        command.arg("train.sh").current_dir(folder.path()).env("COLEARN_METRICS", "/dev/null");
        assert!(command.status().unwrap().success());
        alone += begun.elapsed();
    }
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|seed| {
            let mut member = folder.member(&["sh", "train.sh"]);
            member.task.seed = seed.into();
            let begun = Instant::now();
            result(&runner.run(member));
            begun.elapsed()
        })
        .collect();
    times.sort();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let mean = milliseconds(times.iter().sum::<Duration>() / RUNS);
    println!(
        "with the runner: mean {mean:.2} ms, median {:.2} ms, 95% {:.2} ms; without: {:.2} ms",
        milliseconds(times[times.len() / 2]),
        milliseconds(times[times.len() * 95 / 100]),
        milliseconds(alone / RUNS)
    );
    runner.end();
}
