//! The places where workers keep the files of tasks.

use std::{collections::BTreeMap, path::Path};

use colearn_trainer_protocol::checkpoint::Store;

/// The locations that results name, each opened once. Calls block, and this must not be dropped where asynchronous code
/// runs.
pub(super) struct Places {
    /// The location to use instead of the recorded ones.
    from: Option<String>,
    opened: BTreeMap<String, Result<Store, String>>,
}

impl Places {
    pub(super) fn new(from: Option<String>) -> Self {
        Self { from, opened: BTreeMap::new() }
    }

    /// Whether a location is the folder of one sweep that is not there any more, in a folder that is.
    pub(super) fn is_gone(&self, location: &str) -> bool {
        let used = self.used(location);
        let path = Path::new(&used);
        let is_of_sweep = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("kept-"));
        is_of_sweep && !path.exists() && path.parent().is_some_and(Path::is_dir)
    }

    fn used(&self, location: &str) -> String {
        self.from.as_deref().map_or_else(|| location.to_owned(), |from| moved(from, location))
    }

    /// The store of a location, or why it cannot be used here and what to do.
    pub(super) fn open(&mut self, location: &str) -> Result<&Store, String> {
        let used = self.used(location);
        let opened = self.opened.entry(used.clone()).or_insert_with(|| {
            Store::open_existing(&used).map_err(|error| {
                let help = match self.from {
                    None if location.starts_with("s3://") => "",
                    None => "; it is a folder of the workers: run this on a host that has it, or name the place where it is here with --from LOCATION",
                    Some(_) => "",
                };
                format!("{error}{help}")
            })
        });
        opened.as_ref().map_err(Clone::clone)
    }
}

/// Where the files of `location` are, if what was its beginning is `from` now: the last part of a location is the folder
/// of one sweep, except in results of older versions.
fn moved(from: &str, location: &str) -> String {
    let from = from.trim_end_matches('/');
    let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let folder = last(location.trim_end_matches('/'));
    match folder.starts_with("kept-") && last(from) != folder {
        true => format!("{from}/{folder}"),
        false => from.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_name_of_a_location_is_that_of_its_beginning() {
        assert_eq!(moved("/mnt/c", "/data/checkpoints/kept-18c"), "/mnt/c/kept-18c");
        assert_eq!(moved("s3://b/p/", "/data/checkpoints/kept-18c/"), "s3://b/p/kept-18c");
        assert_eq!(moved("/mnt/c/kept-18c/", "/data/checkpoints/kept-18c"), "/mnt/c/kept-18c");
        assert_eq!(moved("/mnt/c", "/data/checkpoints"), "/mnt/c", "of an older version");
    }
}
