//! Programs of users: how busy they keep two slots, and what is added to each.

use super::{
    Outcome,
    figures::{Figures, Goal},
    programs::{Coordinator, SEEDS, Worker},
};

/// Number of slots.
const SLOTS: u32 = 2;

/// A sweep of a shell program that waits and then tells its result; its number of tasks is a multiple of [`SEEDS`].
fn sweep(name: &str, tasks: u32, folder: &str, wait: &str) -> String {
    format!(
        "name: {name}\nprogram: {{command: [sh, -c, '{wait}echo score=1 # ${{args}}'], directory: '{folder}', \
         result: 'score=(?P<score>[0-9]+)'}}\nparameters: {{x: {{min: 1, max: {}, count: {}}}}}\n\
         seeds: {{count: {SEEDS}}}\nreport: {{metrics: [score]}}\n",
        tasks / SEEDS,
        tasks / SEEDS
    )
}

/// Milliseconds from one result to the next on one slot.
async fn per_task(name: &str, tasks: u32, wait: &str) -> Outcome<f64> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().to_str().ok_or("the path of the temporary folder is not UTF-8")?;
    let coordinator = Coordinator::start(folder.path()).await?;
    coordinator.submit_file(name, sweep(name, tasks, path, wait), tasks).await?;
    let _worker = Worker::start_for_programs(&coordinator, folder.path(), SLOTS)?;
    coordinator.wait(name).await?;
    let (span, recorded) = coordinator.span(name).await?;
    if recorded != tasks as usize {
        return Err(format!("{recorded} results of {tasks} tasks").into());
    }
    // Of the first results one on each slot is not part of the span.
    Ok(span / f64::from(tasks - SLOTS) * f64::from(SLOTS))
}

pub(crate) async fn measure(figures: &mut Figures, small: bool) -> Outcome {
    let tasks = if small { 20 } else { 1000 };
    let one_second = per_task("one-second", tasks, "sleep 1; ").await?;
    let what = format!("own: share of time in which {tasks} programs of one second keep {SLOTS} slots busy");
    figures.add(what, 100.0 * 1000.0 / one_second, "%", Some(Goal::AtLeast(95.0)));
    let immediate = per_task("immediate", tasks, "").await?;
    let what = format!("own: from result to result, {tasks} programs that end at once, {SLOTS} slots");
    figures.add(what, immediate, "ms", Some(Goal::AtMost(50.0)));
    Ok(())
}
