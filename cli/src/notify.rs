//! Who is told that sweeps have ended or make no progress.

use std::time::Duration;

use colearn_access::{AccessError, read_secret};
use colearn_coordinator::notify::{EventCommand, NotifyRules, Secrets, Webhook};

use crate::{
    args::NotifyArgs,
    exit::{Exit, Failure},
};

/// The variable with the secret of the webhook.
const SECRET: &str = "COLEARN_WEBHOOK_SECRET";
/// Variables that commands do not get.
const KEPT: [&str; 2] = [SECRET, "COLEARN_WEBHOOK"];
/// How long a coordinator that stops waits for its receivers.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long `colearn run` waits for its command after the sweep has ended: longer than a command may take.
const PATIENCE_OF_RUN: Duration = Duration::from_secs(65);
/// No sweep is stalled as long as this, by which `colearn run` means never: somebody sees its progress.
const NEVER: Duration = Duration::from_hours(365 * 24);

/// Whom a coordinator tells; `None` for nobody.
///
/// # Errors
/// If the webhook or its secret cannot be used.
pub(crate) fn of_coordinator(arguments: &NotifyArgs) -> Result<Option<NotifyRules>, Failure> {
    let NotifyArgs { webhook, webhook_secret_file, on_event, stalled_after } = arguments;
    let webhook = match webhook.as_deref() {
        None => None,
        Some(url) => {
            let text = match webhook_secret_file {
                Some(file) => read_secret(file).map_err(|error| match error {
                    AccessError::Missing(path) => Failure::new(
                        Exit::Usage,
                        format!("there is no file {} with the secret of the webhook: docs/notifications.md says how to make one", path.display()),
                    ),
                    error => Failure::new(Exit::Usage, error),
                })?,
                None => std::env::var(SECRET).unwrap_or_default(),
            };
            let usage = |error: String| Failure::new(Exit::Usage, error);
            let secrets = Secrets::parse(&text).map_err(|error| {
                usage(format!("{error}; put it into a file for --webhook-secret-file, or into {SECRET}"))
            })?;
            Some(Webhook::new(url, secrets).map_err(|error| usage(error.to_string()))?)
        }
    };
    let command = command(on_event.as_deref());
    if webhook.is_none() && command.is_none() {
        return Ok(None);
    }
    Ok(Some(NotifyRules { webhook, command, stalled_after: *stalled_after, patience: PATIENCE }))
}

/// Whom `colearn run` tells.
pub(crate) fn of_run(on_event: Option<&str>) -> Option<NotifyRules> {
    let command = Some(command(on_event)?);
    Some(NotifyRules { webhook: None, command, stalled_after: NEVER, patience: PATIENCE_OF_RUN })
}

fn command(line: Option<&str>) -> Option<EventCommand> {
    line.filter(|line| !line.trim().is_empty()).map(|line| EventCommand::new(line.to_owned(), KEPT.to_vec()))
}
