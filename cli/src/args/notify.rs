//! Arguments about who is told of events.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{duration_up_to, places};

/// Who is told that sweeps have ended or make no progress.
#[derive(Args, Debug)]
pub(crate) struct NotifyArgs {
    /// Tell this URL, by a signed POST request, that a sweep has ended, failed or makes no progress.
    #[arg(long, env = "COLEARN_WEBHOOK", hide_env_values = true, value_name = "URL")]
    pub(crate) webhook: Option<String>,
    /// File with the secret that requests to the webhook are signed with, which nobody else may read; otherwise it is in the
    /// environment variable COLEARN_WEBHOOK_SECRET. Several lines: several signatures, while one secret replaces another.
    #[arg(long, env = "COLEARN_WEBHOOK_SECRET_FILE", value_name = "FILE", requires = "webhook", value_parser = places::path())]
    pub(crate) webhook_secret_file: Option<PathBuf>,
    /// Run this command line in a shell for each of these events, with the event as JSON on its standard input.
    #[arg(long, env = "COLEARN_ON_EVENT", value_name = "COMMAND")]
    pub(crate) on_event: Option<String>,
    /// How long a sweep may make no progress until the webhook and the command are told.
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = stalled_after)]
    pub(crate) stalled_after: Duration,
}

fn stalled_after(text: &str) -> Result<Duration, String> {
    duration_up_to(text, Duration::from_hours(30 * 24), "30days")
}
