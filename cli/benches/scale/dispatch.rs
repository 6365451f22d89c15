//! Durable completions a second, by the number of slots and by the size of the sweep.

use super::{
    Outcome,
    figures::{Figures, Goal},
    programs::{Coordinator, Worker},
};

/// Slots, tasks, and completions a second that are hoped for.
const BY_SLOTS: [(u32, u32, Option<f64>); 3] =
    [(2, 20_000, Some(2000.0)), (16, 40_000, None), (128, 60_000, Some(5000.0))];

/// What a task cost.
struct Cost {
    /// Milliseconds from one result to the next.
    wall: f64,
    /// Milliseconds of the coordinator's processor time, without what the system does for it.
    processor: f64,
    /// KiB that the coordinator wrote.
    written: f64,
}

/// One sweep of so many tasks on one worker of so many slots.
async fn run(slots: u32, tasks: u32) -> Outcome<Cost> {
    let folder = tempfile::tempdir()?;
    let coordinator = Coordinator::start(folder.path()).await?;
    coordinator.submit("dispatch", tasks).await?;
    let (processor, written) = (coordinator.processor_time()?, coordinator.written()?);
    let _worker = Worker::start(&coordinator, folder.path(), slots)?;
    coordinator.wait("dispatch").await?;
    let (processor, written) = (coordinator.processor_time()? - processor, coordinator.written()? - written);
    let (span, recorded) = coordinator.span("dispatch").await?;
    if recorded != tasks as usize {
        return Err(format!("{recorded} results of {tasks} tasks").into());
    }
    let each = f64::from(tasks);
    Ok(Cost { wall: span / (each - 1.0), processor: processor / each, written: written / each })
}

pub(crate) async fn measure(figures: &mut Figures, small: bool) -> Outcome {
    for (slots, tasks, goal) in BY_SLOTS {
        let tasks = if small { tasks / 10 } else { tasks };
        let rate = 1e3 / run(slots, tasks).await?.wall;
        let what = format!("dispatch: durable completions, {slots} slots, {tasks} tasks");
        figures.add(what, rate, "per s", goal.map(Goal::AtLeast));
    }
    Ok(())
}

/// What a task costs must not depend on how many there are. The smallest sweep is over before SQLite has moved
/// anything from its log to its tables, so that the middle one is what the largest is compared with.
pub(crate) async fn measure_growth(figures: &mut Figures, small: bool) -> Outcome {
    let sizes = if small { [100, 1000, 10_000] } else { [100, 10_000, 100_000] };
    let mut costs = Vec::new();
    for tasks in sizes {
        let cost = run(16, tasks).await?;
        let what = |what: &str| format!("flat: a task among {tasks}: {what}");
        figures.add(what("from result to result, 16 slots"), cost.wall, "ms", None);
        figures.add(what("processor time of the coordinator"), cost.processor, "ms", None);
        figures.add(what("written to the disk"), cost.written, "KiB", None);
        costs.push(cost);
    }
    let [_, middle, most] = costs.as_slice() else { return Ok(()) };
    let what = |what: &str| format!("flat: among {} over among {}: {what}", sizes[2], sizes[1]);
    let goal = Some(Goal::AtMost(1.25));
    figures.add(what("time"), most.wall / middle.wall, "times", goal);
    figures.add(what("processor"), most.processor / middle.processor, "times", goal);
    figures.add(what("written"), most.written / middle.written, "times", goal);
    Ok(())
}
