//! `colearn export NAME`: copies kept files into a folder, and checks their digests.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use colearn_core::{
    id::{ConfigurationId, SweepId, TaskId},
    names::{Names, as_argument},
    result::{Artifact, NOT_KEPT},
    sweep::{Configuration, Kept, Sweep},
    table::TaskOutcome,
    text::{bytes, counted_len},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;

use super::{places::Places, removal::joined};
use crate::{
    args::ExportArgs,
    connect::Connection,
    exit::{Exit, Failure, Outcome},
    layout::{Column, Role, fitted, width},
    remote::{Fetched, History, fetch_results, find_tasks},
};

/// Longest name of a folder, in bytes.
const MAX_FOLDER: usize = 100;
/// Maximum number of problems that are listed.
const MAX_LISTED: usize = 10;

/// `colearn export NAME`.
pub(crate) async fn export(arguments: &ExportArgs) -> Outcome {
    let ExportArgs { name, target, only, task, from, out, list, json } = arguments;
    let name = name.as_str();
    let mut connection = Connection::open_to_look(target).await?;
    let tasks = find_tasks(&mut connection.sweeps, name, task).await?;
    let fetched = fetch_results(&mut connection.sweeps, name, History::LeftOut).await?;
    connection.close().await;
    let only: BTreeSet<Kept> = only.iter().map(|kept| (*kept).into()).collect();
    let wanted = |file: &KeptFile| {
        let named = |task: &(String, u64)| task.0 == file.id.to_string() && task.1 == file.seed;
        (only.is_empty() || only.contains(&file.kept)) && (tasks.is_empty() || tasks.iter().any(named))
    };
    let (files, mut problems) = kept_files(&fetched, &wanted);
    if files.iter().all(|file| !wanted(file)) && problems.is_empty() {
        let help = if fetched.sweep.keep.is_empty() {
            "; add `keep: [predictions, weights]` to the sweep file, and run, submit or extend it again: tasks that have no result yet will keep them"
        } else {
            " yet; no task of this choice has a result"
        };
        return Err(Failure::new(Exit::Failure, format!("{name} keeps no files{help}")));
    }
    if *list {
        print_list(&fetched.sweep, &files, &problems, &wanted, *json);
        return Ok(Exit::Success);
    }
    let out = out.clone().unwrap_or_else(|| Path::new("exports").join(name));
    let job = Job {
        sweep: fetched.number.unwrap_or(SweepId(0)),
        wanted: files.iter().map(&wanted).collect(),
        files,
        out: out.clone(),
        places: Places::new(from.clone()),
    };
    let done = joined(spawn_blocking(move || job.run())).await??;
    write_index(&fetched.sweep, &done.present, &out)?;
    outln!(
        "{name}: {} in {} ({} fetched, {} there before)",
        counted_len(done.fetched + done.known, "file"),
        out.display(),
        done.fetched,
        done.known
    );
    problems.extend(done.problems);
    if problems.is_empty() {
        return Ok(Exit::Success);
    }
    let more = problems.len().saturating_sub(MAX_LISTED);
    for problem in problems.iter().take(MAX_LISTED) {
        noteln!("warning: {problem}");
    }
    if more > 0 {
        noteln!("warning: and {more} more");
    }
    let all = counted_len(done.fetched + done.known + problems.len(), "file");
    let message = format!("{} of {all} of {name} could not be exported", problems.len());
    Err(Failure::new(Exit::Failure, message))
}

/// A file that a result records.
#[derive(Clone)]
struct KeptFile {
    id: ConfigurationId,
    seed: u64,
    kept: Kept,
    artifact: Artifact,
    /// Its path in the folder that is written.
    path: PathBuf,
}

/// The files that results record, in the order of the grid, and what is missing of those that are wanted.
fn kept_files(fetched: &Fetched, wanted: &dyn Fn(&KeptFile) -> bool) -> (Vec<KeptFile>, Vec<String>) {
    let sweep = &fetched.sweep;
    let (names, folders) = (Names::of(sweep), folders(sweep));
    let (mut files, mut missing) = (Vec::new(), Vec::new());
    for configuration in &sweep.configurations {
        for &seed in &sweep.seeds {
            let id = configuration.id;
            let Some(TaskOutcome::Done(result)) = fetched.outcomes.get(&(id, seed)) else { continue };
            for kept in Kept::ALL {
                let path = Path::new(&folders[&id]).join(seed.to_string()).join(kept.file_name());
                let found = result.artifacts.iter().find(|artifact| artifact.name == kept.file_name());
                let file = |artifact| KeptFile { id, seed, kept, artifact, path };
                if let Some(artifact) = found {
                    files.push(file(artifact.clone()));
                } else if sweep.keep.contains(&kept) {
                    let nothing = Artifact {
                        name: kept.file_name().to_owned(),
                        digest: String::new(),
                        bytes: 0,
                        location: String::new(),
                    };
                    if wanted(&file(nothing)) {
                        let why = result.environment.get(NOT_KEPT).map_or(
                            "its result was recorded before `keep` was in the sweep file, or by a worker of an older version",
                            String::as_str,
                        );
                        let task = format!("{}/{seed}", as_argument(&names.name(configuration)));
                        missing.push(format!("{task} kept no {}: {why}", kept.file_name()));
                    }
                }
            }
        }
    }
    (files, missing)
}

/// A folder for each configuration, named like it.
fn folders(sweep: &Sweep) -> BTreeMap<ConfigurationId, String> {
    let names = Names::of(sweep);
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._=,+-".contains(c) { c } else { '_' };
    let mut taken = BTreeSet::new();
    let folder = |configuration: &Configuration| {
        let name = as_argument(&names.name(configuration));
        let mut folder: String = name.trim_start_matches('.').chars().map(plain).take(MAX_FOLDER).collect();
        if folder.is_empty() || !taken.insert(folder.clone()) {
            folder = format!("{folder}-{}", configuration.id);
        }
        (configuration.id, folder)
    };
    sweep.configurations.iter().map(folder).collect()
}

/// An export that is to be done.
struct Job {
    sweep: SweepId,
    files: Vec<KeptFile>,
    wanted: Vec<bool>,
    out: PathBuf,
    places: Places,
}

/// An export that was done.
struct Done {
    fetched: usize,
    /// Wanted files that were there before.
    known: usize,
    /// All files that are there now.
    present: Vec<KeptFile>,
    problems: Vec<String>,
}

impl Job {
    fn run(mut self) -> Result<Done, Failure> {
        let mut done = Done { fetched: 0, known: 0, present: Vec::new(), problems: Vec::new() };
        for (file, wanted) in
            std::mem::take(&mut self.files).into_iter().zip(std::mem::take(&mut self.wanted))
        {
            let path = self.out.join(&file.path);
            if has_digest(&path, &file.artifact) {
                done.known += usize::from(wanted);
            } else if wanted {
                match self.fetch(&file) {
                    Ok(bytes) => write_file(&path, &bytes)?,
                    Err(problem) => {
                        done.problems.push(problem);
                        continue;
                    }
                }
                done.fetched += 1;
            } else {
                continue;
            }
            if file.kept == Kept::Predictions {
                write_parquet(&path)?;
            }
            done.present.push(file);
        }
        Ok(done)
    }

    fn fetch(&mut self, file: &KeptFile) -> Result<Vec<u8>, String> {
        let store = self.places.open(&file.artifact.location)?;
        let task = TaskId { sweep: self.sweep, configuration: file.id, seed: file.seed };
        store.load_kept(task, &file.artifact).map_err(|error| error.to_string())
    }
}

/// Whether a file has the recorded digest.
fn has_digest(path: &Path, artifact: &Artifact) -> bool {
    let right_size =
        fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == artifact.bytes);
    right_size && fs::read(path).is_ok_and(|bytes| hexadecimal(&Sha256::digest(bytes)) == artifact.digest)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a file as a whole or not at all.
fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let write = || -> io::Result<()> {
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(format!(".{}.tmp", std::process::id()));
        let temporary = PathBuf::from(temporary);
        let mut file = File::create(&temporary)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        let placed = written.and_then(|()| fs::rename(&temporary, path));
        if placed.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        placed
    };
    write()
        .map_err(|error| Failure::new(Exit::Failure, format!("cannot write `{}`: {error}", path.display())))
}

#[cfg(feature = "parquet")]
fn write_parquet(csv: &Path) -> Result<(), Failure> {
    let parquet = colearn_report::predictions_parquet(&fs::read(csv)?)
        .map_err(|error| Failure::new(Exit::Failure, format!("{}: {error}", csv.display())))?;
    write_file(&csv.with_extension("parquet"), &parquet)
}

#[cfg(not(feature = "parquet"))]
#[expect(clippy::unnecessary_wraps, reason = "with the feature `parquet` it can fail")]
fn write_parquet(_: &Path) -> Result<(), Failure> {
    Ok(())
}

/// Writes the list of the files that are in the folder, with the settings of their tasks.
fn write_index(sweep: &Sweep, present: &[KeptFile], out: &Path) -> Result<(), Failure> {
    let names = Names::of(sweep);
    let mut only_baseline = sweep.configurations.iter().filter(|it| it.baseline).map(|it| it.id);
    let only_baseline =
        only_baseline.next().filter(|_| only_baseline.next().is_none() && !sweep.report.matched);
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut heading =
        ["path", "configuration", "id", "baseline", "seed", "bytes", "digest"].map(str::to_owned).to_vec();
    heading.extend(sweep.parameters.iter().cloned());
    let wrong = |error: csv::Error| Failure::new(Exit::Failure, error);
    writer.write_record(&heading).map_err(wrong)?;
    for file in present {
        let Some(configuration) = sweep.configurations.iter().find(|it| it.id == file.id) else { continue };
        let baseline = configuration.compared_with.or(only_baseline.filter(|_| !configuration.baseline));
        let mut row = vec![
            file.path.display().to_string(),
            names.name(configuration),
            file.id.to_string(),
            baseline.map(|id| id.to_string()).unwrap_or_default(),
            file.seed.to_string(),
            file.artifact.bytes.to_string(),
            file.artifact.digest.clone(),
        ];
        row.extend(
            sweep.parameters.iter().map(|path| configuration.values.get(path).map(text).unwrap_or_default()),
        );
        writer.write_record(&row).map_err(wrong)?;
    }
    let bytes = writer.into_inner().map_err(|error| Failure::new(Exit::Failure, error))?;
    write_file(&out.join("index.csv"), &bytes)
}

/// The kept files for people. Where they are stands below: mostly it is one place.
fn listed(files: &[&KeptFile], name: &dyn Fn(&KeptFile) -> String, width: usize) -> String {
    let mut places: Vec<&str> = Vec::new();
    for file in files {
        if !places.contains(&file.artifact.location.as_str()) {
            places.push(&file.artifact.location);
        }
    }
    let cells = |cell: &dyn Fn(&KeptFile) -> String| files.iter().map(|file| cell(file)).collect();
    let digest = |file: &KeptFile| file.artifact.digest.get(..12).unwrap_or(&file.artifact.digest).to_owned();
    let columns = [
        Column::words("configuration", Role::Key, cells(&name)),
        Column::numbers("seed", Role::First, cells(&|file| file.seed.to_string())),
        Column::words("file", Role::First, cells(&|file| file.artifact.name.clone())),
        Column::numbers("size", Role::First, cells(&|file| bytes(file.artifact.bytes))),
        Column::words("digest", Role::First, cells(&digest)),
    ];
    let total: u64 = files.iter().map(|file| file.artifact.bytes).sum();
    format!(
        "{}\n{} of {} in {}",
        fitted(&columns, &[], width),
        counted_len(files.len(), "file"),
        bytes(total),
        places.join(", ")
    )
}

fn print_list(
    sweep: &Sweep,
    files: &[KeptFile],
    missing: &[String],
    wanted: &dyn Fn(&KeptFile) -> bool,
    as_json: bool,
) {
    let names = Names::of(sweep);
    let name = |file: &KeptFile| {
        sweep.configurations.iter().find(|it| it.id == file.id).map(|it| names.name(it)).unwrap_or_default()
    };
    let files = files.iter().filter(|file| wanted(file));
    if as_json {
        let entry = |file: &KeptFile| {
            let Artifact { name: file_name, digest, bytes, location } = &file.artifact;
            json!({"configuration": file.id.to_string(), "name": name(file), "seed": file.seed, "file": file_name,
                   "bytes": bytes, "digest": digest, "location": location})
        };
        let files: Vec<Value> = files.map(entry).collect();
        outln!("{}", json!({"sweep": sweep.name.as_str(), "files": files, "missing": missing}));
        return;
    }
    let files: Vec<&KeptFile> = files.collect();
    if !files.is_empty() {
        outln!("{}", listed(&files, &name, width()));
    }
    for missing in missing {
        noteln!("warning: {missing}");
    }
}
