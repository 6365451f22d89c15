//! Durable completions a second, by the number of slots and by the size of the sweep.

use super::{
    Outcome,
    figures::{Figures, Goal},
    programs::{Coordinator, Worker},
};

/// Slots, tasks, and completions a second that are hoped for.
const BY_SLOTS: [(u32, u32, Option<f64>); 3] = [(2, 20_000, Some(2000.0)), (16, 40_000, None), (128, 60_000, Some(5000.0))];

/// One sweep of so many tasks on one worker of so many slots: milliseconds a task.
async fn run(slots: u32, tasks: u32) -> Outcome<f64> {
    let folder = tempfile::tempdir()?;
    let coordinator = Coordinator::start(folder.path()).await?;
    coordinator.submit("dispatch", tasks).await?;
    let _worker = Worker::start(&coordinator, folder.path(), slots)?;
    coordinator.wait("dispatch").await?;
    let (span, recorded) = coordinator.span("dispatch").await?;
    if recorded != tasks as usize {
        return Err(format!("{recorded} results of {tasks} tasks").into());
    }
    Ok(span / (recorded - 1) as f64)
}

pub(crate) async fn measure(figures: &mut Figures, small: bool) -> Outcome {
    for (slots, tasks, goal) in BY_SLOTS {
        let tasks = if small { tasks / 10 } else { tasks };
        let rate = 1e3 / run(slots, tasks).await?;
        let what = format!("dispatch: durable completions, {slots} slots, {tasks} tasks");
        figures.add(what, rate, "per s", goal.map(Goal::AtLeast));
    }
    Ok(())
}

/// What a task costs must not depend on how many there are.
pub(crate) async fn measure_growth(figures: &mut Figures, small: bool) -> Outcome {
    let sizes = if small { [100, 1000, 10_000] } else { [100, 10_000, 100_000] };
    let mut first = None;
    for tasks in sizes {
        // So few are over before the processor has warmed up: the quickest of a few runs counts.
        let runs = if tasks < 1000 { 5 } else { 1 };
        let mut cost = f64::INFINITY;
        for _ in 0..runs {
            cost = cost.min(run(16, tasks).await?);
        }
        figures.add(format!("flat: cost of a task among {tasks}, 16 slots"), cost, "ms", None);
        let first = *first.get_or_insert(cost);
        if tasks > sizes[0] {
            let what = format!("flat: the same, over that among {}", sizes[0]);
            figures.add(what, cost / first, "times", Some(Goal::AtMost(1.25)));
        }
    }
    Ok(())
}
