//! Times of training steps.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use colearn_trainer::model::Batch;
use serde_json::{Value, json};
use tch::{Device, Kind};

use crate::{Outcome, memory, options::Options, say, words, work::Work};

/// Steps before the timing starts, in which kernels are loaded, memory is allocated and caches are filled.
const WARM_UP: u32 = 4;
/// Blocks of steps. The median of the blocks is reported.
const BLOCKS: u32 = 3;

/// Times a step at each number of members, in the given order. The first number is the most important one, in case
/// the time ends. Its memory figure is exact; later figures include what earlier ones left in the allocator.
pub(crate) fn run(options: &Options) -> Outcome {
    let device = options.device()?;
    tch::set_num_threads(options.number("--threads", 1)?);
    let seconds: f64 = options.number("--seconds", 1.0)?;
    let limit =
        Duration::try_from_secs_f64(options.number("--limit", 3600.0)?).map_err(|error| error.to_string())?;
    let members = options.numbers("--members", &[1])?;
    let began = Instant::now();
    // Create the context and load the first kernels now, so that they do not count as memory of a member.
    drop(tch::Tensor::zeros([1], (Kind::Float, device)));
    let before = memory::used(device);
    for count in members {
        if began.elapsed() > limit {
            say(&json!({"members": count, "left_out": "there was no time left"}));
            continue;
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| time(options, count, device, seconds, before)));
        match outcome {
            Ok(timed) => say(&timed?),
            Err(panic) => say(&json!({"members": count, "error": words(panic.as_ref())})),
        }
    }
    Ok(())
}

thread_local! {
    /// The cohort and batch that `prepare` made, and the number of the next step.
    static PREPARED: RefCell<Option<(Work, Batch, u32)>> = const { RefCell::new(None) };
}

/// Makes a cohort and its batch. A profiler can then watch [`rounds`] without the costs of the start.
pub(crate) fn prepare(options: &Options) -> Outcome {
    tch::set_num_threads(options.number("--threads", 1)?);
    let device = options.device()?;
    let members = options.number("--members", 40)?;
    let work = Work::new(options, members, (Kind::Float, device), options.kernels(device)?)?;
    let batch = work.random_batch();
    work.synchronize();
    PREPARED.set(Some((work, batch, 0)));
    Ok(())
}

/// Runs steps and measures nothing.
pub(crate) fn rounds(options: &Options) -> Outcome {
    let count: u32 = options.number("--rounds", 10)?;
    PREPARED.with_borrow_mut(|prepared| {
        let (work, batch, step) = prepared.as_mut().ok_or("there is no cohort: `prepare` makes one")?;
        for _ in 0..count {
            let _ = work.train(batch, *step);
            work.optimize();
            *step += 1;
        }
        work.synchronize();
        Ok(())
    })
}

fn time(
    options: &Options,
    members: usize,
    device: Device,
    seconds: f64,
    before: Option<u64>,
) -> Result<Value, String> {
    let mut work = Work::new(options, members, (Kind::Float, device), options.kernels(device)?)?;
    let batch = work.random_batch();
    let mut step = 0;
    let mut steps = |work: &mut Work, count: u32| {
        for _ in 0..count {
            let _ = work.train(&batch, step);
            work.optimize();
            step += 1;
        }
    };
    let began = Instant::now();
    steps(&mut work, 1);
    work.synchronize();
    let first = began.elapsed();
    // If a step takes more than a second, one is enough as a warm-up.
    steps(&mut work, if first.as_secs_f64() > seconds { 1 } else { WARM_UP });
    work.synchronize();
    let trial = Instant::now();
    steps(&mut work, 1);
    work.synchronize();
    let count =
        (seconds / f64::from(BLOCKS) / trial.elapsed().as_secs_f64().max(1e-6)).clamp(1.0, 1000.0) as u32;

    // Time to enqueue the work, and time until it is done.
    let (mut told, mut done) = (Vec::new(), Vec::new());
    for _ in 0..BLOCKS {
        let began = Instant::now();
        steps(&mut work, count);
        told.push(began.elapsed().as_secs_f64() * 1e3 / f64::from(count));
        work.synchronize();
        done.push(began.elapsed().as_secs_f64() * 1e3 / f64::from(count));
    }
    let used = memory::used(device);

    // Times of the parts of a step, with a wait after each part. Their sum is more than a step takes, because the
    // parts overlap in a step.
    let mut parts = [0.0, 0.0];
    let few = count.min(20);
    for _ in 0..few {
        let began = Instant::now();
        let loss = work.train(&batch, step);
        work.synchronize();
        parts[0] += began.elapsed().as_secs_f64() * 1e3 / f64::from(few);
        let began = Instant::now();
        work.optimize();
        work.synchronize();
        parts[1] += began.elapsed().as_secs_f64() * 1e3 / f64::from(few);
        step += 1;
        if !loss.isfinite().all().int64_value(&[]).eq(&1) {
            return Err(format!("the loss of a cohort of {members} is not finite"));
        }
    }
    let grown = before.zip(used).map(|(before, used)| used.saturating_sub(before));
    Ok(json!({
        "members": members,
        "ms": median(&mut done),
        "least_ms": done[0],
        "host_ms": median(&mut told),
        "train_ms": parts[0],
        "optimizer_ms": parts[1],
        "steps": count * BLOCKS,
        "memory": grown,
        "parameters": work.model.layout().total(),
    }))
}

/// Sorts the values.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
