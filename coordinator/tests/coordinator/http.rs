//! HTTP at the port of gRPC: the API, and what protects the user of a browser.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{io::ErrorKind, net::SocketAddr, time::Duration};

use colearn_coordinator::RunningCoordinator;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::support::{self, Person, SOON, small_sweep, start};

/// An answer in HTTP/1.1.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

async fn ask(at: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let host = if headers.contains("host:") { String::new() } else { format!("host: {at}\r\n") };
    let request = format!(
        "{method} {path} HTTP/1.1\r\n{host}{headers}connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(SOON, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_ascii_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut body = answer[end + 4..].to_vec();
    if head.contains("transfer-encoding: chunked") {
        body = unchunked(&body);
    }
    Answer { status, head, body }
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 4 + size..];
    }
}

async fn with_a_sweep() -> (tempfile::TempDir, RunningCoordinator) {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    Person::at(&coordinator).await.submit(&small_sweep("small", 2, 2)).await;
    (folder, coordinator)
}

#[tokio::test]
async fn the_api_says_what_grpc_says() {
    let (_folder, coordinator) = with_a_sweep().await;
    let at = coordinator.address();
    let listed = ask(at, "GET", "/api/v1/sweeps", "", "").await;
    assert_eq!(listed.status, 200, "{}", listed.head);
    assert_eq!(listed.json()["sweeps"][0]["tasks"]["pending"], 4);
    let grid = ask(at, "GET", "/api/v1/sweeps/small/grid", "", "").await.json();
    assert_eq!(grid["seeds"].as_array().unwrap().len(), 2);
    assert!(grid["rows"].as_array().unwrap().iter().all(|row| row["states"] == "pp"), "{grid}");
    let states = ask(at, "GET", "/api/v1/sweeps/small/grid?part=states", "", "").await.json();
    assert_eq!(states["states"], serde_json::json!(["pp", "pp"]), "{states}");
    assert_eq!(ask(at, "GET", "/api/v1/sweeps/small/grid?part=rows", "", "").await.status, 400);
    let missing = ask(at, "GET", "/api/v1/sweeps/smal", "", "").await;
    assert_eq!((missing.status, missing.json()["error"]["code"].as_str().unwrap()), (404, "not_found"));
    let unknown = ask(at, "GET", "/api/v1/sweeps/small/tasks?state=lost", "", "").await;
    assert_eq!(unknown.status, 400);
    let json = "content-type: application/json\r\n";
    let seed = r#"{"seeds": [0]}"#;
    let some = ask(at, "POST", "/api/v1/sweeps/small/cancel-tasks", json, seed).await;
    assert_eq!((some.status, &some.json()["tasks_cancelled"]), (200, &Value::from(2)));
    let again = ask(at, "POST", "/api/v1/sweeps/small/cancel-tasks", json, seed).await.json();
    assert_eq!(
        (&again["tasks_cancelled"], &again["tasks_ended_before"]["cancelled"]),
        (&0.into(), &2.into())
    );
    assert_eq!(again["state"], "active");
    assert_eq!(ask(at, "POST", "/api/v1/sweeps/small/cancel-tasks", json, "{}").await.status, 422);
    let unknown = ask(at, "POST", "/api/v1/sweeps/small/cancel-tasks", json, r#"{"seeds": [7]}"#).await;
    assert_eq!(unknown.status, 404);
    let cancelled = ask(at, "POST", "/api/v1/sweeps/small/cancel", "", "").await;
    assert_eq!((cancelled.status, &cancelled.json()["state"]), (200, &Value::from("cancelled")));
    let retried = ask(at, "POST", "/api/v1/sweeps/small/retry", json, "{}").await;
    assert_eq!((retried.status, &retried.json()["tasks_retried"]), (200, &Value::from(4)));
    let again = Person::at(&coordinator).await.tasks("small").await;
    assert_eq!(again.pending, 4);
}

#[tokio::test]
async fn other_pages_can_neither_read_nor_change() {
    let (_folder, coordinator) = with_a_sweep().await;
    let at = coordinator.address();
    // A name of somebody else that points to loopback.
    let rebound = ask(at, "GET", "/api/v1/sweeps", "host: evil.example\r\n", "").await;
    assert_eq!(rebound.status, 403);
    assert!(!String::from_utf8_lossy(&rebound.body).contains("small"));
    for headers in ["origin: http://evil.example\r\n", "origin: null\r\n", "sec-fetch-site: cross-site\r\n"] {
        let forged = ask(at, "POST", "/api/v1/sweeps/small/cancel", headers, "").await;
        assert_eq!(forged.status, 403, "{headers}");
    }
    // The same past the pages, to gRPC: a message that cancels the sweep, as a page can send it in HTTP/1.
    let message = "\0\0\0\0\x07\n\x05small";
    let method = "/colearn.v1.SweepService/CancelSweep";
    for headers in [
        "origin: http://evil.example\r\ncontent-type: text/plain\r\n",
        "host: evil.example\r\ncontent-type: application/grpc\r\nte: trailers\r\n",
        "content-type: application/grpc\r\nte: trailers\r\n",
    ] {
        let forged = ask(at, "POST", method, headers, message).await;
        assert_eq!(forged.status, 403, "{headers}");
    }
    let own = format!("origin: http://{at}\r\nsec-fetch-site: same-origin\r\n");
    // What a form of another page can send.
    let form = ask(at, "POST", "/api/v1/sweeps", "content-type: text/plain\r\n", "{\"source\": \"\"}").await;
    assert_eq!(form.status, 415);
    assert_eq!(Person::at(&coordinator).await.tasks("small").await.pending, 4);
    assert_eq!(ask(at, "POST", "/api/v1/sweeps/small/cancel", &own, "").await.status, 200);
    let page = ask(at, "GET", "/", "", "").await;
    assert!(
        page.head.contains("content-security-policy: default-src 'none'; script-src 'self'"),
        "{}",
        page.head
    );
}

#[tokio::test]
async fn events_come_as_they_happen() {
    let (_folder, coordinator) = with_a_sweep().await;
    let at = coordinator.address();
    let mut stream = TcpStream::connect(at).await.unwrap();
    let request = format!("GET /api/v1/sweeps/small/events HTTP/1.1\r\nhost: {at}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = String::new();
    let mut wait_for = async |text: &str| {
        let mut part = [0; 4096];
        while !seen.contains(text) {
            let read = timeout(SOON, stream.read(&mut part)).await.unwrap().unwrap();
            assert!(read > 0, "{seen}");
            seen += std::str::from_utf8(&part[..read]).unwrap();
        }
    };
    wait_for("\"state\":\"active\"").await;
    ask(at, "POST", "/api/v1/sweeps/small/cancel", "", "").await;
    wait_for("\"state\":\"cancelled\"").await;
    wait_for("event: end").await;
}

/// The seconds of virtual time after which a server closes a connection; a client sends `dribbled` once a second.
async fn seconds_until_closed(stream: &mut TcpStream, dribbled: &[u8]) -> u32 {
    tokio::time::pause();
    for second in 1..300 {
        tokio::time::advance(Duration::from_secs(1)).await;
        let mut end = stream.write_all(dribbled).await.is_err();
        // The server runs in this thread, too.
        for _ in 0..20 {
            tokio::task::yield_now().await;
            match stream.try_read(&mut [0; 256]) {
                Ok(0) => end = true,
                Err(error) if error.kind() != ErrorKind::WouldBlock => end = true,
                Ok(_) | Err(_) => {}
            }
        }
        if end {
            tokio::time::resume();
            return second;
        }
    }
    panic!("the connection is held for ever");
}

#[tokio::test]
async fn a_head_that_does_not_end_and_a_client_that_asks_nothing_are_not_waited_for() {
    let (_folder, coordinator) = with_a_sweep().await;
    // The pages alone, as `colearn dashboard` serves them.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let alone = listener.local_addr().unwrap();
    let services = colearn_dashboard::Services::new(support::channel(&coordinator).await);
    let pages = colearn_dashboard::router(services, colearn_dashboard::Guard::default());
    tokio::spawn(colearn_dashboard::serve(listener, pages));
    for at in [coordinator.address(), alone] {
        // Longer than what is read to tell HTTP/1 from HTTP/2, which has a time limit of its own.
        let head = format!("GET /api/v1/sweeps HTTP/1.1\r\nhost: {at}\r\nx-slow: ");
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let seconds = seconds_until_closed(&mut stream, b"a").await;
        assert!((20..=40).contains(&seconds), "{at}: after {seconds} s");

        let mut stream = TcpStream::connect(at).await.unwrap();
        stream
            .write_all(format!("GET /api/v1/sweeps HTTP/1.1\r\nhost: {at}\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let read = timeout(SOON, stream.read(&mut [0; 4096])).await.unwrap().unwrap();
        assert!(read > 0);
        let seconds = seconds_until_closed(&mut stream, b"").await;
        assert!((20..=40).contains(&seconds), "{at}: after {seconds} s");
    }
    // Others are answered all the time.
    assert_eq!(ask(coordinator.address(), "GET", "/api/v1/sweeps", "", "").await.status, 200);
}
