//! Views of a large finished sweep: what the commands that show results take, how much memory they need, and how much
//! they print.

use std::{
    fs::File,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use colearn_coordinator::store::{Batch, JournalEntry, ResultRow, SqliteStore, Store};
use colearn_core::{
    id::{LeaseToken, SweepId, TaskId, WorkerId},
    result::{EpochRecord, TaskResult, metric},
    scheduler::Event,
    sweep::Sweep,
    time::Timestamp,
};

use super::{
    Outcome,
    figures::{Figures, Goal},
    programs::SEEDS,
};

/// Number of tasks written in one commit.
const AT_ONCE: usize = 5000;
/// Number of epochs of each result.
const EPOCHS: u32 = 6;
/// Number of classes of each confusion matrix.
const CLASSES: u64 = 5;
/// The longest listing of a person, in bytes: a few screens.
const SCREENS: f64 = 20.0;

/// A command and its goals.
struct View {
    name: &'static str,
    arguments: &'static [&'static str],
    seconds: Option<f64>,
    /// The most memory, in MiB.
    memory: Option<f64>,
    /// The most output, in KiB.
    output: Option<f64>,
}

/// The arguments after the name of the sweep. `{out}` is a folder.
const VIEWS: [View; 10] = [
    View::new("results", &[]).within(1.2).printing(SCREENS),
    View::new("results", &["--all"]),
    View::new("results", &["--format", "csv"]).within(1.2),
    View::new("results", &["--format", "json"]).within(1.6),
    View::new("results", &["--per-seed", "--format", "csv"]),
    View::new("results", &["--history", "--format", "csv"]),
    View::new("report", &["--out", "{out}"]).within(3.0).holding(200.0),
    View::new("status", &[]).printing(SCREENS),
    View::new("tasks", &[]).printing(SCREENS),
    View::new("tasks", &["--all"]),
];

impl View {
    const fn new(name: &'static str, arguments: &'static [&'static str]) -> Self {
        Self { name, arguments, seconds: None, memory: None, output: None }
    }

    const fn within(self, seconds: f64) -> Self {
        Self { seconds: Some(seconds), ..self }
    }

    const fn holding(self, memory: f64) -> Self {
        Self { memory: Some(memory), ..self }
    }

    const fn printing(self, output: f64) -> Self {
        Self { output: Some(output), ..self }
    }
}

pub(crate) async fn measure(figures: &mut Figures, small: bool) -> Outcome {
    for kind in [Kind::Plain, Kind::Judged] {
        measure_kind(figures, small, kind).await?;
    }
    Ok(())
}

/// The results of a sweep.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Three metrics, and no baseline.
    Plain,
    /// The metrics of a classification on both splits, each compared with a baseline: twice the time and memory.
    Judged,
}

async fn measure_kind(figures: &mut Figures, small: bool, kind: Kind) -> Outcome {
    let side = if small { 10 } else { 100 };
    let folder = tempfile::tempdir()?;
    let state = folder.path().join("state");
    write_finished(&state, kind, side).await?;
    let judged = if kind == Kind::Judged { " judged" } else { "" };
    for view in &VIEWS {
        let used = used(view, folder.path(), &state)?;
        let what = format!(
            "views{judged}: {} {} of {} configurations",
            view.name,
            view.arguments.join(" "),
            side * side
        );
        let goal = |most: Option<f64>| most.filter(|_| !small).map(Goal::AtMost);
        figures.add(what.clone(), used.seconds, "s", goal(view.seconds.filter(|_| kind == Kind::Plain)));
        figures.add(
            format!("{what}: memory"),
            used.memory,
            "MiB",
            goal(view.memory.filter(|_| kind == Kind::Plain)),
        );
        figures.add(format!("{what}: output"), used.output, "KiB", goal(view.output));
    }
    let page = folder.path().join("report").join("index.html").metadata()?.len();
    figures.add(
        format!("views{judged}: size of the page"),
        page as f64 / 1024.0,
        "KiB",
        Some(Goal::AtMost(2048.0)),
    );
    Ok(())
}

/// What a command used.
struct Used {
    seconds: f64,
    memory: f64,
    output: f64,
}

fn used(view: &View, folder: &Path, state: &Path) -> Outcome<Used> {
    let printed = folder.join("printed");
    let report = folder.join("report");
    let report = report.to_str().ok_or("the path of the temporary folder is not UTF-8")?;
    let arguments = view.arguments.iter().map(|word| if *word == "{out}" { report } else { *word });
    let mut command = Command::new(env!("CARGO_BIN_EXE_colearn"));
    command.args([view.name, "views"]).args(arguments).arg("--state").arg(state);
    command.stdin(Stdio::null()).stdout(File::create(&printed)?);
    let began = Instant::now();
    let mut child = command.spawn()?;
    let mut memory = 0.0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        memory = peak_memory(child.id()).unwrap_or(memory);
        std::thread::sleep(Duration::from_millis(2));
    };
    let seconds = began.elapsed().as_secs_f64();
    if !status.success() {
        return Err(
            format!("`colearn {} {}` ended with {status}", view.name, view.arguments.join(" ")).into()
        );
    }
    Ok(Used { seconds, memory, output: printed.metadata()?.len() as f64 / 1024.0 })
}

/// The peak memory of a process so far, in MiB; `None` if it has just ended.
fn peak_memory(id: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? / 1024.0)
}

/// A sweep of `side` levels of dropout of each of two modalities, and their baseline if they are judged.
fn sweep(kind: Kind, side: u32) -> String {
    let baseline = match kind {
        Kind::Plain => "",
        Kind::Judged => "include:\n  - {unimodal: true}\nreport: {baseline: {unimodal: true}}\n",
    };
    format!(
        "name: views\nmax_tasks: 1000000\ndataset: demo\nprimary: language\n\
         model: {{kind: bi-eflstm, hidden: 16, layers: 1, dropout: 0.2}}\n\
         training: {{epochs: {EPOCHS}, batch_size: 32, learning_rate: 0.003}}\n\
         parameters:\n  modality_dropout.audio: {{min: 0.0, max: 0.9, count: {side}}}\n  \
         modality_dropout.video: {{min: 0.0, max: 0.9, count: {side}}}\n\
         seeds: {{count: {SEEDS}, base: 0}}\n{baseline}"
    )
}

/// Writes a finished sweep, as a coordinator does whose worker trained it task by task. All results differ.
async fn write_finished(folder: &Path, kind: Kind, side: u32) -> Outcome {
    let store = SqliteStore::open(folder).await?;
    let sweep = Sweep::parse(&sweep(kind, side), "views.yaml")?.sweep;
    let worker = WorkerId::new("w")?;
    let id = SweepId(1);
    let places = (0_u64..).zip(&sweep.seeds).flat_map(|(at, seed)| {
        (0_u64..).zip(&sweep.configurations).map(move |(place, configuration)| {
            (TaskId { sweep: id, configuration: configuration.id, seed: *seed }, place << 32 | at)
        })
    });
    let places: Vec<(TaskId, u64)> = places.collect();
    let submitted = Event::SweepSubmitted { id, sweep: Arc::new(sweep) };
    store.commit(Batch { entries: vec![entry(0, submitted)], ..Batch::default() }).await?;
    let mut token = LeaseToken(0);
    for chunk in places.chunks(AT_ONCE) {
        let mut batch = Batch::default();
        for (task, position) in chunk {
            token = LeaseToken(token.0 + 1);
            let at = i64::try_from(token.0)?;
            let result = result(kind, token.0);
            let tasks = vec![(*task, 1)];
            let granted = Event::LeaseGranted { token, worker: worker.clone(), slot: 0, tasks };
            let finished =
                Event::TaskFinished { token, task: *task, data_digest: result.data_digest.clone() };
            batch.entries.extend([entry(at, granted), entry(at, finished)]);
            batch.results.push(ResultRow {
                task: *task,
                position: *position,
                attempt: 1,
                worker: worker.clone(),
                token,
                recorded_at: Timestamp(at),
                result,
            });
        }
        store.commit(batch).await?;
    }
    Ok(())
}

fn entry(at: i64, event: Event) -> JournalEntry {
    JournalEntry { at: Timestamp(at), sweep: Some(SweepId(1)), event }
}

/// A result as a trainer makes it. Its numbers follow from the seed alone.
fn result(kind: Kind, seed: u64) -> TaskResult {
    // The multiplier of Knuth's generator MMIX: its high bits look like chance.
    let chance = |of: u64| {
        let mixed = (seed << 8 | of).wrapping_add(1).wrapping_mul(6_364_136_223_846_793_005);
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    };
    let (names, splits): (&[&str], usize) = match kind {
        Kind::Plain => (&[metric::ACCURACY, metric::LOSS, metric::F_SCORE], 1),
        Kind::Judged => (&metric::CLASSIFICATION, 2),
    };
    let metrics = (0..).zip(names).flat_map(|(at, name)| {
        let of_splits = [
            ((*name).to_owned(), 0.4 + 0.2 * chance(at)),
            (metric::on_validation(name), 0.4 + 0.2 * chance(at + 64)),
        ];
        of_splits.into_iter().take(splits)
    });
    let history = (1..=EPOCHS).map(|epoch| {
        let at = u64::from(epoch);
        let loss = 1.0 / f64::from(epoch);
        EpochRecord::of_network(epoch, loss + 0.1 * chance(128 + at), loss, 0.5 + 0.1 * chance(192 + at))
    });
    let confusion = (0..CLASSES).map(|truth| {
        (0..CLASSES)
            .map(|predicted| if truth == predicted { 20 + seed % 7 } else { (seed + predicted) % 5 })
            .collect()
    });
    TaskResult {
        metrics: metrics.collect(),
        confusion: confusion.collect(),
        classes: (0..CLASSES).map(|class| format!("class {class}")).collect::<Vec<_>>().into(),
        history: history.collect(),
        best_epoch: 1 + u32::try_from(seed % u64::from(EPOCHS)).unwrap_or(0),
        parameters: 5000,
        seconds: 1.0 + chance(32),
        device: "cpu".to_owned(),
        data_digest: "0".repeat(64),
        weights_digest: format!("{seed:064x}"),
        environment: Arc::new(
            [("threads", "1"), ("libtorch", "2.11.0")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        ),
        ..TaskResult::default()
    }
}
