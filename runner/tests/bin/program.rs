//! A program as users write them, for the tests. Its first argument says what it does.

use std::{
    env,
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    process, thread,
    time::Duration,
};

use nix::{
    sys::signal::{SigHandler, Signal, signal},
    unistd::{ForkResult, fork, setsid},
};

fn main() -> io::Result<()> {
    let what = env::args().nth(1).unwrap_or_default();
    match what.as_str() {
        "train" => train(),
        "deaf" => deaf(),
        "daemon" => daemon(),
        "agent" => agent(),
        what => panic!("`{what}` is unknown"),
    }
}

fn tell(line: &str) -> io::Result<()> {
    let path = env::var("COLEARN_METRICS").map_err(io::Error::other)?;
    let mut file = OpenOptions::new().append(true).open(path)?;
    file.write_all(format!("{line}\n").as_bytes())
}

fn train() -> io::Result<()> {
    let lr: f64 = env::var("COLEARN_PARAM_LR").ok().and_then(|lr| lr.parse().ok()).unwrap_or(0.0);
    let arguments: Vec<String> = env::args().skip(2).collect();
    println!("arguments: {}", arguments.join(" "));
    for epoch in 1..=3 {
        tell(&format!("{{\"epoch\": {epoch}, \"epochs\": 3, \"train_loss\": {}}}", lr / f64::from(epoch)))?;
    }
    tell(&format!("{{\"result\": {{\"accuracy\": {lr}}}}}"))
}

/// Ignores SIGTERM and runs for ever.
fn deaf() -> io::Result<()> {
    // SAFETY: ignoring a signal runs no code of this program.
    unsafe { signal(Signal::SIGTERM, SigHandler::SigIgn) }?;
    tell(&format!("{{\"epoch\": 1, \"train_loss\": {}}}", process::id()))?;
    for_ever()
}

/// Leaves a process behind as daemons do: of another session, and with a parent that has ended.
fn daemon() -> io::Result<()> {
    // SAFETY: this process has one thread.
    if let ForkResult::Parent { child } = unsafe { fork() }? {
        nix::sys::wait::waitpid(child, None)?;
        return tell("{\"result\": {\"accuracy\": 1}}");
    }
    setsid()?;
    // SAFETY: as above.
    if let ForkResult::Parent { .. } = unsafe { fork() }? {
        process::exit(0);
    }
    // SAFETY: ignoring a signal runs no code of this program.
    unsafe { signal(Signal::SIGTERM, SigHandler::SigIgn) }?;
    tell(&format!("{{\"epoch\": 1, \"train_loss\": {}}}", process::id()))?;
    for_ever()
}

/// Not a program but the agent: starts the runner that is named first, and sends it the commands that are named next.
/// Tells the number of the runner, then all its events.
fn agent() -> io::Result<()> {
    let [runner, command] = [2, 3].map(|n| env::args().nth(n).unwrap_or_default());
    let piped = process::Stdio::piped;
    let mut child = process::Command::new(runner)
        .stdin(piped())
        .stdout(piped())
        .stderr(piped())
        .process_group(0)
        .spawn()?;
    println!("{}", child.id());
    let (Some(input), Some(output)) = (&mut child.stdin, &mut child.stdout) else { return Ok(()) };
    writeln!(input, "{command}")?;
    io::copy(output, &mut io::stdout())?;
    Ok(())
}

fn for_ever() -> ! {
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}
