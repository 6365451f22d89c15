//! Arguments about who may use a coordinator.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use colearn_access::Role;

use super::{duration_up_to, places};

/// How a coordinator is protected.
#[derive(Args, Debug)]
pub(crate) struct ServedArgs {
    /// Let in only clients with an access file on loopback, too.
    #[arg(long)]
    pub(crate) secure: bool,
    /// Let in everybody who reaches the address, in plain text: whoever does so can submit and cancel, be a worker, and
    /// read everything on the network.
    #[arg(long, conflicts_with_all = ["secure", "tls_cert"])]
    pub(crate) insecure: bool,
    /// Certificate of this coordinator, in PEM, from an authority of your own. The authority's clients need a URI such as
    /// colearn:operate/NAME, colearn:look/NAME or colearn:work/NAME among the alternative names of their certificates.
    #[arg(long, value_name = "FILE", requires_all = ["tls_key", "tls_ca"], value_parser = places::path())]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Key of this certificate, which nobody else may read.
    #[arg(long, value_name = "FILE", requires = "tls_cert", value_parser = places::path())]
    pub(crate) tls_key: Option<PathBuf>,
    /// Certificate of the authority of clients.
    #[arg(long, value_name = "FILE", requires = "tls_cert", value_parser = places::path())]
    pub(crate) tls_ca: Option<PathBuf>,
}

/// `colearn access`.
#[derive(Debug, Subcommand)]
pub(crate) enum AccessCommand {
    /// Make an access file.
    New(IssueArgs),
    /// List the access files that were made.
    List(ListAccessArgs),
    /// Refuse an access file from now on; a running coordinator closes its connections within a second.
    ///
    /// The files worker, people and look are made again.
    Revoke(RevokeArgs),
    /// Replace the authority, while the coordinator runs.
    ///
    /// The files worker, people and look are made again by the new authority. Files of the old one work until `colearn
    /// access rotate --finish`.
    Rotate(RotateArgs),
    /// Write the certificate, the key and the authority of an access file to files of their own, in PEM.
    ///
    /// Other programs take them like that: Prometheus, curl, grpcurl. docs/monitoring.md shows it.
    Pem(PemArgs),
}

/// `colearn access pem`.
#[derive(Args, Debug)]
pub(crate) struct PemArgs {
    /// The access file.
    #[arg(value_parser = places::path())]
    pub(crate) file: PathBuf,
    /// Existing folder for cert.pem, key.pem and ca.pem, which are replaced.
    #[arg(long, value_name = "DIR", value_parser = places::path())]
    pub(crate) out: PathBuf,
}

/// `colearn access new`.
#[derive(Args, Debug)]
pub(crate) struct IssueArgs {
    /// What its holder may do: `look` at everything, `operate` (look, submit and cancel), or `work` (be a worker).
    #[arg(long, value_parser = role)]
    pub(crate) role: Role,
    /// Its holder: a person, who is recorded with what they submit, or a worker, to which the name belongs.
    #[arg(long)]
    pub(crate) name: String,
    /// How long it is valid.
    #[arg(long, value_name = "TIME", default_value = "365days", value_parser = valid)]
    pub(crate) valid: Duration,
    /// File to write, which must not exist yet [default: NAME.access in the folder `access` of the state folder].
    #[arg(long, value_name = "FILE", value_parser = places::path())]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) state: StateArgs,
}

/// The state folder of a coordinator on this machine.
#[derive(Args, Debug)]
pub(crate) struct StateArgs {
    /// The coordinator's state folder.
    #[arg(long = "state", env = "COLEARN_STATE", default_value = ".colearn", value_name = "DIR", value_parser = places::path())]
    pub(crate) folder: PathBuf,
}

/// `colearn access list`.
#[derive(Args, Debug)]
pub(crate) struct ListAccessArgs {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) state: StateArgs,
}

/// `colearn access revoke`.
#[derive(Args, Debug)]
pub(crate) struct RevokeArgs {
    /// The name of its holder, or the first six or more digits of its serial number.
    pub(crate) what: String,
    #[command(flatten)]
    pub(crate) state: StateArgs,
}

/// `colearn access rotate`.
#[derive(Args, Debug)]
pub(crate) struct RotateArgs {
    /// Trust only the newest authority from now on.
    #[arg(long)]
    pub(crate) finish: bool,
    #[command(flatten)]
    pub(crate) state: StateArgs,
}

fn role(text: &str) -> Result<Role, String> {
    text.parse()
}

fn valid(text: &str) -> Result<Duration, String> {
    duration_up_to(text, Duration::from_hours(20 * 365 * 24), "7300days")
}
