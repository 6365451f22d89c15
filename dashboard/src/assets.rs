//! Scripts, styles and the icon of the pages, from the program itself.

use std::{borrow::Cow, sync::LazyLock};

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest as _, Sha256};

/// Name and contents of each file.
macro_rules! own {
    ($($name:literal),* $(,)?) => { [$(($name, include_bytes!(concat!("../assets/", $name)).as_slice())),*] };
}
macro_rules! uplot {
    ($($name:literal as $served:literal),* $(,)?) => {
        [$(($served, include_bytes!(concat!(env!("COLEARN_UPLOT_FOLDER"), "/", $name)).as_slice())),*]
    };
}

static OWN: &[(&str, &[u8])] = &own![
    "actions.js",
    "api.js",
    "charts.js",
    "compare.js",
    "curves.js",
    "dom.js",
    "grid.js",
    "icon.svg",
    "index.js",
    "live.js",
    "measures.js",
    "results-reader.js",
    "results.js",
    "style.css",
    "submit.js",
    "sweep.js",
    "sweep-page.js",
    "task.js",
    "tasks.js",
    "workers.js",
];
static UPLOT: &[(&str, &[u8])] = &uplot!["uPlot.iife.min.js" as "uplot.js", "uPlot.min.css" as "uplot.css", "LICENSE" as "uplot-licence.txt"];

/// A digest of all files. It is part of their URLs, so that browsers may keep them, and modules find each other beside
/// themselves.
pub(crate) static DIGEST: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    for (name, contents) in OWN.iter().chain(UPLOT) {
        digest.update(name);
        digest.update(contents.len().to_le_bytes());
        digest.update(contents);
    }
    digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
});

pub(crate) async fn asset(Path((digest, name)): Path<(String, String)>) -> Response {
    let Some((name, contents)) = OWN.iter().chain(UPLOT).find(|(known, _)| *known == name) else {
        return super::pages::missing().await.into_response();
    };
    let media = match name.rsplit_once('.').map(|(_, end)| end) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    };
    // A page of an earlier build may ask for its own files: these are newer, so that nobody keeps them.
    let kept = if digest == *DIGEST { "public, max-age=31536000, immutable" } else { "no-store" };
    let headers = [(header::CONTENT_TYPE, media), (header::CACHE_CONTROL, kept)];
    match from_disk(name, contents) {
        Some(contents) => (headers, contents.into_owned()).into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The contents as built in.
#[cfg(not(debug_assertions))]
fn from_disk(_: &str, contents: &'static [u8]) -> Option<Cow<'static, [u8]>> {
    Some(Cow::Borrowed(contents))
}

/// The contents as built in; while the pages are written, with COLEARN_ASSETS, those in that folder. Only in debug
/// builds.
#[cfg(debug_assertions)]
fn from_disk(name: &str, contents: &'static [u8]) -> Option<Cow<'static, [u8]>> {
    let Some(folder) = std::env::var_os("COLEARN_ASSETS") else { return Some(Cow::Borrowed(contents)) };
    let is_own = OWN.iter().any(|(known, _)| *known == name);
    if !is_own {
        return Some(Cow::Borrowed(contents));
    }
    std::fs::read(std::path::Path::new(&folder).join(name)).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
        let mut found: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        found.sort();
        let mut served: Vec<&str> = OWN.iter().map(|(name, _)| *name).collect();
        served.sort_unstable();
        assert_eq!(found, served);
    }
}
