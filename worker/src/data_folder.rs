//! The contents of the data folder, listed at intervals.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use colearn_data_format::{DataFolder, Outline};
use colearn_proto::worker::{DataSetShape, DataSets};
use tokio::sync::mpsc;

use super::{
    input::Input,
    inventory::{ListedFile, Listing},
};

/// Interval between listings: a data set that is copied to a host is noticed after at most this time.
const BETWEEN_LOOKS: Duration = Duration::from_secs(10);
/// File name extension of a data set.
const ENDING: &str = ".safetensors";

/// Lists a data folder. A missing folder has no data sets. The result is `None` if the folder is too large or cannot
/// be read. Headers of files that are unchanged since an earlier listing are not read again.
#[must_use]
pub(crate) fn list(folder: &DataFolder, root: &Path, before: &Listing) -> Listing {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(BTreeMap::new()),
        Err(_) => return None,
    };
    let mut listed = BTreeMap::new();
    for entry in entries {
        let entry = entry.ok()?;
        let file_name = entry.file_name();
        let Some(name) = file_name.to_str().and_then(|name| name.strip_suffix(ENDING)) else { continue };
        if name.len() > DataSets::MAX_NAME_BYTES || listed.len() == DataSets::MAX_KNOWN {
            return None;
        }
        let metadata = fs::metadata(entry.path()).ok();
        let length = metadata.as_ref().map_or(0, fs::Metadata::len);
        let modified = metadata.and_then(|metadata| metadata.modified().ok());
        let same = |file: &&ListedFile| file.length == length && file.modified == modified;
        let known = before.as_ref().and_then(|before| before.get(name)).filter(same);
        let shape = match known {
            Some(known) => known.shape.clone(),
            // The folder decides whether a link out of it may be followed.
            None => folder.open(name).and_then(Outline::read).ok().map(shape_of),
        };
        listed.insert(name.to_owned(), ListedFile { length, modified, shape });
    }
    Some(listed)
}

fn shape_of(outline: Outline) -> DataSetShape {
    let mut modalities = outline.modalities;
    // No data set has more modalities, and a coordinator accepts no more.
    modalities.truncate(DataSets::MAX_MODALITIES);
    DataSetShape { modalities, train_samples: outline.train_samples as u64 }
}

/// Sends the listing of a folder whenever it has changed, until the receiver is dropped.
pub(crate) async fn watch(folder: DataFolder, root: PathBuf, mut last: Listing, inputs: mpsc::Sender<Input>) {
    loop {
        tokio::time::sleep(BETWEEN_LOOKS).await;
        let (folder, root, before) = (folder.clone(), root.clone(), last.clone());
        // In a separate thread: a network file system may be slow.
        let listed = tokio::task::spawn_blocking(move || list(&folder, &root, &before)).await;
        let Ok(listing) = listed else { return };
        if listing != last {
            last = listing.clone();
            if inputs.send(Input::DataFolder(listing)).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(folder: &Path) -> Listing {
        list(&DataFolder::confined(folder.to_owned()), folder, &None)
    }

    #[test]
    fn data_sets_are_listed_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["demo.safetensors", "waves.v2.safetensors", "notes.txt", ".safetensors.tmp"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let names = listed(folder.path()).unwrap();
        assert_eq!(names.keys().collect::<Vec<_>>(), ["demo", "waves.v2"]);
        fs::write(folder.path().join("demo.safetensors"), "another length").unwrap();
        assert_ne!(listed(folder.path()).unwrap()["demo"], names["demo"]);
        assert_eq!(listed(&folder.path().join("absent")), Some(BTreeMap::new()), "it has none");
        assert_eq!(listed(&folder.path().join("notes.txt")), None, "nobody knows");
    }

    #[test]
    fn headers_are_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("demo.safetensors");
        let demo = colearn_data_format::generate::demo(&Default::default()).unwrap();
        colearn_data_format::write(&path, &demo).unwrap();
        let first = listed(folder.path());
        let shape = first.as_ref().unwrap()["demo"].shape.clone().unwrap();
        assert_eq!(shape.modalities, ["language", "audio", "video"]);
        assert!(shape.train_samples > 100, "{shape:?}");
        // A different header of the same length and time is not noticed, because the file is not opened.
        let confined = DataFolder::confined("/nowhere".into());
        assert_eq!(list(&confined, folder.path(), &first), first);
        assert_eq!(list(&confined, folder.path(), &None).unwrap()["demo"].shape, None);
    }
}
