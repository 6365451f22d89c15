//! Arguments that name a coordinator, a path or an address to listen on.

use std::{
    ffi::OsStr,
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    path::{Component, PathBuf},
    str::FromStr,
};

use clap::{
    ArgMatches, Args, Command, FromArgMatches,
    builder::{PathBufValueParser, TypedValueParser},
    parser::ValueSource,
};
use colearn_command_line::variable;

/// The default state folder.
const STATE: &str = ".colearn";

/// The coordinator to use, from the command line or the environment.
#[derive(Args, Debug)]
struct TargetArgs {
    /// The coordinator's address, such as login1:7117. Other machines are reached by TLS with an access file; http:// asks
    /// for plain text, which coordinators with --insecure speak.
    #[arg(long, env = "COLEARN_COORDINATOR", value_name = "URL")]
    coordinator: Option<String>,
    /// Access file, which the coordinator made [default: colearn/people.access in the user's configuration folder].
    #[arg(long, env = "COLEARN_ACCESS", value_name = "FILE", value_parser = path())]
    access: Option<PathBuf>,
    /// Without --coordinator: the state folder of `colearn run` on this machine.
    #[arg(long, env = "COLEARN_STATE", default_value = STATE, value_name = "DIR", value_parser = path())]
    state: PathBuf,
}

/// The coordinator to use. The command line takes precedence over the environment: a typed `--state DIR` over
/// `COLEARN_COORDINATOR`.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The coordinator's address; `None` means the coordinator of the state folder.
    pub(crate) coordinator: Option<String>,
    /// The access file to use; `None` for the one in the default place, if one is needed.
    pub(crate) access: Option<PathBuf>,
    /// The state folder.
    pub(crate) state: PathBuf,
}

impl FromArgMatches for Target {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let typed = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
        let folder_meant = typed("state") && !typed("coordinator");
        let TargetArgs { coordinator, access, state } = TargetArgs::from_arg_matches(matches)?;
        Ok(Self { coordinator: coordinator.filter(|_| !folder_meant), access, state })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Target {
    fn augment_args(command: Command) -> Command {
        TargetArgs::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        TargetArgs::augment_args_for_update(command)
    }
}

impl Target {
    /// The options that select this coordinator on a command line; empty if the environment or the default already
    /// selects it.
    pub(crate) fn typed(&self) -> String {
        let url = variable("COLEARN_COORDINATOR");
        let state = variable("COLEARN_STATE").unwrap_or_else(|| STATE.into());
        let known = variable("COLEARN_ACCESS");
        let access = self.access.as_deref().filter(|path| known.as_deref() != Some(path.as_os_str()));
        let access = access.map(|path| format!(" --access {}", path.display())).unwrap_or_default();
        let target = match &self.coordinator {
            Some(coordinator) if url.as_deref() == Some(OsStr::new(coordinator)) => String::new(),
            Some(coordinator) => format!(" --coordinator {coordinator}"),
            None if url.is_none() && self.state.as_os_str() == state => String::new(),
            None => format!(" --state {}", self.state.display()),
        };
        target + &access
    }
}

/// Parses a path on this machine. A path that begins with `~` is refused: shells expand `~` only at the beginning of
/// a word, so that `--state=~/x` would create a folder called `~`.
pub(super) fn path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| match path.components().next() {
        Some(Component::Normal(first)) if first.as_encoded_bytes().starts_with(b"~") => Err(format!(
            "`{}` begins with `~`, which only a shell replaces, at the beginning of a word: write $HOME, or ./~ for a file of that name",
            path.display()
        )),
        _ => Ok(path),
    })
}

/// An address to listen on, with the host as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listen {
    /// The address.
    pub(crate) address: SocketAddr,
    host: String,
}

impl FromStr for Listen {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = text
            .to_socket_addrs()
            .map_err(|error| format!("it must be HOST:PORT, such as 127.0.0.1:7117 ({error})"))?;
        Self::of(text, found).ok_or_else(|| "the host has no address".to_owned())
    }
}

impl Listen {
    /// The first address that is not loopback; otherwise the first address.
    fn of(text: &str, found: impl Iterator<Item = SocketAddr>) -> Option<Self> {
        let host = text.rsplit_once(':').map_or(text, |(host, _)| host).trim_matches(['[', ']']);
        let found: Vec<SocketAddr> = found.collect();
        let outside = found.iter().find(|address| !address.ip().is_loopback());
        let address = *outside.or_else(|| found.first())?;
        Some(Self { address, host: host.to_owned() })
    }

    /// The warning for a host name that resolves to loopback, as the machine's own name does on many systems through
    /// /etc/hosts: no other machine can connect.
    pub(crate) fn unreachable_from_elsewhere(&self) -> Option<String> {
        let Self { address, host } = self;
        let local = host == "localhost" || host.ends_with(".localhost") || host.parse::<IpAddr>().is_ok();
        (address.ip().is_loopback() && !local).then(|| {
            format!(
                "`{host}` is {} here, which no other machine can reach: give --listen an address of the network, or 0.0.0.0:{} for all of them",
                address.ip(),
                address.port()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(text: &str, found: &[&str]) -> Listen {
        Listen::of(text, found.iter().map(|address| address.parse().unwrap())).unwrap()
    }

    #[test]
    fn a_name_that_only_this_machine_knows_is_warned_of() {
        let own = listen("node7:7117", &["127.0.1.1:7117"]);
        let warning = own.unreachable_from_elsewhere().unwrap();
        assert!(
            warning.contains("`node7` is 127.0.1.1 here") && warning.contains("0.0.0.0:7117"),
            "{warning}"
        );
        assert!(listen("node7:7117", &["[::1]:7117"]).unreachable_from_elsewhere().is_some());
        for (text, found) in [
            ("localhost:7117", "127.0.0.1:7117"),
            ("127.0.0.1:7117", "127.0.0.1:7117"),
            ("[::1]:7117", "[::1]:7117"),
            ("node7:7117", "10.0.0.7:7117"),
            ("0.0.0.0:7117", "0.0.0.0:7117"),
        ] {
            assert_eq!(listen(text, &[found]).unreachable_from_elsewhere(), None, "{text}");
        }
    }

    #[test]
    fn of_several_addresses_one_that_others_reach_is_taken() {
        let both = listen("node7:7117", &["127.0.1.1:7117", "10.0.0.7:7117"]);
        assert_eq!(both.address, "10.0.0.7:7117".parse().unwrap());
    }

    #[test]
    fn a_tilde_that_no_shell_replaced_is_refused() {
        let parsed = |text: &str| {
            let command = Command::new("x").arg(clap::Arg::new("path").value_parser(path()));
            command.try_get_matches_from(["x", text])
        };
        for text in ["~/state", "~", "~user/state"] {
            let error = parsed(text).unwrap_err().to_string();
            assert!(error.contains("only a shell replaces"), "{text}: {error}");
        }
        for text in ["./~", "a/~b", "/~", "state"] {
            assert!(parsed(text).is_ok(), "{text}");
        }
    }
}
