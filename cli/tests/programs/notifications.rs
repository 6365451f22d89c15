//! A webhook and commands of the real programs.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use serde_json::Value;

use crate::lab::{Lab, text};

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Checks a signature with Python's library. Its arguments: secret, identifier, time, signature; the body is the input.
const VERIFY: &str = r#"
import base64, hashlib, hmac, sys
secret, identifier, seconds, signature = sys.argv[1:]
key = base64.b64decode(secret.removeprefix("whsec_"))
signed = f"{identifier}.{seconds}.".encode() + sys.stdin.buffer.read()
expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
sys.exit(0 if hmac.compare_digest(expected, signature) else 1)
"#;

pub(crate) struct Got {
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn verify(&self) {
        let metadata = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| self.header(name));
        let mut python = Command::new("python3");
        python.args(["-c", VERIFY, SECRET]).args(metadata).stdin(Stdio::piped());
        let mut child = python.spawn().unwrap();
        child.stdin.take().unwrap().write_all(self.body.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{metadata:?} {}", self.body);
    }
}

/// A server that refuses everything until it is told to accept.
fn receiver() -> (u16, Arc<AtomicBool>, mpsc::Receiver<Got>) {
    receiver_behind(|stream| stream)
}

/// The same, with something between it and its connections.
pub(crate) fn receiver_behind<S: Read + Write>(
    wrap: impl Fn(TcpStream) -> S + Send + 'static,
) -> (u16, Arc<AtomicBool>, mpsc::Receiver<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (accepts, (sender, got)) = (Arc::new(AtomicBool::new(false)), mpsc::channel());
    let accepting = accepts.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(wrap(stream.unwrap()));
            let Some((headers, body)) = request(&mut stream) else { continue };
            let answer = if accepting.load(Ordering::SeqCst) { "200 OK" } else { "503 Service Unavailable" };
            if sender.send(Got { headers, body }).is_err() {
                return;
            }
            let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = stream.get_mut().write_all(answer.as_bytes());
            let _ = stream.get_mut().flush();
        }
    });
    (port, accepts, got)
}

/// Headers and body of a request; `None` if it does not come.
fn request(stream: &mut BufReader<impl Read>) -> Option<(Vec<(String, String)>, String)> {
    let (mut headers, mut line) = (Vec::new(), String::new());
    while stream.read_line(&mut line).ok()? > 2 {
        let pair = line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
        headers.extend(pair);
        line.clear();
    }
    let (_, length) = headers.iter().find(|(name, _)| name == "content-length")?;
    let mut body = vec![0; length.parse().ok()?];
    stream.read_exact(&mut body).ok()?;
    Some((headers, text(&body)))
}

pub(crate) fn private(lab: &Lab, name: &str, content: &str) {
    lab.write(name, content);
    fs::set_permissions(lab.path().join(name), PermissionsExt::from_mode(0o600)).unwrap();
}

#[test]
fn an_event_that_was_refused_is_told_by_the_coordinator_that_follows_a_killed_one() {
    let lab = Lab::new();
    private(&lab, "secret", SECRET);
    let (port, accepts, got) = receiver();
    let webhook = format!("http://127.0.0.1:{port}/hook?token=hunter2");
    let options = ["--webhook", &webhook, "--webhook-secret-file", "secret"];
    let (coordinator, url) = lab.coordinator_with("127.0.0.1:0", &options);
    let worker = lab.worker(&url, "one");
    assert!(lab.colearn(&["submit", "small.yaml", "--coordinator", &url]).status.success());
    let soon = Duration::from_secs(60);
    let first = got.recv_timeout(soon).unwrap_or_else(|_| panic!("{}", lab.logs()));
    first.verify();
    coordinator.kill();
    drop(worker);
    accepts.store(true, Ordering::SeqCst);

    let (coordinator, _) = lab.coordinator_with("127.0.0.1:0", &options);
    // Requests that the killed one had sent may come first.
    lab.wait_for("the word that it was told", || {
        fs::read_to_string(lab.path().join("coordinator.log")).unwrap().contains("was told")
    });
    let requests: Vec<_> = got.try_iter().collect();
    for again in &requests {
        again.verify();
        assert_eq!((again.header("webhook-id"), &again.body), (first.header("webhook-id"), &first.body));
    }
    let again = requests.last().unwrap();
    let event: Value = serde_json::from_str(&again.body).unwrap();
    assert_eq!((&event["type"], &event["data"]["tasks"]["done"]), (&"sweep.completed".into(), &6.into()));
    coordinator.interrupt();
    assert_eq!(coordinator.code(), 0);
    let log = fs::read_to_string(lab.path().join("coordinator.log")).unwrap();
    assert!(log.contains(&format!("http://127.0.0.1:{port} was told")), "{log}");
    assert!(!log.contains("hunter2") && !log.contains("/hook") && !log.contains(SECRET), "{log}");
    // Nobody is told twice of what was acknowledged.
    let (coordinator, _) = lab.coordinator_with("127.0.0.1:0", &options);
    coordinator.interrupt();
    assert_eq!(coordinator.code(), 0);
    assert!(got.try_recv().is_err());
}

#[test]
fn run_tells_its_command_and_the_next_run_what_it_could_not_tell() {
    let lab = Lab::new();
    let run = |command: &str| {
        let output = lab.colearn(&["run", "small.yaml", "--on-event", command]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    assert!(run("exit 3").contains("was not told that the sweep has ended: it ended with exit status: 3"));
    run("cat > event.json; test -z \"$COLEARN_WEBHOOK_SECRET\"");
    let event: Value = serde_json::from_slice(&fs::read(lab.path().join("event.json")).unwrap()).unwrap();
    assert_eq!((&event["type"], &event["data"]["sweep"]), (&"sweep.completed".into(), &"small".into()));
    fs::remove_file(lab.path().join("event.json")).unwrap();
    run("cat > event.json");
    assert!(!lab.path().join("event.json").exists(), "the sweep has not ended again");
}

#[test]
fn a_webhook_that_cannot_be_used_is_refused_with_the_remedy() {
    let lab = Lab::new();
    private(&lab, "secret", SECRET);
    private(&lab, "short", "whsec_aHVudGVyMg==");
    lab.write("open", SECRET);
    let refused = |options: &[&str], why: &str| {
        let arguments = [&["coordinator", "--listen", "127.0.0.1:0", "--state", "state"], options].concat();
        let output = lab.colearn(&arguments);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(why) && !told.contains("hunter2"), "{told}");
    };
    let url = "https://anna:hunter2@example.invalid/";
    refused(&["--webhook", url], "there is no secret for the webhook");
    refused(&["--webhook", url], "openssl rand -base64 32");
    refused(&["--webhook", url, "--webhook-secret-file", "short"], "too short");
    refused(&["--webhook", url, "--webhook-secret-file", "none"], "none");
    refused(&["--webhook", url, "--webhook-secret-file", "open"], "chmod");
    refused(&["--webhook", "ftp://hunter2/", "--webhook-secret-file", "secret"], "not of http or https");
    refused(&["--webhook-secret-file", "secret"], "--webhook");
}
