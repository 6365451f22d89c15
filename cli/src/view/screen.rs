//! The terminal while the view is up: its modes, and the lines that programs would print meanwhile.
//!
//! There is one terminal, so that this is global: a panic in any thread restores it, and every line for standard error,
//! from the log or from a message, is kept until it has its normal screen again.

use std::{
    io::{self, Write as _},
    sync::{
        Mutex, MutexGuard, Once, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crossterm::{
    cursor::Show,
    execute,
    style::ResetColor,
    terminal::{self, EnterAlternateScreen, LeaveAlternateScreen},
};
use tracing_subscriber::fmt::MakeWriter;

/// Maximum number of lines that are kept for the normal screen; the newest.
const KEPT: usize = 200;

/// Whether the view is up.
static UP: AtomicBool = AtomicBool::new(false);
/// Held while something is drawn, and while the terminal is restored.
static DRAWING: Mutex<()> = Mutex::new(());
static LINES: Mutex<Lines> = Mutex::new(Lines { kept: Vec::new(), left_out: 0, fresh: Vec::new() });

struct Lines {
    /// For the normal screen.
    kept: Vec<String>,
    left_out: usize,
    /// For the view, which has not had them yet.
    fresh: Vec<String>,
}

fn lines() -> MutexGuard<'static, Lines> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the view is up.
pub(crate) fn is_up() -> bool {
    UP.load(Ordering::SeqCst)
}

/// Begins the view.
///
/// # Errors
/// If the terminal does not allow it; then it is as before.
pub(super) fn enter() -> io::Result<()> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            leave_in_panic();
            before(panic);
        }));
    });
    terminal::enable_raw_mode()?;
    if let Err(error) = execute!(io::stdout(), EnterAlternateScreen) {
        let _ = terminal::disable_raw_mode();
        return Err(error);
    }
    UP.store(true, Ordering::SeqCst);
    Ok(())
}

/// Ends the view, if it is up, and prints the lines that came meanwhile.
pub(crate) fn leave() {
    let drawing = DRAWING.lock().unwrap_or_else(PoisonError::into_inner);
    restore();
    drop(drawing);
}

/// Stops the process, as Ctrl-Z does, with the normal screen; when it is continued, the view begins anew.
///
/// # Errors
/// If the terminal does not allow it any more.
pub(super) fn suspend() -> io::Result<()> {
    let _drawing = DRAWING.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_up() {
        return Ok(());
    }
    execute!(io::stdout(), ResetColor, LeaveAlternateScreen, Show)?;
    terminal::disable_raw_mode()?;
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGTSTP)?;
    terminal::enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen)
}

/// Like [`leave`], also if this thread was drawing.
fn leave_in_panic() {
    if !is_up() {
        return;
    }
    let mut drawing = DRAWING.try_lock();
    for _ in 0..10 {
        if drawing.is_ok() {
            break;
        }
        // Another thread needs no longer for what it draws.
        std::thread::sleep(Duration::from_millis(10));
        drawing = DRAWING.try_lock();
    }
    restore();
}

fn restore() {
    if !is_up() {
        return;
    }
    // Without a terminal there is nothing to restore.
    let _ = execute!(io::stdout(), ResetColor, LeaveAlternateScreen, Show);
    let _ = terminal::disable_raw_mode();
    let mut lines = lines();
    UP.store(false, Ordering::SeqCst);
    let mut stderr = io::stderr();
    if lines.left_out > 0 {
        let _ = writeln!(stderr, "({} earlier lines are left out)", lines.left_out);
    }
    for line in lines.kept.drain(..) {
        let _ = writeln!(stderr, "{line}");
    }
    *lines = Lines { kept: Vec::new(), left_out: 0, fresh: Vec::new() };
}

/// Draws, unless the view has ended.
///
/// # Errors
/// If the terminal cannot be written.
pub(super) fn while_up<T>(draw: impl FnOnce() -> io::Result<T>) -> io::Result<Option<T>> {
    let _drawing = DRAWING.lock().unwrap_or_else(PoisonError::into_inner);
    if is_up() { draw().map(Some) } else { Ok(None) }
}

/// The lines since the last call.
pub(super) fn fresh() -> Vec<String> {
    std::mem::take(&mut lines().fresh)
}

/// Prints a line on standard error; while the view is up, it is shown there, and printed afterwards.
pub(crate) fn line(text: &str) {
    let mut lines = lines();
    if !is_up() {
        let _ = writeln!(io::stderr(), "{text}");
        return;
    }
    for line in text.lines() {
        if lines.kept.len() >= KEPT {
            lines.kept.remove(0);
            lines.left_out += 1;
        }
        lines.kept.push(line.to_owned());
        lines.fresh.push(line.to_owned());
    }
}

/// Standard error for logs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogWriter;

impl io::Write for LogWriter {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        if !is_up() {
            return io::stderr().write(text);
        }
        let plain = anstream::adapter::strip_bytes(text).into_vec();
        line(String::from_utf8_lossy(&plain).trim_end());
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl MakeWriter<'_> for LogWriter {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}
