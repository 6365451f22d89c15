//! Measures the cost of dispatch: durable results per second, latencies, expansion, recovery, and what is added to
//! programs of users. Nothing is trained.
//!
//! `cargo bench -p colearn --bench scale -- [dispatch|tls|metrics|pages|flat|grid|large|crowd|own|replay|views ...] [--small]`, after
//! `cargo build --release -p colearn-worker`; `make bench` does both. Without names everything is measured.
//!
//! Coordinator and worker are the real programs, on loopback, with SQLite in its normal mode (WAL, synchronous=FULL).
//! The worker's trainers answer at once, except for `own`, which runs shell programs. Each figure is printed with its goal and with the speed of the disk.

mod crowd;
mod disk;
mod dispatch;
mod figures;
mod grid;
mod large;
mod metrics;
mod own;
mod pages;
mod programs;
mod replay;
mod views;

use std::error::Error;

use figures::Figures;

/// The error type of the bench, which handles no errors.
type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Cargo passes `--bench` to every bench.
    let (flags, names): (Vec<_>, Vec<_>) = arguments.iter().partition(|word| word.starts_with("--"));
    let small = flags.iter().any(|flag| *flag == "--small");
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| *wanted == name);
    if let Some(unknown) = names.iter().find(|name| !NAMES.contains(&name.as_str())) {
        return Err(format!("there is no measurement `{unknown}`: choose from {}", NAMES.join(", ")).into());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut figures = Figures::default();
    disk::measure(&mut figures)?;
    runtime.block_on(async {
        if wanted("dispatch") {
            dispatch::measure(&mut figures, small).await?;
        }
        if wanted("tls") {
            dispatch::measure_tls(&mut figures, small).await?;
        }
        if wanted("metrics") {
            metrics::measure(&mut figures, small).await?;
        }
        if wanted("pages") {
            pages::measure(&mut figures, small).await?;
        }
        if wanted("flat") {
            dispatch::measure_growth(&mut figures, small).await?;
        }
        if wanted("crowd") {
            crowd::measure(&mut figures, small).await?;
        }
        if wanted("grid") {
            grid::measure(&mut figures, small).await?;
        }
        if wanted("large") {
            large::measure(&mut figures, small).await?;
        }
        if wanted("own") {
            own::measure(&mut figures, small).await?;
        }
        if wanted("replay") {
            replay::measure(&mut figures, small).await?;
        }
        if wanted("views") {
            views::measure(&mut figures, small).await?;
        }
        Outcome::Ok(())
    })?;
    figures.print();
    Ok(())
}

const NAMES: [&str; 11] =
    ["dispatch", "tls", "metrics", "pages", "flat", "crowd", "grid", "large", "own", "replay", "views"];
