//! `colearn dashboard`: the pages of a secured coordinator for a browser here.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use crate::lab::{Lab, text};

/// Status, head and body of the answer to a request, in HTTP/1.1.
fn ask(at: &str, request: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(at).unwrap();
    let request = format!(
        "{request} HTTP/1.1\r\nhost: {at}\r\n{headers}connection: close\r\ncontent-length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

#[test]
fn a_dashboard_shows_a_secured_coordinator_to_who_has_its_address() {
    let lab = Lab::new();
    let (_coordinator, url) = lab.coordinator_with("127.0.0.1:0", &["--secure"]);
    let submitted = lab.colearn(&["submit", "small.yaml", "--coordinator", &url]);
    assert!(submitted.status.success(), "{}", text(&submitted.stderr));
    let look = lab.path().join("state/access/look.access").display().to_string();
    let arguments = ["dashboard", "--coordinator", &url, "--access", &look];
    let (_dashboard, page) = lab.serve(lab.colearn_command(&arguments)).unwrap();
    let (at, token) = page.strip_prefix("http://").unwrap().split_once("/?token=").unwrap();
    assert!(at.starts_with("127.0.0.1:") && token.len() == 64, "{page}");

    let (status, answer) = ask(at, "GET /api/v1/sweeps", "");
    assert_eq!(status, 403, "{answer}");
    assert!(answer.contains("open the address that `colearn dashboard` has printed"), "{answer}");
    assert!(!answer.contains("small"), "{answer}");
    let wrong = "a".repeat(64);
    assert_eq!(ask(at, &format!("GET /?token={wrong}"), "").0, 403);

    let (status, answer) = ask(at, &format!("GET /?token={token}"), "");
    assert_eq!(status, 303, "{answer}");
    let cookie = format!("cookie: colearn_{}={token}\r\n", &token[..8]);
    assert!(
        answer.contains(&format!("set-cookie: colearn_{}={token}; HttpOnly; SameSite=Strict", &token[..8])),
        "{answer}"
    );
    let (status, answer) = ask(at, "GET /api/v1/sweeps", &cookie);
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("\"name\":\"small\""), "{answer}");

    // The role of the access file decides here too.
    let (status, answer) = ask(at, "POST /api/v1/sweeps/small/cancel", &cookie);
    assert_eq!(status, 403, "{answer}");
    assert!(answer.contains("CancelSweep needs the role `operate`"), "{answer}");
    let log = std::fs::read_to_string(lab.path().join("coordinator.log")).unwrap();
    assert!(!log.contains(token), "{log}");
}

/// With curl, which speaks HTTP/2 and takes certificates.
#[test]
fn a_client_with_a_certificate_needs_no_dashboard_command() {
    let lab = Lab::new();
    let (_coordinator, url) = lab.coordinator_with("127.0.0.1:0", &["--secure"]);
    let port = url.rsplit(':').next().unwrap();
    std::fs::create_dir(lab.path().join("pem")).unwrap();
    let parts = lab.colearn(&["access", "pem", "state/access/look.access", "--out", "pem"]);
    let said = text(&parts.stdout);
    let name = said.trim_end().rsplit(' ').next().unwrap();
    let curl = |method: &str, path: &str| {
        let mut curl = std::process::Command::new("curl");
        curl.args(["-s", "-X", method, "-w", " %{http_code} %{http_version}"]).current_dir(lab.path());
        curl.args([
            "--cert",
            "pem/cert.pem",
            "--key",
            "pem/key.pem",
            "--cacert",
            "pem/ca.pem",
            "--connect-to",
        ]);
        curl.args([format!("{name}:{port}:127.0.0.1:{port}"), format!("https://{name}:{port}{path}")]);
        curl.output().map(|output| text(&output.stdout))
    };
    let Ok(listed) = curl("GET", "/api/v1/sweeps") else {
        eprintln!("skipped: curl is missing: apt-get install curl");
        return;
    };
    assert_eq!(listed, "{\"sweeps\":[]} 200 2");
    let cancelled = curl("POST", "/api/v1/sweeps/small/cancel").unwrap();
    assert!(cancelled.ends_with(" 403 2") && cancelled.contains("`operate`"), "{cancelled}");
}

#[test]
fn a_dashboard_shows_the_state_folder_of_an_earlier_run() {
    let lab = Lab::new();
    let run = lab.colearn(&["run", "small.yaml", "--slots", "1"]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let (_dashboard, page) = lab.serve(lab.colearn_command(&["dashboard"])).unwrap();
    let (at, token) = page.strip_prefix("http://").unwrap().split_once("/?token=").unwrap();
    let (status, answer) =
        ask(at, "GET /api/v1/sweeps/small/results", &format!("cookie: colearn_{}={token}\r\n", &token[..8]));
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("\"schema\": 2"), "{answer}");
}
