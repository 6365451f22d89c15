//! The folder of a report.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write as _},
    path::{Component, Path, PathBuf},
};

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

/// Writes a report into `folder`, which is made if it does not exist. Files of an earlier report are replaced or, if
/// this report has no such file, removed; all others are left alone. The page is `index.html`, the charts are under
/// `plots/`. Returns the path of the page.
///
/// # Errors
/// If the folder or a file in it cannot be written, if a file of the same name exists that no report wrote, or if no
/// published mean belongs to a configuration.
pub fn write(material: &Material, folder: &Path) -> Result<PathBuf, ReportError> {
    let table = material.table();
    let published = material.reference.as_ref().map(|reference| reference.beside(&table)).transpose()?;
    let published = published.as_ref();
    let sweep = serde_json::to_string_pretty(&material.sweep)
        .map_err(|error| ReportError::Encode { file: "sweep.json", message: error.to_string() })?;
    let mut files: Vec<(String, Vec<u8>)> = vec![
        ("results.csv".to_owned(), text::csv(&table).into_bytes()),
        ("results.md".to_owned(), text::markdown(&table, published).into_bytes()),
        ("results.tex".to_owned(), text::latex(&table).into_bytes()),
        (
            "results.json".to_owned(),
            in_memory("results.json", |into| text::json(into, material, &table, published))?,
        ),
    ];
    files.extend(text::chosen(&table).map(|chosen| ("chosen.csv".to_owned(), chosen.into_bytes())));
    files.extend(text::classes(&table).map(|classes| ("classes.csv".to_owned(), classes.into_bytes())));
    for records in [Records::Metrics, Records::Epochs] {
        let long = Long::of(material, &table, records);
        if long.is_empty() {
            continue;
        }
        let name = format!("{}.csv", records.file());
        files.push((name, in_memory(records.file(), |into| long.csv(into))?));
        #[cfg(feature = "parquet")]
        files.push((format!("{}.parquet", records.file()), long.parquet()?));
    }
    // Those of a network are drawn, and nothing else was measured.
    let curves = (!table.is_of_networks()).then(|| text::curves(material)).flatten();
    files.extend(curves.map(|curves| ("curves.csv".to_owned(), curves.into_bytes())));
    #[cfg(feature = "parquet")]
    files.push(("results.parquet".to_owned(), crate::parquet::parquet(&table)?));
    let named: Vec<String> = files.iter().map(|(name, _)| name.clone()).collect();
    files.push(("sweep.json".to_owned(), sweep.into_bytes()));

    let charts = Charts::of(material, &table, published);
    for chart in charts.all() {
        files.push((format!("plots/{}.svg", chart.file), chart.svg.clone().into_bytes()));
    }
    let page = Page { material, table: &table, published, charts: &charts, files: &named };
    // The page is written last: if it exists, the files that it links to exist.
    files.push(("index.html".to_owned(), page.html().into_bytes()));

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
    let names: BTreeSet<String> = files.iter().map(|(name, _)| name.clone()).collect();
    if let Some(path) = names
        .difference(&earlier)
        .map(|name| folder.join(name))
        .find(|path| path.is_file() || path.is_symlink())
    {
        return Err(ReportError::Foreign { path });
    }
    // Until the end the list holds the old and the new names, so that no file is forgotten after an interruption.
    write_list(folder, names.union(&earlier))?;
    for (name, bytes) in files {
        let path = folder.join(name);
        put(&path, &bytes).map_err(bad(&path))?;
    }
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

/// The content of a file.
fn in_memory(
    file: &'static str,
    write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
) -> Result<Vec<u8>, ReportError> {
    let mut bytes = Vec::new();
    write(&mut bytes).map_err(|error| ReportError::Encode { file, message: error.to_string() })?;
    Ok(bytes)
}

/// Writes a new file. A symbolic link with this name is replaced, and its target is left alone.
fn put(path: &Path, content: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::File::create_new(path)?.write_all(content)
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
    put(&path, (lines.join("\n") + "\n").as_bytes()).map_err(|source| ReportError::Write { path, source })
}
