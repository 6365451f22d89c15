//! A coordinator that reaches its limit of open files.

use std::{fs, io::Write as _, net::TcpStream};

use crate::{
    chaos::{Ledger, NO_OP, check_store, many},
    lab::{Lab, text},
};

/// The first bytes of an HTTP/2 client: the preface, and settings that change nothing.
const FIRST_WORDS: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

const HARD: u32 = 64;

#[test]
fn a_coordinator_out_of_files_serves_who_is_there_and_accepts_again_later() {
    let lab = Lab::new();
    lab.write("small.yaml", &many(60));
    let (coordinator, url) = lab.coordinator_with_files(32, HARD);
    let log = || fs::read_to_string(lab.path().join("coordinator.log")).unwrap();
    let limits = fs::read_to_string(format!("/proc/{}/limits", coordinator.pid())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let files: Vec<&str> = files.split_whitespace().collect();
    let hard = HARD.to_string();
    assert_eq!(files[3..5], [&hard, &hard], "it raised what it was started with");
    assert!(log().contains("64 files can be open, which is enough for about 0 connections"), "{}", log());
    let submitted = lab.colearn(&["submit", "small.yaml", "--coordinator", &url]);
    assert!(submitted.status.success(), "{}", text(&submitted.stderr));
    let _worker = lab.worker_with(&url, "one", NO_OP);
    let mut ledger = Ledger::new(&lab, &["one".to_owned()]);
    lab.wait_for("the first result", || acknowledged(&mut ledger) > 0);

    let address = url.trim_start_matches("http://");
    let hogs: Vec<TcpStream> = (0..HARD)
        .map(|_| {
            let mut hog = TcpStream::connect(address).unwrap();
            hog.write_all(FIRST_WORDS).unwrap();
            hog
        })
        .collect();
    lab.wait_for("the end of files", || log().contains("a connection cannot be accepted"));
    let before = acknowledged(&mut ledger);
    lab.wait_for("another hundred results", || acknowledged(&mut ledger) >= before + 100);

    drop(hogs);
    let watched = lab.colearn(&["watch", "small", "--coordinator", &url]);
    assert!(watched.status.success(), "{}\n{}", text(&watched.stderr), lab.logs());
    ledger.check(&lab, "small", &["--coordinator", &url]);
    assert_eq!(ledger.repeated(), 0, "{}", lab.logs());
    assert!(!log().contains("panicked"), "{}", log());
    drop(coordinator);
    check_store(&lab, "state");
}

fn acknowledged(ledger: &mut Ledger) -> usize {
    ledger.listen();
    ledger.acknowledged()
}
