//! The folder of a report.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, BufWriter, Write as _},
    num::NonZero,
    panic::resume_unwind,
    path::{Component, Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread,
};

use colearn_core::table::ResultsTable;

use crate::{
    charts::Charts,
    error::ReportError,
    long::{Long, Records},
    page::Page,
    report_data::Material,
    text,
};

/// The list of the files that a report wrote, so that the next report can remove those that it does not write. The
/// folder may hold other files as well; these are never removed.
const LIST: &str = ".colearn-report";
const LIST_HEADING: &str = "# files that `colearn report` wrote into this folder and may remove";

/// What writes the content of a file.
type Content<'c> = Box<dyn FnOnce(&mut dyn io::Write) -> io::Result<()> + Send + 'c>;

/// The files of a report. Each is made while it is written: together they may have a hundred megabytes.
#[derive(Default)]
struct Files<'c>(Vec<(String, Content<'c>)>);

impl<'c> Files<'c> {
    fn add(
        &mut self,
        name: impl Into<String>,
        content: impl FnOnce(&mut dyn io::Write) -> io::Result<()> + Send + 'c,
    ) {
        self.0.push((name.into(), Box::new(content)));
    }

    fn add_text(&mut self, name: impl Into<String>, text: impl FnOnce() -> String + Send + 'c) {
        self.add(name, move |into| into.write_all(text().as_bytes()));
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        self.0.iter().map(|(name, _)| name)
    }
}

/// Writes a report into `folder`, which is made if it does not exist; `table` is that of `material`. Files of an earlier
/// report are replaced or, if this report has no such file, removed; all others are left alone. The page is
/// `index.html`, the charts are under `plots/`. Returns the path of the page.
///
/// # Errors
/// If the folder or a file in it cannot be written, if a file of the same name exists that no report wrote, or if no
/// published mean belongs to a configuration.
pub fn write(material: &Material, table: &ResultsTable, folder: &Path) -> Result<PathBuf, ReportError> {
    let published = material.reference.as_ref().map(|reference| reference.beside(table)).transpose()?;
    let published = published.as_ref();
    let charts = Charts::of(material, table, published);
    let charts = &charts;
    let mut files = Files::default();
    files.add("results.csv", move |into| text::csv(into, table));
    files.add_text("results.md", move || text::markdown(table, published));
    files.add_text("results.tex", move || text::latex(table));
    files.add("results.json", move |into| text::json(into, material, table, published));
    if !table.chosen.is_empty() {
        files.add("chosen.csv", move |into| text::chosen(into, table));
    }
    if table.configurations.iter().any(|row| !row.classes.is_empty()) {
        files.add("classes.csv", move |into| text::classes(into, table));
    }
    for records in [Records::Metrics, Records::Epochs] {
        if Long::of(material, table, records).is_empty() {
            continue;
        }
        let long = move || Long::of(material, table, records);
        files.add(format!("{}.csv", records.file()), move |into| long().csv(into));
        #[cfg(feature = "parquet")]
        files.add(format!("{}.parquet", records.file()), move |into| {
            into.write_all(&long().parquet().map_err(io::Error::other)?)
        });
    }
    // Those of a network are drawn, and nothing else was measured.
    let has_curves = || material.done().flat_map(|result| &result.history).any(|it| !it.values.is_empty());
    if !table.is_of_networks() && has_curves() {
        files.add("curves.csv", move |into| text::curves(into, material, table));
    }
    #[cfg(feature = "parquet")]
    files.add("results.parquet", move |into| {
        into.write_all(&crate::parquet::parquet(table).map_err(io::Error::other)?)
    });
    let named: Vec<String> = files.names().cloned().collect();
    files.add("sweep.json", move |into| {
        serde_json::to_writer_pretty(into, &material.sweep).map_err(io::Error::other)
    });

    for chart in charts.all() {
        files.add(format!("plots/{}.svg", chart.file), move |into| into.write_all(chart.svg.as_bytes()));
    }
    files.add("index.html", move |into| {
        Page { material, table, published, charts, files: &named }.write(into)
    });

    let bad = |path: &Path| {
        let path = path.to_owned();
        move |source| ReportError::Write { path, source }
    };
    let plots = folder.join("plots");
    if plots.is_symlink() {
        return Err(ReportError::Foreign { path: plots });
    }
    fs::create_dir_all(&plots).map_err(bad(&plots))?;
    let earlier = earlier_files(folder)?;
    let names: BTreeSet<String> = files.names().cloned().collect();
    if let Some(path) = names
        .difference(&earlier)
        .map(|name| folder.join(name))
        .find(|path| path.is_file() || path.is_symlink())
    {
        return Err(ReportError::Foreign { path });
    }
    // Until the end the list holds the old and the new names, so that no file is forgotten after an interruption.
    write_list(folder, names.union(&earlier))?;
    // The page is written last: if it exists, the files that it links to exist.
    let page = files.0.pop();
    let write = |(name, content): (String, Content<'_>)| {
        let path = folder.join(name);
        put(&path, content).map_err(bad(&path))
    };
    in_parallel(files.0, write)?;
    page.map_or(Ok(()), write)?;
    for name in earlier.difference(&names) {
        let path = folder.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(bad(&path)(error)),
            _ => {}
        }
    }
    write_list(folder, names.iter())?;
    Ok(folder.join("index.html"))
}

/// Does the work for each item on a few threads. Returns the first error, after which nothing more is begun.
fn in_parallel<T: Send, E: Send>(items: Vec<T>, work: impl Fn(T) -> Result<(), E> + Sync) -> Result<(), E> {
    const MOST: usize = 4;
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MOST);
    let items = Mutex::new(items.into_iter());
    let next = || items.lock().unwrap_or_else(PoisonError::into_inner).next();
    let done = thread::scope(|scope| {
        let all = || {
            while let Some(item) = next() {
                if let Err(error) = work(item) {
                    // The others find nothing more to do.
                    while next().is_some() {}
                    return Err(error);
                }
            }
            Ok(())
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(all)).collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect::<Vec<_>>()
    });
    done.into_iter().collect()
}

/// Writes a new file. A symbolic link with this name is replaced, and its target is left alone.
fn put(path: &Path, content: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = BufWriter::new(fs::File::create_new(path)?);
    content(&mut file)?;
    file.flush()
}

/// The files of earlier reports, from the list in the folder. A person may have edited the list: only plain paths
/// within the folder count.
fn earlier_files(folder: &Path) -> Result<BTreeSet<String>, ReportError> {
    let path = folder.join(LIST);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(source) => return Err(ReportError::Read { path, source }),
    };
    let plain = |name: &&str| {
        !name.is_empty() && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
    };
    Ok(text.lines().filter(|line| !line.starts_with('#')).filter(plain).map(str::to_owned).collect())
}

fn write_list<'n>(folder: &Path, names: impl Iterator<Item = &'n String>) -> Result<(), ReportError> {
    let lines: Vec<&str> = std::iter::once(LIST_HEADING).chain(names.map(String::as_str)).collect();
    let path = folder.join(LIST);
    let text = lines.join("\n") + "\n";
    put(&path, |into| into.write_all(text.as_bytes())).map_err(|source| ReportError::Write { path, source })
}
