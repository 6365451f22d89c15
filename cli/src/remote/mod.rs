//! Commands that ask a coordinator, one file a subject.

mod columns;
mod find;
mod json;
mod logs;
mod look;
mod operate;
mod pages;
mod results;
mod set_aside;
mod submit;
mod tasks;
mod words;
mod workers;

use crate::client::Client;

pub(crate) use self::{
    logs::logs,
    look::{exit_of, follow, list, status, watch},
    operate::{cancel, extend, pause, priority, remove, retry},
    pages::{sweep as get_sweep, workers as all_workers},
    results::{failure_note, fetch_results, results},
    submit::{read_sweep_file, submit, submit_to},
    tasks::tasks,
    words::moment,
    workers::{drain, undrain, workers},
};
