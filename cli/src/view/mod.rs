//! The full-screen view of `colearn watch` and `colearn run`.
//!
//! [`state`] is what is shown, and what events make of it; [`draw`] draws it: both are pure. [`feed`] asks the
//! coordinator for what is shown, [`screen`] has the terminal, and here is the loop between them.

mod details;
mod draw;
mod feed;
mod grid;
mod keys;
mod pane;
pub(crate) mod screen;
mod state;
#[cfg(test)]
mod tests;

use std::{
    env,
    io::{self, IsTerminal as _},
    time::Duration,
};

use colearn_proto::v1::SweepSummary;
use crossterm::{event::EventStream, terminal};
use ratatui::{Terminal, backend::CrosstermBackend};
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;

pub(crate) use self::state::Kind;
use self::{
    feed::Feed,
    state::{Effect, Event, State, Wants},
};
use crate::client::Client;

/// The longest time between two pictures.
const TICK: Duration = Duration::from_millis(250);

/// Whether the view can be shown: standard input, output and error are a terminal that can draw.
pub(crate) fn suits() -> bool {
    let draws = env::var("TERM").is_ok_and(|term| !term.is_empty() && term != "dumb");
    let terminals = io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal();
    draws && terminals && terminal::size().is_ok_and(|(width, height)| width > 0 && height > 0)
}

/// A view that is up.
pub(crate) struct View {
    events: mpsc::UnboundedSender<Event>,
    summary: watch::Sender<Option<SweepSummary>>,
    client: watch::Sender<Client>,
}

impl View {
    /// Begins the view of the sweep `name`. `left` is cancelled when a person leaves it.
    ///
    /// # Errors
    /// If the terminal does not allow it.
    pub(crate) fn begin(client: Client, name: &str, kind: Kind, left: CancellationToken) -> io::Result<Self> {
        screen::enter()?;
        let (events, received) = mpsc::unbounded_channel();
        let (summary, followed) = watch::channel(None);
        let (wants, wanted) = watch::channel(Wants::default());
        let (client, clients) = watch::channel(client);
        let feed = Feed {
            name: name.to_owned(),
            client: clients,
            wants: wanted,
            summary: followed,
            events: events.clone(),
        };
        let state = State::new(name, kind, colearn_command_line::stderr_has_colours());
        tokio::spawn(async move {
            let feed = tokio::spawn(feed.run());
            let ended = show(state, received, &wants).await;
            feed.abort();
            match (&ended, kind) {
                // The progress goes on without a view.
                (Err(error), _) => screen::line(&format!("the view has ended: {error}")),
                (Ok(()), Kind::Run) if screen::is_up() => screen::line("the run goes on; Ctrl-C stops it"),
                (Ok(()), _) => {}
            }
            screen::leave();
            if ended.is_ok() {
                left.cancel();
            }
        });
        Ok(Self { events, summary, client })
    }

    /// Shows the state of the sweep, with the line about its progress and the finished share.
    pub(crate) fn update(&self, summary: &SweepSummary, line: String, share: f64) {
        let _ = self.events.send(Event::Progress(Box::new(summary.clone()), line, share));
        self.summary.send_replace(Some(summary.clone()));
    }

    /// Goes on with another connection.
    pub(crate) fn reconnected(&self, client: Client) {
        self.client.send_replace(client);
    }
}

/// Shows the view until it is left.
async fn show(
    mut state: State,
    mut events: mpsc::UnboundedReceiver<Event>,
    wants: &watch::Sender<Wants>,
) -> io::Result<()> {
    let mut terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
    let mut keys = EventStream::new();
    let mut has_keys = true;
    loop {
        for line in screen::fresh() {
            state.apply(Event::Said(line));
        }
        let drawn = screen::while_up(|| {
            terminal.autoresize()?;
            let size = terminal.size()?;
            if (size.width, size.height) != state.size {
                state.apply(Event::Size(size.width, size.height));
            }
            terminal.draw(|frame| draw::draw(frame, &state)).map(|_| ())
        })?;
        if drawn.is_none() {
            return Ok(());
        }
        wants.send_if_modified(|before| {
            let now = state.wants();
            let differs = *before != now;
            *before = now;
            differs
        });
        let event = tokio::select! {
            key = keys.next(), if has_keys => match key {
                Some(Ok(crossterm::event::Event::Key(key))) => Some(Event::Key(key)),
                Some(Ok(_)) => None,
                // The terminal is gone, or gives no keys: the view goes on without.
                Some(Err(_)) | None => {
                    has_keys = false;
                    None
                }
            },
            event = events.recv() => match event {
                Some(event) => Some(event),
                None => return Ok(()),
            },
            () = tokio::time::sleep(TICK) => None,
        };
        let mut next = event;
        while let Some(event) = next {
            match state.apply(event) {
                Some(Effect::Leave) => return Ok(()),
                Some(Effect::Interrupt) if state.kind == Kind::Watch => return Ok(()),
                // The command has handlers; it ends the view.
                Some(Effect::Interrupt) => nix::sys::signal::raise(nix::sys::signal::Signal::SIGINT)?,
                Some(Effect::Suspend) => {
                    screen::suspend()?;
                    // The screen is empty. (`clear` would ask the terminal for its cursor, and wait for the answer.)
                    terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
                }
                None => {}
            }
            // One picture for all that came meanwhile.
            next = events.try_recv().ok();
        }
    }
}
