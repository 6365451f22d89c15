//! The cost of open pages of the dashboard: dispatch while several show the sweep.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};

use super::{
    Outcome,
    dispatch::{Beside, Cost, run, run_with},
    figures::{Figures, Goal},
    programs::Coordinator,
};

/// Slots and tasks. With two slots a run takes five seconds, with many the tasks would end before a page has seen them.
const BY_SLOTS: [(u32, u32); 2] = [(2, 10_000), (128, 60_000)];
/// Turns of runs with and without pages.
const TURNS: usize = 5;
/// Open pages.
const PAGES: usize = 5;
/// The page whose rhythm this is.
const SCRIPT: &str = include_str!("../../../dashboard/assets/sweep.js");

/// The rhythm of the page of a sweep (`sweep.js`): what it asks for after an event, and the least time between two
/// times. After an answer that took long it waits five times as long as that.
fn rhythm(tasks: u32) -> [(&'static str, Duration); 2] {
    let grid = (u64::from(tasks) / 4).clamp(500, 10_000);
    let asked = [("/grid?part=states", Duration::from_millis(grid)), ("?limit=1", Duration::from_secs(1))];
    for (path, _) in asked {
        assert!(SCRIPT.contains(&format!("get(ofSweep(sweepName, \"{path}\"))")), "the page asks for {path}");
    }
    asked
}

/// Pages that show a sweep, until they are dropped.
pub(crate) struct Pages {
    parts: Vec<JoinHandle<()>>,
    answers: Arc<AtomicU64>,
}

impl Pages {
    /// Opens pages, and waits until they show the sweep.
    pub(crate) async fn open(coordinator: &Coordinator, sweep: &str, tasks: u32) -> Self {
        let at = coordinator.url.trim_start_matches("http://").to_owned();
        let (answers, mut parts) = (Arc::new(AtomicU64::new(0)), Vec::new());
        for _ in 0..PAGES {
            let (events, heard) = watch::channel(());
            parts.push(tokio::spawn(listen(at.clone(), format!("/api/v1/sweeps/{sweep}/events"), events)));
            for (what, least) in rhythm(tasks) {
                let path = format!("/api/v1/sweeps/{sweep}{what}");
                parts.push(tokio::spawn(follow(at.clone(), path, least, heard.clone(), answers.clone())));
            }
        }
        let pages = Self { parts, answers };
        while pages.answers() < 2 * PAGES as u64 {
            sleep(Duration::from_millis(10)).await;
        }
        pages
    }

    /// The answers that they have got.
    pub(crate) fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.parts.iter().for_each(JoinHandle::abort);
    }
}

/// Reads a stream of events to its end, and passes on that one came.
async fn listen(at: String, path: String, events: watch::Sender<()>) {
    const EVENT: &[u8] = b"event: sweep";
    let Ok(mut stream) = ask(&at, &path).await else { return eprintln!("there are no events") };
    let (mut part, mut seen) = (vec![0; 16 << 10], Vec::new());
    while let Ok(read @ 1..) = stream.read(&mut part).await {
        seen.extend_from_slice(part.get(..read).unwrap_or_default());
        if seen.windows(EVENT.len()).any(|it| it == EVENT) {
            events.send_replace(());
            seen.clear();
        }
    }
}

/// Asks for something after events.
async fn follow(
    at: String,
    path: String,
    least: Duration,
    mut heard: watch::Receiver<()>,
    answers: Arc<AtomicU64>,
) {
    while heard.changed().await.is_ok() {
        let began = Instant::now();
        match answer(&at, &path).await {
            Ok(answer) if answer.starts_with(b"HTTP/1.1 200") => {}
            Ok(answer) => {
                eprintln!("{path}: {}", String::from_utf8_lossy(answer.get(..200).unwrap_or(&answer)));
            }
            Err(error) => eprintln!("{path}: {error}"),
        }
        answers.fetch_add(1, Ordering::Relaxed);
        sleep_until(began + least.max(5 * began.elapsed())).await;
    }
}

async fn answer(at: &str, path: &str) -> std::io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    ask(at, path).await?.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// A request as a browser makes it; the answer is compressed.
async fn ask(at: &str, path: &str) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(at).await?;
    let head =
        format!("GET {path} HTTP/1.1\r\nhost: {at}\r\naccept-encoding: gzip\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    Ok(stream)
}

/// Both kinds in turns, because the speed of the disk varies.
pub(crate) async fn measure(figures: &mut Figures, small: bool) -> Outcome {
    for (slots, tasks) in BY_SLOTS {
        let tasks = if small && slots > 2 { tasks / 4 } else { tasks };
        let [mut alone, mut shown] = [Vec::new(), Vec::new()];
        for _ in 0..if small { 3 } else { TURNS } {
            alone.push(run(slots, tasks).await?);
            shown.push(run_with(slots, tasks, &[], Beside::Pages).await?);
        }
        let answers = shown.iter().map(|cost| cost.answers).sum::<u64>() as f64 / shown.len() as f64;
        let [alone, shown] = [alone, shown].map(|runs| Cost::median(&runs));
        let what = |what: &str| format!("pages: {what}, {slots} slots, {tasks} tasks");
        figures.add(what("durable completions"), 1e3 / alone.wall, "per s", None);
        figures.add(what(&format!("the same, {PAGES} pages open")), 1e3 / shown.wall, "per s", None);
        figures.add(what("open over not"), alone.wall / shown.wall, "times", Some(Goal::AtLeast(0.95)));
        figures.add(what("processor time of a task"), alone.processor, "ms", None);
        figures.add(what("the same, pages open"), shown.processor, "ms", None);
        figures.add(what("answers that the pages got in a run"), answers, "", None);
    }
    Ok(())
}
