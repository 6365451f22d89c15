//! The speed of the disk: no commit is faster than making one page durable.

use std::{io::Write as _, time::Instant};

use super::{
    Outcome,
    figures::{Figures, percentile},
};

const ROUNDS: usize = 300;

pub(crate) fn measure(figures: &mut Figures) -> Outcome {
    let mut file = tempfile::tempfile()?;
    let page = [7; 4096];
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        file.write_all(&page)?;
        file.sync_data()?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    figures.add("disk: making 4 KiB durable, median", percentile(&times, 50), "ms", None);
    figures.add("disk: the same, 99th percentile", percentile(&times, 99), "ms", None);
    Ok(())
}
