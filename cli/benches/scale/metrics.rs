//! The cost of scraping `/metrics` every second.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
    time::interval,
};

use super::{
    Outcome,
    dispatch::{Beside, Cost, run, run_with},
    figures::{Figures, Goal},
    programs::Coordinator,
};

/// Slots and tasks: each run takes several seconds.
const BY_SLOTS: [(u32, u32); 2] = [(2, 20_000), (128, 60_000)];
/// Turns of runs with and without scraping.
const TURNS: usize = 5;

/// Scrapes a coordinator every second, until it is dropped.
pub(crate) struct Scraper(JoinHandle<()>);

impl Scraper {
    pub(crate) fn start(coordinator: &Coordinator) -> Self {
        let address = coordinator.url.trim_start_matches("http://").to_owned();
        Self(tokio::spawn(async move {
            let mut seconds = interval(Duration::from_secs(1));
            loop {
                seconds.tick().await;
                match scrape(&address).await {
                    Ok(answer)
                        if answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200") => {}
                    other => eprintln!("a scrape failed: {other:?}"),
                }
            }
        }))
    }
}

impl Drop for Scraper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn scrape(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Both kinds in turns, because the speed of the disk varies.
pub(crate) async fn measure(figures: &mut Figures, small: bool) -> Outcome {
    for (slots, tasks) in BY_SLOTS {
        let tasks = if small { tasks / 4 } else { tasks };
        let [mut alone, mut scraped] = [Vec::new(), Vec::new()];
        for _ in 0..TURNS {
            alone.push(run(slots, tasks).await?);
            scraped.push(run_with(slots, tasks, &[], Beside::Scraper).await?);
        }
        let [alone, scraped] = [alone, scraped].map(|runs| Cost::median(&runs));
        let what = |what: &str| format!("metrics: {what}, {slots} slots, {tasks} tasks");
        figures.add(what("durable completions"), 1e3 / alone.wall, "per s", None);
        figures.add(what("the same, scraped every second"), 1e3 / scraped.wall, "per s", None);
        figures.add(what("scraped over not"), alone.wall / scraped.wall, "times", Some(Goal::AtLeast(0.95)));
        figures.add(what("processor time of a task"), alone.processor, "ms", None);
        figures.add(what("the same, scraped"), scraped.processor, "ms", None);
    }
    Ok(())
}
