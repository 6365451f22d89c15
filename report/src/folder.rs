//! The folder of a report.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{charts::Charts, material::Material, page::Page, text};

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file or folder could not be written.
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file could not be encoded.
    #[error("cannot encode `{file}`: {message}")]
    Encode {
        /// Which.
        file: &'static str,
        /// Why.
        message: String,
    },
}

/// Writes a report into `folder`, which is made if it is not there; files of an earlier report are replaced.
/// The page is `index.html`, the charts are under `plots/`. Returns the page's path.
///
/// # Errors
/// When the folder or a file in it can not be written.
pub fn write(material: &Material, folder: &Path) -> Result<PathBuf, ReportError> {
    let table = material.table();
    let published = material.reference.as_ref().map(|reference| reference.beside(&table));
    let published = published.as_ref();
    let sweep = serde_json::to_string_pretty(&material.sweep)
        .map_err(|error| ReportError::Encode { file: "sweep.json", message: error.to_string() })?;
    let mut files: Vec<(String, Vec<u8>)> = vec![
        ("results.csv".to_owned(), text::csv(&table).into_bytes()),
        ("results.md".to_owned(), text::markdown(&table, published).into_bytes()),
        ("results.tex".to_owned(), text::latex(&table).into_bytes()),
        ("results.json".to_owned(), text::json(&table, published).into_bytes()),
    ];
    #[cfg(feature = "parquet")]
    files.push(("results.parquet".to_owned(), crate::parquet::parquet(&table)?));
    let named: Vec<String> = files.iter().map(|(name, _)| name.clone()).collect();
    files.push(("sweep.json".to_owned(), sweep.into_bytes()));

    let charts = Charts::of(material, &table, published);
    for chart in charts.all() {
        files.push((format!("plots/{}.svg", chart.file), chart.svg.clone().into_bytes()));
    }
    let page = Page { material, table: &table, published, charts: &charts, files: &named };
    // The page comes last: where it is, what it links to is there.
    files.push(("index.html".to_owned(), page.html().into_bytes()));

    let bad = |path: &Path| {
        let path = path.to_owned();
        move |source| ReportError::Write { path, source }
    };
    let plots = folder.join("plots");
    fs::create_dir_all(&plots).map_err(bad(&plots))?;
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::write(&path, bytes).map_err(bad(&path))?;
    }
    Ok(folder.join("index.html"))
}
