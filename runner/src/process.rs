//! The program as a process: starting it, asking it to end, and ending it with everything that it started.

use std::{
    io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::process::CommandExt as _,
    },
    process::{self, Stdio},
    time::{Duration, Instant},
};

use nix::{
    libc,
    sys::{
        signal::{Signal, kill, killpg},
        wait::WaitStatus,
    },
    unistd::Pid,
};

use crate::{
    descendants::{descendants, reap},
    wake::{Waiter, close_on_exec_and_return_at_once},
};

/// How long to try to end all processes. It takes longer only if one cannot be ended, such as one of another user.
const KILL: Duration = Duration::from_secs(10);
/// How long to wait before the search for further processes begins.
const SEARCH_AGAIN: Duration = Duration::from_millis(5);

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With this exit code.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
}

/// A running program.
#[derive(Debug)]
pub(crate) struct Program {
    /// Also the number of its process group.
    pid: Pid,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    ended: Option<Ended>,
    /// Whether this runner has sent it SIGKILL.
    killed: bool,
}

impl Program {
    /// Starts the program in a process group of its own, with nothing on its standard input, and with all signals as a
    /// shell would leave them. It is killed if the runner ends.
    ///
    /// The calling thread must be the main thread: the system kills the program when that thread ends.
    pub(crate) fn start(command: &mut process::Command) -> io::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let runner = process::id();
        // SAFETY: between fork and exec the closure makes only system calls: it neither allocates nor locks.
        unsafe { command.pre_exec(move || before_exec(runner)) };
        let mut child = command.spawn()?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            unreachable!("both were asked for as pipes");
        };
        let (stdout, stderr) = (OwnedFd::from(stdout), OwnedFd::from(stderr));
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
        let program = Self { pid, stdout, stderr, ended: None, killed: false };
        for output in [&program.stdout, &program.stderr] {
            close_on_exec_and_return_at_once(output.as_fd())?;
        }
        Ok(program)
    }

    /// How the program ended; `None` while it runs.
    pub(crate) fn ended(&mut self) -> Option<Ended> {
        if self.ended.is_none() {
            self.reap();
        }
        self.ended
    }

    /// Whether this runner has sent it SIGKILL.
    pub(crate) fn was_killed(&self) -> bool {
        self.killed
    }

    /// Collects the processes that have ended. Returns whether others are left.
    fn reap(&mut self) -> bool {
        let (own, ended) = (self.pid, &mut self.ended);
        reap(|pid, status| {
            if pid == own {
                *ended = Some(match status {
                    WaitStatus::Signaled(_, signal, _) => Ended::Signalled(signal as i32),
                    WaitStatus::Exited(_, code) => Ended::Exited(code),
                    _ => return,
                });
            }
        })
    }

    /// Sends SIGTERM to the program and its group.
    pub(crate) fn ask_to_end(&self) {
        self.signal_group(Signal::SIGTERM);
    }

    /// Only while the program was not waited for: until then its number, and that of its group, is not used again.
    fn signal_group(&self, signal: Signal) {
        if self.ended.is_none() {
            // It fails only if the group has just ended.
            let _ = killpg(self.pid, signal);
        }
    }

    /// Kills the program, if it still runs, and everything that it started. Returns the numbers of other processes that
    /// were killed with it or left over after it, and of those that cannot be killed.
    pub(crate) fn end_all(&mut self, waiter: &Waiter) -> (usize, Vec<Pid>) {
        let mut others = Vec::new();
        if !self.reap() {
            return (0, others);
        }
        let deadline = Instant::now() + KILL;
        self.killed |= self.ended.is_none();
        self.signal_group(Signal::SIGKILL);
        loop {
            let found = descendants();
            for &pid in &found {
                // It may have ended since it was found. Numbers are given in turn, so no other process has its number.
                let _ = kill(pid, Signal::SIGKILL);
                if pid != self.pid && !others.contains(&pid) {
                    others.push(pid);
                }
            }
            let _ = waiter.wait(&[], Some(Instant::now() + SEARCH_AGAIN));
            if !self.reap() {
                return (others.len(), Vec::new());
            }
            if Instant::now() > deadline {
                return (others.len(), found);
            }
        }
    }
}

/// Runs in the child process: only system calls are allowed here.
fn before_exec(runner: u32) -> io::Result<()> {
    let last = 64;
    for signal in 1..=last {
        // SAFETY: a system call. It fails for the two signals that cannot be handled and for those of the C library.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: an all-zero set is a valid place for the call to fill.
    let mut none: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is valid for both calls.
    unsafe {
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
    #[cfg(target_os = "linux")]
    {
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        // The runner may have ended before the call.
        if u32::try_from(nix::unistd::getppid().as_raw()) != Ok(runner) {
            return Err(io::Error::from_raw_os_error(libc::ECHILD));
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = runner;
    Ok(())
}
