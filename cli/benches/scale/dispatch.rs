//! Durable results per second, by number of slots and by size of the sweep.

use super::{
    Outcome,
    figures::{Figures, Goal, percentile},
    metrics::Scraper,
    pages::Pages,
    programs::{Coordinator, Worker},
};

/// Slots, tasks, and the goal for results per second.
const BY_SLOTS: [(u32, u32, Option<f64>); 3] =
    [(2, 20_000, Some(2000.0)), (16, 40_000, None), (128, 60_000, Some(5000.0))];

/// The cost of a task.
pub(crate) struct Cost {
    /// Milliseconds from one result to the next.
    pub(crate) wall: f64,
    /// Milliseconds of the coordinator's processor time, without system time.
    pub(crate) processor: f64,
    /// KiB written by the coordinator.
    written: f64,
    /// Answers that open pages got.
    pub(crate) answers: u64,
}

/// What asks the coordinator meanwhile.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    /// Nothing.
    Nothing,
    /// A scraper of `/metrics`.
    Scraper,
    /// Open pages of the dashboard.
    Pages,
}

impl Cost {
    /// The median of each figure.
    pub(crate) fn median(runs: &[Self]) -> Self {
        let median = |figure: fn(&Self) -> f64| {
            let mut values: Vec<f64> = runs.iter().map(figure).collect();
            values.sort_by(f64::total_cmp);
            percentile(&values, 50)
        };
        Self {
            wall: median(|cost| cost.wall),
            processor: median(|cost| cost.processor),
            written: median(|cost| cost.written),
            answers: 0,
        }
    }
}

/// Runs one sweep with this number of tasks on one worker with this number of slots.
pub(crate) async fn run(slots: u32, tasks: u32) -> Outcome<Cost> {
    run_with(slots, tasks, &[], Beside::Nothing).await
}

/// The same, with further options of the coordinator, and something beside it.
pub(crate) async fn run_with(slots: u32, tasks: u32, options: &[&str], beside: Beside) -> Outcome<Cost> {
    let folder = tempfile::tempdir()?;
    let coordinator = Coordinator::start_with(folder.path(), options).await?;
    coordinator.submit("dispatch", tasks).await?;
    let _scraper = (beside == Beside::Scraper).then(|| Scraper::start(&coordinator));
    let pages = match beside {
        Beside::Pages => Some(Pages::open(&coordinator, "dispatch", tasks).await),
        Beside::Nothing | Beside::Scraper => None,
    };
    let (processor, written) = (coordinator.processor_time()?, coordinator.written()?);
    let _worker = Worker::start(&coordinator, folder.path(), slots)?;
    coordinator.wait("dispatch").await?;
    let answers = pages.map_or(0, |pages| pages.answers());
    let (processor, written) = (coordinator.processor_time()? - processor, coordinator.written()? - written);
    let (span, recorded) = coordinator.span("dispatch").await?;
    if recorded != tasks as usize {
        return Err(format!("{recorded} results of {tasks} tasks").into());
    }
    let each = f64::from(tasks);
    Ok(Cost { wall: span / (each - 1.0), processor: processor / each, written: written / each, answers })
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

/// Turns of plain text and TLS.
const TURNS: usize = 5;

/// The cost of TLS: both kinds in turns, because the speed of the disk varies.
pub(crate) async fn measure_tls(figures: &mut Figures, small: bool) -> Outcome {
    for (slots, tasks, _) in BY_SLOTS {
        let tasks = if small { tasks / 20 } else { tasks / 2 };
        let [mut plain, mut tls] = [Vec::new(), Vec::new()];
        for _ in 0..TURNS {
            plain.push(run(slots, tasks).await?);
            tls.push(run_with(slots, tasks, &["--secure"], Beside::Nothing).await?);
        }
        let [plain, tls] = [plain, tls].map(|runs| Cost::median(&runs));
        let what = |what: &str| format!("tls: {what}, {slots} slots, {tasks} tasks");
        figures.add(what("durable completions in plain text"), 1e3 / plain.wall, "per s", None);
        figures.add(what("durable completions over TLS"), 1e3 / tls.wall, "per s", None);
        figures.add(what("processor time of a task in plain text"), plain.processor, "ms", None);
        figures.add(what("processor time of a task over TLS"), tls.processor, "ms", None);
    }
    Ok(())
}

/// Runs of the reference before a larger sweep, and as many after it.
const REFERENCES: usize = 2;
/// Runs of each of the larger sweeps: the largest takes minutes.
const LARGE_RUNS: [usize; 2] = [3, 1];

/// The cost of a task must not depend on the number of tasks. The smallest sweep ends before SQLite has moved data
/// from its log to its tables, so the larger sweeps are compared with the second. It is short, and the speed of the disk
/// varies, so that it is run on both sides of each.
pub(crate) async fn measure_growth(figures: &mut Figures, small: bool) -> Outcome {
    let [smallest, reference, larger @ ..] =
        if small { [100, 1000, 10_000, 20_000] } else { [100, 10_000, 100_000, 1_000_000] };
    let mut add = |beside: &str, tasks: u32, cost: &Cost| {
        let what = |what: &str| format!("flat: a task among {tasks}{beside}: {what}");
        figures.add(what("from result to result, 16 slots"), cost.wall, "ms", None);
        figures.add(what("processor time of the coordinator"), cost.processor, "ms", None);
        figures.add(what("written to the disk"), cost.written, "KiB", None);
    };
    add("", smallest, &run(16, smallest).await?);
    let mut ratios = Vec::new();
    for (tasks, runs) in larger.into_iter().zip(LARGE_RUNS) {
        let (mut small_runs, mut large_runs) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            for _ in 0..REFERENCES {
                small_runs.push(run(16, reference).await?);
            }
            large_runs.push(run(16, tasks).await?);
            for _ in 0..REFERENCES {
                small_runs.push(run(16, reference).await?);
            }
        }
        let [small, large] = [small_runs, large_runs].map(|runs| Cost::median(&runs));
        add(&format!(", beside {tasks}"), reference, &small);
        add("", tasks, &large);
        ratios.push((tasks, large, small));
    }
    for (tasks, large, small) in ratios {
        let what = |what: &str| format!("flat: among {tasks} over among {reference}: {what}");
        let goal = |most| Some(Goal::AtMost(most));
        figures.add(what("time"), large.wall / small.wall, "times", goal(1.1));
        figures.add(what("processor"), large.processor / small.processor, "times", goal(1.1));
        figures.add(what("written"), large.written / small.written, "times", goal(1.25));
    }
    Ok(())
}
