//! What lives as long as the runner, and the wait for everything that may happen.

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd as _, BorrowedFd},
    sync::{
        Arc,
        mpsc::{TryRecvError, channel},
    },
    thread,
    time::{Duration, Instant},
};

use colearn_core::id::TaskId;
use colearn_trainer_protocol::{Command, Event, checkpoint::Store};

use crate::{
    agent::{Agent, End},
    folder::RunnerFolder,
    log::{Log, say},
    wake::{Waiter, wake},
};

/// How often the agent is told that a task is still worked on.
const ALIVE: Duration = Duration::from_secs(10);

/// The runner's side of everything.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) agent: Agent,
    pub(crate) waiter: Waiter,
    pub(crate) log: Log,
    pub(crate) folder: RunnerFolder,
    pub(crate) store: Option<Arc<Store>>,
    pub(crate) device: String,
    /// Recorded with every result.
    pub(crate) environment: BTreeMap<String, String>,
    current: Option<Current>,
}

/// The task that is worked on, and what the agent said about it.
#[derive(Debug)]
struct Current {
    task: TaskId,
    abandoned: bool,
    parks: bool,
    next_alive: Instant,
}

/// What became of work in another thread.
#[derive(Debug)]
pub(crate) enum Awaited<T> {
    Done(T),
    /// Nobody wants it any more.
    Unwanted,
    /// It panicked.
    Panicked,
}

impl Session {
    pub(crate) fn new(
        waiter: Waiter,
        log: Log,
        folder: RunnerFolder,
        store: Option<Store>,
        device: String,
        environment: BTreeMap<String, String>,
    ) -> Self {
        let store = store.map(Arc::new);
        Self { agent: Agent::default(), waiter, log, folder, store, device, environment, current: None }
    }

    /// Waits for the next command. The end of the runner if there is none.
    pub(crate) fn next_command(&mut self) -> Result<Command, End> {
        self.current = None;
        loop {
            if let Some(end) = self.agent.ended {
                return Err(end);
            }
            if let Some(command) = self.agent.command() {
                return Ok(command);
            }
            let stdin = io::stdin();
            if self.waiter.wait(&[stdin.as_fd()], None) == [true] {
                self.agent.read();
            }
        }
    }

    pub(crate) fn begin(&mut self, task: TaskId) {
        let next_alive = Instant::now() + ALIVE;
        self.current = Some(Current { task, abandoned: false, parks: false, next_alive });
    }

    /// Whether nobody wants the task any more.
    pub(crate) fn is_unwanted(&self) -> bool {
        self.agent.ended.is_some() || self.current.as_ref().is_none_or(|current| current.abandoned)
    }

    /// Whether the agent asked to park the task.
    pub(crate) fn parks(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.parks)
    }

    /// Waits until one of the descriptors is readable, the agent says something, a child process ends, or the time has
    /// come. Says which descriptors are readable.
    pub(crate) fn wait(&mut self, descriptors: &[BorrowedFd<'_>], until: Option<Instant>) -> Vec<bool> {
        let alive =
            self.current.as_ref().filter(|_| self.agent.ended.is_none()).map(|current| current.next_alive);
        let until = until.into_iter().chain(alive).min();
        let stdin = io::stdin();
        let hears = self.agent.ended.is_none();
        let mut all = descriptors.to_vec();
        if hears {
            all.push(stdin.as_fd());
        }
        let mut ready = self.waiter.wait(&all, until);
        if hears && ready.pop() == Some(true) {
            self.agent.read();
            self.obey();
        }
        if let Some(current) = &mut self.current
            && Instant::now() >= current.next_alive
        {
            current.next_alive = Instant::now() + ALIVE;
            self.agent.emit(&Event::Alive);
        }
        ready
    }

    fn obey(&mut self) {
        let Some(current) = &mut self.current else { return };
        while let Some(command) = self.agent.command() {
            match command {
                Command::Abandon { tasks } => current.abandoned |= tasks.contains(&current.task),
                Command::Park => current.parks = true,
                Command::Train { .. } => {
                    say("error: got a command to train while training");
                    self.agent.end(End::Misunderstood);
                }
            }
        }
    }

    /// Does work that may take long in another thread, and hears the agent meanwhile. Work that nobody wants any more
    /// goes on without effect.
    pub(crate) fn in_background<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Awaited<T> {
        struct Wake;
        impl Drop for Wake {
            fn drop(&mut self) {
                wake();
            }
        }
        let (sender, receiver) = channel();
        let started = thread::Builder::new().spawn(move || {
            // Dropped in the reverse order, also by a panic: first the sender, then the waiting thread wakes.
            let _wake = Wake;
            let sender = sender;
            let _ = sender.send(work());
        });
        if let Err(error) = started {
            self.log.warn(&format!("no thread can be started: {error}"));
            return Awaited::Panicked;
        }
        loop {
            match receiver.try_recv() {
                Ok(done) => return Awaited::Done(done),
                Err(TryRecvError::Disconnected) => return Awaited::Panicked,
                Err(TryRecvError::Empty) if self.is_unwanted() => return Awaited::Unwanted,
                Err(TryRecvError::Empty) => drop(self.wait(&[], None)),
            }
        }
    }
}
