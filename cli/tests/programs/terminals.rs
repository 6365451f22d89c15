//! The output on terminals with different capabilities.

use std::{
    fs::File,
    io::Read as _,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use nix::pty::openpty;

use crate::lab::{Lab, Running};

/// A program on a terminal.
struct Terminal {
    program: Running,
    seen: Arc<Mutex<Vec<u8>>>,
    reader: std::thread::JoinHandle<()>,
}

impl Terminal {
    fn start(mut command: Command, environment: &[(&str, &str)]) -> Self {
        let pty = openpty(None, None).unwrap();
        command.stdin(Stdio::null()).stdout(pty.slave.try_clone().unwrap()).stderr(pty.slave);
        command.env_remove("TERM").envs(environment.iter().copied());
        let program = Running(command.spawn().unwrap());
        // Dropping the command closes the ends of the terminal in this process; reading then ends.
        drop(command);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (mut screen, shown) = (File::from(pty.master), seen.clone());
        let reader = std::thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(length @ 1..) = screen.read(&mut part) {
                shown.lock().unwrap().extend_from_slice(&part[..length]);
            }
        });
        Self { program, seen, reader }
    }

    fn shows(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).contains(text)
    }

    /// The complete output, and the exit code, after the end of the program.
    fn end(self) -> (String, i32) {
        let code = self.program.code();
        self.reader.join().unwrap();
        let seen = String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned();
        (seen, code)
    }
}

const RUN: [&str; 9] =
    ["run", "small.yaml", "--state", "state", "--slots", "1", "--threads", "1", "--device=cpu"];

#[test]
fn a_terminal_that_can_not_draw_is_shown_plain_lines() {
    let lab = Lab::new();
    lab.write("small.yaml", &crate::lab::SWEEP.replace("epochs: 6", "epochs: 1"));
    for (environment, state) in [(&[("TERM", "dumb")][..], "dumb"), (&[], "none")] {
        let run = RUN.map(|argument| if argument == "state" { state } else { argument });
        let (seen, code) = Terminal::start(lab.colearn_command(&run), environment).end();
        assert_eq!(code, 0, "{seen}");
        assert!(seen.contains("small: 6/6 tasks done, 0 running"), "{state}: {seen}");
        assert!(!seen.contains('\u{1b}'), "{state}: {seen:?}");
    }
    let (seen, _) = Terminal::start(lab.colearn_command(&RUN), &[("TERM", "xterm")]).end();
    assert!(seen.contains("\u{1b}["), "another terminal has a bar: {seen:?}");
}

#[test]
fn errors_of_the_command_line_have_colours_only_where_they_are_wanted() {
    let lab = Lab::new();
    for program in [crate::lab::colearn(), crate::lab::worker(), crate::lab::trainer()] {
        let coloured = |environment: &[(&str, &str)]| {
            let mut command = lab.program_command(&program);
            command.arg("--no-such-option");
            let (seen, code) = Terminal::start(command, environment).end();
            assert!(code == 2 && seen.contains("--no-such-option"), "{seen}");
            seen.contains("\u{1b}[")
        };
        assert!(coloured(&[("TERM", "xterm")]), "{program:?}");
        assert!(!coloured(&[("TERM", "xterm"), ("NO_COLOR", "1")]), "{program:?}");
    }
}

#[test]
fn logs_have_colours_only_where_they_are_wanted_and_understood() {
    let lab = Lab::new();
    let coloured = |environment: &[(&str, &str)], number: usize| {
        let state = format!("state{number}");
        let coordinator = ["coordinator", "--listen", "127.0.0.1:0", "--state", &state];
        let terminal = Terminal::start(lab.colearn_command(&coordinator), environment);
        lab.wait_for("a coordinator", || terminal.shows("coordinator: http://"));
        let url = std::fs::read_to_string(lab.path().join(&state).join("address")).unwrap();
        let worker = lab.worker_command(&["--coordinator", url.trim(), "--slots", "1", "--device", "cpu"]);
        let worker = Terminal::start(worker, environment);
        lab.wait_for("a worker", || worker.shows("INFO") && terminal.shows("INFO"));
        let seen = [&worker, &terminal].map(|it| it.shows("\u{1b}["));
        assert_eq!(seen[0], seen[1], "worker and coordinator agree: {environment:?}");
        seen[0]
    };
    assert!(coloured(&[("TERM", "xterm")], 0));
    for (number, environment) in
        [&[("TERM", "xterm"), ("NO_COLOR", "1")][..], &[("TERM", "dumb"), ("CI", "true")], &[]]
            .into_iter()
            .enumerate()
    {
        assert!(!coloured(environment, number + 1), "{environment:?}");
    }
    assert!(coloured(&[("TERM", "xterm"), ("NO_COLOR", "")], 4), "an empty variable is an unset one");
}
