//! Addresses at which no coordinator answers, and what else may be there: each is told with its address, with the
//! code that scripts know, and soon.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use nix::sys::signal::{Signal, kill};

use crate::lab::{Lab, Running, text};

/// Something that is no coordinator; its address.
fn serve(answer: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || listener.incoming().flatten().for_each(answer));
    url
}

fn told(lab: &Lab, url: &str, words: &str) {
    let began = Instant::now();
    for command in [&["list"][..], &["submit", "small.yaml"], &["watch", "small"], &["workers"]] {
        let output = lab.colearn(&[command, &["--coordinator", url]].concat());
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "colearn {command:?}: {message}");
        assert!(message.contains(url) && message.contains(words), "colearn {command:?}: {message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

#[test]
fn a_web_server_is_no_coordinator() {
    let lab = Lab::new();
    let url = serve(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    told(&lab, &url, "is not a coordinator");
}

#[test]
fn a_tunnel_without_a_far_end_is_no_coordinator() {
    let lab = Lab::new();
    told(&lab, &serve(drop), "see whether its far end is up");
}

#[test]
fn a_port_that_stays_silent_is_not_waited_for_long() {
    let lab = Lab::new();
    // The system takes the connections; nobody ever looks at them.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    told(&lab, &format!("http://{}", listener.local_addr().unwrap()), "does not answer within 10 s");
}

/// A process that is stopped until this goes.
struct Stopped<'a>(&'a Running);

impl<'a> Stopped<'a> {
    fn new(running: &'a Running) -> Self {
        kill(running.pid(), Signal::SIGSTOP).unwrap();
        Self(running)
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        let _ = kill(self.0.pid(), Signal::SIGCONT);
    }
}

#[test]
fn a_coordinator_that_is_stopped_is_told_by_address_and_folder() {
    let lab = Lab::new();
    let (coordinator, url) = lab.coordinator("127.0.0.1:0");
    let stopped = Stopped::new(&coordinator);
    let output = lab.colearn(&["list", "--state", "state"]);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{message}");
    for word in [&url, "does not answer within 10 s", "state"] {
        assert!(message.contains(word), "no `{word}` in {message}");
    }
    drop(stopped);
    assert!(lab.colearn(&["list", "--state", "state"]).status.success());
}
