//! Submits a large sweep: its text is parsed, checked, expanded and made durable before the answer.

use std::time::Instant;

use super::{
    Outcome,
    figures::{Figures, Goal},
    programs::Coordinator,
};

pub(crate) async fn measure(figures: &mut Figures, small: bool) -> Outcome {
    let tasks = if small { 10_000 } else { 100_000 };
    let folder = tempfile::tempdir()?;
    let coordinator = Coordinator::start(folder.path()).await?;
    let began = Instant::now();
    coordinator.submit("grid", tasks).await?;
    let seconds = began.elapsed().as_secs_f64();
    figures.add(format!("grid: {tasks} tasks expanded and persisted"), seconds, "s", Some(Goal::AtMost(2.0)));
    figures.add("grid: memory of the coordinator after that", coordinator.memory()?, "MiB", None);
    Ok(())
}
