//! `colearn dashboard`: the pages of a coordinator, served here for a browser on this machine.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    process::{Command, Stdio},
};

use colearn_dashboard::{Guard, Services, Token};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::{
    args::DashboardArgs,
    connect::Connection,
    exit::{Exit, Failure, Outcome},
    interrupt::Interrupts,
};

/// Serves the pages until a signal arrives. Other users of this machine do not know the token in the address.
pub(crate) async fn dashboard(arguments: &DashboardArgs) -> Outcome {
    let mut interrupts = Interrupts::install()?;
    let connection = Connection::open_to_look(&arguments.target).await?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port));
    let unusable = |error: io::Error| {
        Failure::new(
            Exit::Address,
            format!("{address} cannot be listened on ({error}): choose another with --port"),
        )
    };
    let listener = TcpListener::bind(address).await.map_err(unusable)?;
    let address = listener.local_addr().map_err(unusable)?;
    let random = || format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    // The arguments of a program that opens a browser can be seen by all users of the machine.
    let (secret, ticket) = (random(), random());
    let token = Token::new(secret.clone());
    let token = if arguments.open { token.with_ticket(ticket.clone()) } else { token };
    let guard = Guard { only_loopback: true, token: Some(token) };
    let services = Services::new(connection.sweeps.channel());
    let pages = colearn_dashboard::router(services, guard);
    outln!("dashboard: http://{address}/?token={secret}");
    if arguments.open {
        open(&format!("http://{address}/?token={ticket}"));
    }
    let served = tokio::select! {
        served = colearn_dashboard::serve(listener, pages) => served,
        () = interrupts.next() => Ok(()),
    };
    connection.close().await;
    served.map_err(|error| Failure::new(Exit::Failure, format!("the dashboard stopped: {error}")))?;
    Ok(Exit::Success)
}

/// Opens an address in the user's browser. Where that is not possible, the address is there to be copied.
pub(crate) fn open(url: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let null = Stdio::null;
    let started = Command::new(program).arg(url).stdin(null()).stdout(null()).stderr(null()).spawn();
    match started {
        // It ends by itself, and nobody waits for a browser.
        Ok(child) => drop(child),
        Err(error) => errln!("warning: no browser can be opened ({program}: {error}): open {url}"),
    }
}
