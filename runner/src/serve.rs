//! The runner process: commands on standard input, events on standard output.

use std::{
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use colearn_core::failure::{Failure, FailureReason};
use colearn_trainer_protocol::{Command, Event, Member, checkpoint::Store, environment::environment};
use nix::{
    libc::c_int,
    sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
};

use crate::{
    Options,
    agent::End,
    attempt,
    descendants::adopt_orphans,
    folder::{RunnerFolder, remove_leftovers},
    log::{Log, say},
    session::Session,
    wake::Waiter,
};

pub(crate) fn serve(options: &Options) -> ExitCode {
    leave_signals_to_the_agent();
    if let Err(error) = adopt_orphans() {
        say(&format!("warning: orphans of programs cannot be found: {error}"));
    }
    let (waiter, folder) = match (Waiter::install(), RunnerFolder::make()) {
        (Ok(waiter), Ok(folder)) => (waiter, folder),
        (Err(error), _) => {
            say(&format!("error: failed to wait for child processes: {error}"));
            return ExitCode::from(1);
        }
        (_, Err(error)) => {
            let temporary = std::env::temp_dir();
            say(&format!(
                "error: failed to make a folder in {}: {error}; set TMPDIR to another one",
                temporary.display()
            ));
            return ExitCode::from(1);
        }
    };
    thread::spawn(remove_leftovers);
    let store = options.checkpoints.as_deref().and_then(|location| {
        // Without checkpoints programs still run; only an interruption costs more.
        let opened = Store::open(location);
        opened.map_err(|error| say(&format!("warning: {error}; no checkpoints are kept"))).ok()
    });
    let device = match options.device.as_str() {
        "cpu" => format!("cpu x{}", options.threads),
        device => device.to_owned(),
    };
    let environment = environment(&options.device, options.threads);
    let mut session = Session::new(waiter, Log::start(), folder, store, device.clone(), environment);
    session.agent.emit(&Event::Ready { device });
    let end = commands(&mut session);
    session.log.flush();
    end.exit_code()
}

fn commands(session: &mut Session) -> End {
    loop {
        match session.next_command() {
            Ok(Command::Train { members }) => {
                train(session, &members);
                session.agent.emit(&Event::Idle);
            }
            // For a task that has ended in the meantime.
            Ok(Command::Abandon { .. } | Command::Park) => {}
            Err(end) => return end,
        }
    }
}

fn train(session: &mut Session, members: &[Member]) {
    match members {
        [member] => attempt::train(session, member),
        several => {
            for member in several {
                let why = "programs run alone, and this is a cohort of several tasks: use the same version of colearn on all hosts";
                let failure = Failure::new(FailureReason::Settings, why);
                session.agent.emit(&Event::Failed { task: member.task, failure });
            }
        }
    }
}

/// Whether this process got a signal to end.
static SIGNALLED: AtomicBool = AtomicBool::new(false);

extern "C" fn on_signal(_: c_int) {
    SIGNALLED.store(true, Ordering::Relaxed);
}

/// Whether this process got SIGTERM or SIGINT: then the agent and the program probably got it too.
pub(crate) fn was_signalled() -> bool {
    SIGNALLED.load(Ordering::Relaxed)
}

/// A user who stops the agent may signal all its processes, as `killall` and Slurm do. A runner that ended at the signal
/// could not park its task. It only remembers the signals, and ends with its standard input, which the agent holds open.
fn leave_signals_to_the_agent() {
    let action = SigAction::new(SigHandler::Handler(on_signal), SaFlags::SA_RESTART, SigSet::empty());
    for asked in [Signal::SIGTERM, Signal::SIGINT] {
        // SAFETY: the handler stores one value.
        if let Err(error) = unsafe { sigaction(asked, &action) } {
            say(&format!("warning: {asked} cannot be handled: {error}"));
        }
    }
}
