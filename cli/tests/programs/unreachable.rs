//! Addresses without a coordinator, or with another service: the error names the address, comes soon, and has the
//! documented exit code.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use nix::sys::signal::{Signal, kill};

use crate::lab::{Lab, Running, text};

/// Starts a service that is not a coordinator; returns its address.
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
    told(&lab, &serve(drop), "check that its far end is up");
}

#[test]
fn a_port_that_stays_silent_is_not_waited_for_long() {
    let lab = Lab::new();
    // The system accepts the connections, but no process reads them.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    told(&lab, &format!("http://{}", listener.local_addr().unwrap()), "does not answer within 10 s");
}

/// A process that is suspended until this value is dropped.
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
