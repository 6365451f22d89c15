//! Waiting for several things at once: descriptors, ended child processes, threads, and a point in time.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, IntoRawFd as _, OwnedFd},
    sync::atomic::{AtomicI32, Ordering},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    libc::{self, c_int},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
    unistd::{pipe, read},
};

/// The end of the pipe into which a byte is written to wake the waiting thread.
static WRITE_END: AtomicI32 = AtomicI32::new(-1);

/// Wakes the thread that waits. Allowed in signal handlers.
pub(crate) fn wake() {
    let errno = Errno::last_raw();
    let byte = 1_u8;
    // SAFETY: the byte is readable. The descriptor is never closed; before there is one the call fails. A full pipe
    // wakes the thread too.
    unsafe { libc::write(WRITE_END.load(Ordering::Relaxed), (&raw const byte).cast(), 1) };
    Errno::set_raw(errno);
}

extern "C" fn on_child(_: c_int) {
    wake();
}

/// What waits. There is one per process.
#[derive(Debug)]
pub(crate) struct Waiter(OwnedFd);

impl Waiter {
    /// From now on, ended child processes and [`wake`] end a wait.
    pub(crate) fn install() -> io::Result<Self> {
        let (read_end, write_end) = pipe()?;
        for end in [&read_end, &write_end] {
            close_on_exec_and_return_at_once(end.as_fd())?;
        }
        WRITE_END.store(write_end.into_raw_fd(), Ordering::Relaxed);
        let action = SigAction::new(
            SigHandler::Handler(on_child),
            SaFlags::SA_RESTART | SaFlags::SA_NOCLDSTOP,
            SigSet::empty(),
        );
        // SAFETY: the handler makes one system call and restores the error number.
        unsafe { sigaction(Signal::SIGCHLD, &action) }?;
        Ok(Self(read_end))
    }

    /// Waits until one of the descriptors is readable or closed, something wakes the thread, or the time has come.
    /// Says which descriptors are readable.
    pub(crate) fn wait(&self, descriptors: &[BorrowedFd<'_>], until: Option<Instant>) -> Vec<bool> {
        let all = [self.0.as_fd()].into_iter().chain(descriptors.iter().copied());
        let mut polled: Vec<PollFd<'_>> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let timeout = until.map_or(PollTimeout::NONE, |until| {
            let left = until.saturating_duration_since(Instant::now());
            // Rounded up, so that the time has come after the wait.
            let milliseconds = left.saturating_add(Duration::from_micros(999)).as_millis();
            PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX)
        });
        // It fails when a signal arrives, and then nothing is said to be readable.
        let _ = poll(&mut polled, timeout);
        let mut ready = polled.iter().map(|fd| fd.any() == Some(true));
        if ready.next() == Some(true) {
            let mut bytes = [0; 64];
            while matches!(read(&self.0, &mut bytes), Ok(1..)) {}
        }
        ready.collect()
    }
}

/// Prepares a descriptor: programs do not inherit it, and reads do not wait.
pub(crate) fn close_on_exec_and_return_at_once(fd: BorrowedFd<'_>) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    // SAFETY: the call has no effect on memory.
    match unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
