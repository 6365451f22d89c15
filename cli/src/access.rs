//! `colearn access`: who may use a coordinator.

use std::{collections::BTreeSet, path::PathBuf};

use colearn_access::{
    AccessError, AccessFolder, Authority, Given, Grant, Moment, PartFiles, Parts, Role, ServerAccess, Source,
    Standing,
    place::{self, Placed},
};
use serde_json::json;

use crate::{
    args::{
        AccessCommand, CoordinatorArgs, IssueArgs, ListAccessArgs, PemArgs, RevokeArgs, RotateArgs,
        ServedArgs,
    },
    exit::{Exit, Failure, Outcome},
    layout::{self, Column, fitted, width},
};

/// Runs one of the commands.
pub(crate) fn access(command: &AccessCommand) -> Outcome {
    match command {
        AccessCommand::New(arguments) => issue(arguments),
        AccessCommand::List(arguments) => list(arguments),
        AccessCommand::Revoke(arguments) => revoke(arguments),
        AccessCommand::Rotate(arguments) => rotate(arguments),
        AccessCommand::Pem(arguments) => pem(arguments),
    }
}

fn failure(error: AccessError) -> Failure {
    let exit = match error {
        AccessError::Named(_) => Exit::NotFound,
        _ => Exit::State,
    };
    Failure::new(exit, error)
}

/// The access file for workers that a coordinator starts itself, after [`of_coordinator`] and [`put_in_place`]; `None` if
/// others issue its files. The one in the user's configuration folder comes first: nodes of a cluster share the home
/// folder, but not always the state folder, which should be on a local disk.
pub(crate) fn file_of_workers(arguments: &CoordinatorArgs, placed: &[(PathBuf, Placed)]) -> Option<PathBuf> {
    if arguments.served.tls_cert.is_some() {
        return None;
    }
    let own = place::default_file(Role::Work);
    let at_home = placed.iter().find(|(path, how)| Some(path) == own.as_ref() && *how == Placed::There);
    let file = match at_home {
        Some((path, _)) => path.clone(),
        None => AccessFolder::of(&arguments.state).file("worker"),
    };
    std::path::absolute(file).ok()
}

/// Puts the access files of a coordinator to where the user's commands and workers find them.
pub(crate) fn put_in_place(arguments: &CoordinatorArgs) -> Vec<(PathBuf, Placed)> {
    let Some(into) = place::folder().filter(|_| arguments.served.tls_cert.is_none()) else { return vec![] };
    place::install(&AccessFolder::of(&arguments.state), &into).unwrap_or_else(|error| {
        // A service has no such folder.
        tracing::debug!("no access file was put into the configuration folder: {error}");
        vec![]
    })
}

/// Replaces those files in the user's configuration folder that this coordinator made, after they were made again.
fn replace_in_place(folder: &AccessFolder) -> Result<(), Failure> {
    let Some(into) = place::folder() else { return Ok(()) };
    for path in place::refresh(folder, &into).map_err(failure)? {
        outln!("replaced: {}", path.display());
    }
    Ok(())
}

fn issue(arguments: &IssueArgs) -> Outcome {
    let IssueArgs { role, name, valid, out, state } = arguments;
    let grant = Grant::new(*role, name).map_err(|error| Failure::new(Exit::Usage, error))?;
    let now = Moment::now();
    let folder = AccessFolder::of(&state.folder);
    let given = folder.issue(&grant, now..now.after(*valid), out.as_deref()).map_err(failure)?;
    outln!("{}: for {grant}, until {}", given.file.display(), given.until);
    Ok(Exit::Success)
}

fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Valid => "valid",
        Standing::Revoked => "revoked",
        Standing::Expired => "expired",
        Standing::Forgotten => "of a former authority",
    }
}

fn list(arguments: &ListAccessArgs) -> Outcome {
    let folder = AccessFolder::of(&arguments.state.folder);
    let (given, revoked) = (folder.given().map_err(failure)?, folder.revoked().map_err(failure)?);
    let authorities = if given.is_empty() { Vec::new() } else { folder.authorities().map_err(failure)? };
    let now = Moment::now();
    let standing = |it: &Given| word(AccessFolder::standing(it, &revoked, &authorities, now));
    if arguments.json {
        let all: Vec<_> = given
            .iter()
            .map(|it| {
                json!({
                    "name": it.holder(),
                    "role": it.role,
                    "serial": it.serial,
                    "state": standing(it),
                    "from": it.from.to_string(),
                    "until": it.until.to_string(),
                    "file": it.file.display().to_string(),
                })
            })
            .collect();
        outln!("{:#}", json!({ "access": all }));
        return Ok(Exit::Success);
    }
    if given.is_empty() {
        noteln!(
            "no access files were made in {}: a coordinator that listens on a network, or with --secure, makes them at its first start",
            folder.path().display()
        );
        return Ok(Exit::Success);
    }
    let column = |heading: &str, role, cell: &dyn Fn(&Given) -> String| {
        Column::words(heading, role, given.iter().map(cell).collect())
    };
    let columns = [
        column("name", layout::Role::Key, &|it| it.holder().to_owned()),
        column("role", layout::Role::First, &|it| it.role.clone()),
        column("state", layout::Role::First, &|it| standing(it).to_owned()),
        column("until", layout::Role::First, &|it| it.until.to_string()),
        column("serial", layout::Role::First, &|it| it.serial.chars().take(12).collect()),
        column("file", layout::Role::Moves, &|it| it.file.display().to_string()),
    ];
    outln!("{}", fitted(&columns, &[], width()));
    Ok(Exit::Success)
}

fn revoke(arguments: &RevokeArgs) -> Outcome {
    let folder = AccessFolder::of(&arguments.state.folder);
    let revoked = folder.revoke(&arguments.what, Moment::now()).map_err(failure)?;
    for given in &revoked {
        outln!("revoked: {} ({}), serial {}", given.holder(), given.role, given.serial);
    }
    if revoked.is_empty() {
        outln!("revoked: serial {}", arguments.what);
    }
    outln!("a running coordinator refuses it within a second");
    replace_in_place(&folder)?;
    let general: BTreeSet<&str> =
        revoked.iter().map(Given::holder).filter(|it| matches!(*it, "worker" | "people" | "look")).collect();
    for name in general {
        outln!("{} is a new file: give it to those who shall go on", folder.file(name).display());
    }
    Ok(Exit::Success)
}

fn rotate(arguments: &RotateArgs) -> Outcome {
    let folder = AccessFolder::of(&arguments.state.folder);
    let now = Moment::now();
    if arguments.finish {
        let former = folder.forget_former(now).map_err(failure)?;
        if former == 0 {
            return Err(Failure::new(Exit::NotFound, "there is no former authority: nothing has changed"));
        }
        outln!("only files of the newest authority are accepted from now on");
    } else {
        let authority: Authority = folder.rotate(now).map_err(failure)?;
        outln!("authority {} gives access from now on", authority.id());
        replace_in_place(&folder)?;
        outln!(
            "copy the new files from {} to their users, then: colearn access rotate --finish",
            folder.path().display()
        );
    }
    Ok(Exit::Success)
}

fn pem(arguments: &PemArgs) -> Outcome {
    let parts = Parts::read(&arguments.file).map_err(failure)?;
    let PartFiles { certificate, key, authorities } = parts.write(&arguments.out).map_err(failure)?;
    outln!("certificate: {}", certificate.display());
    outln!("key: {}", key.display());
    outln!("authority: {}", authorities.display());
    if let Some(name) = &parts.server_name {
        outln!("the coordinator's certificate is for the name: {name}");
    }
    Ok(Exit::Success)
}

/// Whom a coordinator lets in; `None` for everybody.
///
/// # Errors
/// If certificates cannot be read or made.
pub(crate) fn of_coordinator(arguments: &CoordinatorArgs) -> Result<Option<ServerAccess>, Failure> {
    let ServedArgs { secure, insecure, tls_cert, tls_key, tls_ca } = &arguments.served;
    let folder = AccessFolder::of(&arguments.state);
    let source = match (tls_cert, tls_key, tls_ca) {
        (Some(certificate), Some(key), Some(authority)) => Source::Files {
            certificate: certificate.clone(),
            key: key.clone(),
            authority: authority.clone(),
            folder,
        },
        _ if *secure || !(*insecure || arguments.listen.address.ip().is_loopback()) => Source::Folder(folder),
        _ => return Ok(None),
    };
    ServerAccess::open(source).map(Some).map_err(failure)
}

/// Says where the access files are.
pub(crate) fn announce(arguments: &CoordinatorArgs, placed: &[(PathBuf, Placed)]) {
    if arguments.served.tls_cert.is_some() {
        return;
    }
    let folder = AccessFolder::of(&arguments.state);
    tracing::info!(
        "only clients with an access file are let in: {files}/worker.access is for workers, people.access for people, look.access for looking only",
        files = folder.path().display()
    );
    for (path, placed) in placed {
        match placed {
            Placed::There => tracing::info!("{} is found by itself", path.display()),
            Placed::Given(holder) => tracing::info!("{} is that of {holder} and stays", path.display()),
            Placed::Other => tracing::info!(
                "{} is of another coordinator and stays: use --access with this one",
                path.display()
            ),
        }
    }
}
