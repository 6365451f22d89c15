//! Commands that use a coordinator, one file per subject.

mod alloc;
mod cancel;
mod compare;
mod excerpt;
mod labels;
mod logs;
mod operate;
mod pages;
mod request;
mod resolve;
mod results;
mod set_aside;
mod status;
mod submit;
mod tasks;
mod usage;
mod workers;

use colearn_client::json;

use crate::client::Client;

pub(crate) use self::{
    alloc::alloc,
    cancel::cancel,
    compare::compare,
    labels::{called, epoch_of, failure_lines, log_time, moment, now, reason_word},
    logs::{log_of_task, logs, short_log_line},
    operate::{extend, pause, priority, remove, retry},
    pages::{sweep as get_sweep, workers as all_workers},
    resolve::pairs as find_tasks,
    results::{
        Fetched, History, failure_note, fetch_results, own_provenance, receive_results, results, warn,
        warn_anyway,
    },
    status::{exit_of, follow, list, status, watch},
    submit::{read_sweep_file, submit, submit_to},
    tasks::{tasks, tasks_of},
    usage::table as usage_table,
    workers::{drain, table as workers_table, undrain, workers},
};
