//! The places where workers keep the files of tasks.

use std::collections::BTreeMap;

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

    /// The store of a location, or why it cannot be used here and what to do.
    pub(super) fn open(&mut self, location: &str) -> Result<&Store, String> {
        let used = self.from.as_deref().unwrap_or(location);
        let opened = self.opened.entry(used.to_owned()).or_insert_with(|| {
            Store::open_existing(used).map_err(|error| {
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
