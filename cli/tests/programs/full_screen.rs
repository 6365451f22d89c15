//! The full-screen view of `colearn run` and `colearn watch`: the real programs on a pseudo-terminal.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::{
        fd::AsFd as _,
        unix::process::{CommandExt as _, ExitStatusExt as _},
    },
    process::Command,
    sync::{Arc, Mutex},
};

use nix::{
    pty::{Winsize, openpty},
    sys::termios::{Termios, tcgetattr},
};

use crate::lab::{Lab, Running, SWEEP};

/// A sweep that takes long enough to be looked at: 3 configurations x 8 seeds.
fn long_sweep() -> String {
    SWEEP.replace("seeds: [0, 1]", "seeds: {count: 8}")
}

/// A program on a terminal with keys.
struct Terminal {
    program: Option<Running>,
    master: File,
    /// The terminal itself stays open, so that its modes can be read after the program.
    slave: std::os::fd::OwnedFd,
    before: Termios,
    screen: Arc<Mutex<vt100::Parser>>,
    /// All bytes.
    seen: Arc<Mutex<Vec<u8>>>,
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

fn shown_by(screen: &Mutex<vt100::Parser>) -> String {
    screen.lock().unwrap().screen().contents()
}

impl Terminal {
    fn start(mut command: Command, environment: &[(&str, &str)]) -> Self {
        let pty = openpty(Some(&size(24, 80)), None).unwrap();
        let end = || pty.slave.try_clone().unwrap();
        command.stdin(end()).stdout(end()).stderr(end());
        command.env("TERM", "xterm-256color").envs(environment.iter().copied());
        // SAFETY: `setsid` and `ioctl` are safe between fork and exec.
        unsafe {
            command.pre_exec(|| {
                // Its own controlling terminal, as in a terminal emulator.
                nix::unistd::setsid()?;
                nix::errno::Errno::result(nix::libc::ioctl(0, nix::libc::TIOCSCTTY, 0))?;
                Ok(())
            });
        }
        let before = tcgetattr(pty.slave.as_fd()).unwrap();
        let program = Running(command.spawn().unwrap());
        drop(command);
        let screen = Arc::new(Mutex::new(vt100::Parser::default()));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let master = File::from(pty.master);
        let (mut output, shown, all) = (master.try_clone().unwrap(), screen.clone(), seen.clone());
        std::thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut part) {
                all.lock().unwrap().extend_from_slice(&part[..length]);
                shown.lock().unwrap().process(&part[..length]);
            }
        });
        Self { program: Some(program), master, slave: pty.slave, before, screen, seen }
    }

    fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    fn shown(&self) -> String {
        shown_by(&self.screen)
    }

    fn wait_for(&self, lab: &Lab, text: &str) {
        let screen = self.screen.clone();
        lab.wait_for(&format!("`{text}` on the screen"), || {
            let found = shown_by(&screen).contains(text);
            assert!(found || !self.has_ended(), "it ended without `{text}`:\n{}", self.shown());
            found
        });
    }

    fn has_ended(&self) -> bool {
        matches!(self.process_state(), None | Some('Z'))
    }

    /// The letter for which `ps` has a column.
    fn process_state(&self) -> Option<char> {
        let pid = self.program.as_ref().unwrap().pid();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next()?.trim_start().chars().next()
    }

    /// Changes the size of the terminal, which sends SIGWINCH to the program.
    fn resize(&self, rows: u16, columns: u16) {
        let to = size(rows, columns);
        self.screen
            .lock()
            .unwrap()
            .screen_mut()
            .set_size(std::num::NonZeroU16::new(rows).unwrap(), std::num::NonZeroU16::new(columns).unwrap());
        // SAFETY: the descriptor is a terminal, and the pointer is valid.
        let done = unsafe {
            nix::libc::ioctl(
                std::os::fd::AsRawFd::as_raw_fd(&self.slave),
                nix::libc::TIOCSWINSZ,
                &raw const to,
            )
        };
        assert_eq!(done, 0);
    }

    /// The number of times that a view began.
    fn views(&self) -> usize {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).matches("\u{1b}[?1049h").count()
    }

    /// After the end of the program: its exit code, and what is on the screen.
    fn end(mut self, lab: &Lab) -> (i32, String) {
        let status = self.program.take().unwrap().0.wait().unwrap();
        // What was written last has been read when a mark after it is on the screen.
        nix::unistd::write(self.slave.as_fd(), b"\r\nMARK").unwrap();
        lab.wait_for("the end of the output", || self.shown().contains("MARK"));
        let after = tcgetattr(self.slave.as_fd()).unwrap();
        assert_eq!(after, self.before, "the modes of the terminal are as before");
        let parser = self.screen.lock().unwrap();
        let screen = parser.screen();
        assert!(!screen.alternate_screen(), "it is the normal screen");
        assert!(!screen.hide_cursor(), "the cursor is there");
        (status.code().unwrap_or_else(|| -status.signal().unwrap()), screen.contents())
    }
}

fn run(lab: &Lab, further: &[&str]) -> Command {
    lab.colearn_command(
        &[&["run", "small.yaml", "--slots", "1", "--threads", "1", "--device=cpu"], further].concat(),
    )
}

#[test]
fn a_run_is_followed_to_its_end_with_keys_and_other_sizes() {
    let lab = Lab::new();
    lab.write("small.yaml", &long_sweep().replace("epochs: 6", "epochs: 40"));
    let mut terminal = Terminal::start(run(&lab, &[]), &[]);
    terminal.wait_for(&lab, "1 Grid");
    terminal.wait_for(&lab, "unimodal");
    terminal.wait_for(&lab, "running  . pending");
    terminal.press("?");
    terminal.wait_for(&lab, "stop the run");
    terminal.press("?\r");
    terminal.wait_for(&lab, "configuration ");
    terminal.press("\u{1b}[B"); // Down scrolls the details; it is one key, not Esc.
    terminal.press("4");
    terminal.wait_for(&lab, "small/");
    terminal.press("5");
    terminal.wait_for(&lab, "events");
    terminal.press("2");
    terminal.wait_for(&lab, "sweep small");
    terminal.press("3");
    terminal.wait_for(&lab, "valid_accuracy");
    terminal.press("1");
    terminal.resize(12, 40);
    terminal.wait_for(&lab, "1Grid 2Results");
    terminal.resize(10, 40);
    terminal.wait_for(&lab, "40 x 12");
    terminal.resize(40, 120);
    terminal.wait_for(&lab, "5 Log");
    assert!(!terminal.shown().contains("40 x 12"), "{}", terminal.shown());
    let (code, shown) = terminal.end(&lab);
    assert_eq!(code, 0, "{shown}");
    // The results are on the normal screen, without anything of the view.
    assert!(shown.contains("sweep small") && shown.contains("8  "), "{shown}");
    assert!(!shown.contains("1 Grid") && !shown.contains("? help"), "{shown}");
}

#[test]
fn who_leaves_the_view_of_a_run_leaves_it_running_and_ctrl_c_stops_it() {
    let lab = Lab::new();
    let name = "small-but-with-a-name-of-forty-characters";
    let named = long_sweep().replace("name: small", &format!("name: {name}"));
    lab.write("small.yaml", &named.replace("epochs: 6", "epochs: 60"));
    for leaves_before in [true, false] {
        let mut terminal = Terminal::start(run(&lab, &[]), &[]);
        terminal.wait_for(&lab, "1 Grid");
        if leaves_before {
            terminal.press("q");
            terminal.wait_for(&lab, "the run goes on; Ctrl-C stops it");
            // Neither line of the bar is wider than the terminal.
            lab.wait_for("a bar of two lines", || {
                let rows: Vec<String> = terminal.screen.lock().unwrap().screen().rows(0, 80).collect();
                let is_bar = |line: &str| line.starts_with(&format!("{name} [")) && line.ends_with(']');
                rows.windows(2).any(|pair| is_bar(&pair[0]) && pair[1].contains("/24 tasks done, "))
            });
        }
        terminal.press("\u{3}");
        let (code, shown) = terminal.end(&lab);
        assert_eq!(code, 130, "{shown}");
        assert!(shown.contains("stopping;") && shown.contains("error: interrupted;"), "{shown}");
    }
}

#[test]
fn ctrl_z_stops_the_process_on_the_normal_screen_and_the_view_comes_back() {
    let lab = Lab::new();
    let (_coordinator, url) = lab.coordinator("127.0.0.1:0");
    assert!(lab.colearn(&["submit", "small.yaml", "--coordinator", &url]).status.success());
    // Only a job of a shell can be stopped, and continued with `fg`.
    let script = "set -m; \"$0\" watch small --coordinator \"$1\"; read -r line; fg";
    let mut shell = lab.program_command(std::path::Path::new("bash"));
    shell.args(["-c", script]).arg(crate::lab::colearn()).arg(&url);
    let mut terminal = Terminal::start(shell, &[]);
    terminal.wait_for(&lab, "unimodal");
    let shell = terminal.program.as_ref().unwrap().pid();
    let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
    let child: i32 = children.split_whitespace().next().unwrap().parse().unwrap();
    let state = || {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next())
    };
    terminal.press("\u{1a}");
    lab.wait_for("a stopped process", || state() == Some('T'));
    lab.wait_for("the normal screen", || !terminal.screen.lock().unwrap().screen().alternate_screen());
    assert_eq!(tcgetattr(terminal.slave.as_fd()).unwrap(), terminal.before);
    terminal.press("\n");
    lab.wait_for("the view", || terminal.screen.lock().unwrap().screen().alternate_screen());
    terminal.wait_for(&lab, "unimodal");
    terminal.press("q");
    assert_eq!(terminal.end(&lab).0, 130);
}

#[test]
fn a_watched_sweep_goes_on_however_the_view_ends() {
    let lab = Lab::new();
    lab.write("small.yaml", &long_sweep());
    let (coordinator, url) = lab.coordinator("127.0.0.1:0");
    let target = ["--coordinator", &url];
    assert!(lab.colearn(&[&["submit", "small.yaml"], &target[..]].concat()).status.success());
    let watch = || Terminal::start(lab.colearn_command(&[&["watch", "small"], &target[..]].concat()), &[]);
    type End = fn(&mut Terminal);
    let ends: [(&str, End); 5] = [
        ("q", |terminal| terminal.press("q")),
        ("Esc", |terminal| terminal.press("\u{1b}")),
        ("Ctrl-C", |terminal| terminal.press("\u{3}")),
        ("SIGTERM", |terminal| terminal.program.as_ref().unwrap().terminate()),
        ("SIGINT", |terminal| terminal.program.as_ref().unwrap().interrupt()),
    ];
    for (how, end) in ends {
        let mut terminal = watch();
        terminal.wait_for(&lab, "no worker is connected");
        terminal.wait_for(&lab, "unimodal");
        end(&mut terminal);
        let (code, shown) = terminal.end(&lab);
        assert_eq!(code, 130, "{how}: {shown}");
        assert!(shown.contains("small: active, 0 of 24 tasks done, 0 failed"), "{how}: {shown}");
    }
    // To its end, over a restart of the coordinator.
    let terminal = watch();
    terminal.wait_for(&lab, "unimodal");
    let address = url.rsplit('/').next().unwrap().to_owned();
    coordinator.kill();
    terminal.wait_for(&lab, "unimodal");
    let (_coordinator, _) = lab.coordinator(&address);
    let _worker = lab.worker(&url, "one");
    let (code, shown) = terminal.end(&lab);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("small: complete, 24 of 24 tasks done, 0 failed"), "{shown}");
    // What was said meanwhile is there, once.
    assert_eq!(shown.matches("answers again").count(), 1, "{shown}");
    // A sweep that has ended needs no view.
    let terminal = watch();
    lab.wait_for("its end", || terminal.has_ended());
    assert_eq!(terminal.views(), 0);
    assert_eq!(terminal.end(&lab).0, 0);
}

#[test]
fn there_is_no_view_where_it_is_not_wanted_or_can_not_be() {
    let lab = Lab::new();
    lab.write("small.yaml", &SWEEP.replace("epochs: 6", "epochs: 1"));
    for (number, (further, environment, lines)) in [
        (&["--plain"][..], &[][..], true),
        (&[], &[("TERM", "dumb")], true),
        (&["--quiet"], &[], false),
        (&["--quiet", "--plain"], &[], false),
    ]
    .into_iter()
    .enumerate()
    {
        let state = format!("state{number}");
        let command = run(&lab, &[&["--state", &state], further].concat());
        let terminal = Terminal::start(command, environment);
        lab.wait_for("its end", || terminal.has_ended());
        assert_eq!(terminal.views(), 0, "{further:?}");
        let seen = terminal.seen.clone();
        let (code, shown) = terminal.end(&lab);
        assert_eq!(code, 0, "{further:?}: {shown}");
        let shown = String::from_utf8_lossy(&seen.lock().unwrap()).into_owned();
        assert_eq!(shown.contains("small: 6/6 tasks done"), lines, "{further:?}: {shown}");
    }
}

#[test]
fn a_view_without_colours_has_letters() {
    let lab = Lab::new();
    lab.write("small.yaml", &long_sweep().replace("epochs: 6", "epochs: 60"));
    let mut coloured = Vec::new();
    for (number, environment) in [&[][..], &[("NO_COLOR", "1")]].into_iter().enumerate() {
        let state = format!("state{number}");
        let mut terminal = Terminal::start(run(&lab, &["--state", &state]), environment);
        terminal.wait_for(&lab, ">R");
        let has_colours = {
            let parser = terminal.screen.lock().unwrap();
            let cells = (0..24).flat_map(|row| (0..80).map(move |column| (row, column)));
            let cells = cells.filter_map(|(row, column)| parser.screen().cell(row, column));
            cells.filter(|cell| cell.fgcolor() != vt100::Color::Default).count() > 0
        };
        coloured.push(has_colours);
        terminal.press("\u{3}");
        assert_eq!(terminal.end(&lab).0, 130);
    }
    assert_eq!(coloured, [true, false]);
}

#[test]
fn curves_of_a_running_task_grow_in_the_view() {
    let lab = Lab::new();
    lab.write("small.yaml", &long_sweep().replace("epochs: 6", "epochs: 20000"));
    let mut terminal = Terminal::start(run(&lab, &[]), &[]);
    terminal.wait_for(&lab, ">R");
    terminal.press("3");
    terminal.wait_for(&lab, "mean of 1 of 8 seeds, 1 running");
    // The last label of the axis is the last epoch that is known.
    let last = |terminal: &Terminal| {
        let shown = terminal.shown();
        let axis = shown.lines().rev().find(|line| line.contains(" epoch ")).unwrap_or_default().to_owned();
        axis.split_whitespace().last().and_then(|number| number.parse::<u32>().ok()).unwrap_or(0)
    };
    lab.wait_for("two epochs", || last(&terminal) >= 2);
    let before = last(&terminal);
    lab.wait_for("more epochs", || last(&terminal) > before);
    terminal.press("a");
    terminal.wait_for(&lab, "seed 0, running");
    terminal.press("\u{3}");
    assert_eq!(terminal.end(&lab).0, 130);
}
