//! A real S3 server on loopback, and a network between it and the programs that can fail.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use serde_json::Value;

/// The server, with the bucket `colearn` in its memory.
pub(crate) struct Server {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    users: Value,
    pub(crate) network: Network,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The Python of `make s3`; `None` if it is not there.
fn python() -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.venv-s3/bin/python");
    let probe = Command::new(&python).args(["-c", "import boto3, moto.server"]).output();
    let found = probe.is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("skipped: there is no S3 server; `make s3` installs it");
    }
    found.then_some(python)
}

impl Server {
    /// Starts the server; `None` if it is not installed.
    pub(crate) fn start() -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/s3/server.py");
        let mut child = Command::new(python()?)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let mut answers = BufReader::new(child.stdout.take().unwrap());
        let ready = next(&mut answers);
        let port = ready["port"].as_u64().unwrap().try_into().unwrap();
        let network = Network::to(port);
        Some(Self { child, commands, answers, users: ready["users"].clone(), network })
    }

    /// The variables with which programs reach the server as a user.
    pub(crate) fn environment(&self, user: &str) -> Vec<(&'static str, String)> {
        let key = |name: &str| self.users[user][name].as_str().unwrap().to_owned();
        let mut environment = self.endpoint();
        environment.push(("AWS_ACCESS_KEY_ID", key("id")));
        environment.push(("AWS_SECRET_ACCESS_KEY", key("secret")));
        environment
    }

    /// The same without credentials.
    pub(crate) fn endpoint(&self) -> Vec<(&'static str, String)> {
        let endpoint = format!("http://127.0.0.1:{}", self.network.port);
        vec![("AWS_ENDPOINT_URL", endpoint), ("AWS_ALLOW_HTTP", "true".to_owned())]
    }

    /// Secret parts of the credentials, which nothing may show.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let users = self.users.as_object().unwrap().values();
        users.flat_map(|user| ["id", "secret"].map(|name| user[name].as_str().unwrap().to_owned())).collect()
    }

    /// All objects with their sizes.
    pub(crate) fn objects(&mut self) -> BTreeMap<String, u64> {
        serde_json::from_value(self.ask("list")).unwrap()
    }

    /// The latest epoch of which there is a checkpoint.
    pub(crate) fn newest(&mut self) -> u64 {
        let epoch = |key: &String| Path::new(key).file_name()?.to_str()?.split('-').next()?.parse().ok();
        self.objects().keys().filter_map(epoch).max().unwrap_or(0)
    }

    /// Changes the last byte of an object.
    pub(crate) fn damage(&mut self, key: &str) {
        self.ask(&format!("damage {key}"));
    }

    fn ask(&mut self, command: &str) -> Value {
        writeln!(self.commands, "{command}").unwrap();
        next(&mut self.answers)
    }
}

fn next(answers: &mut BufReader<ChildStdout>) -> Value {
    let mut line = String::new();
    answers.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("the S3 server says {line:?}: {error}"))
}

/// What happens between the programs and the server.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Traffic {
    Passes,
    /// Each part of an answer comes after this time.
    Delayed(Duration),
    /// Connections are closed at once.
    Closed,
    /// Connections are accepted, and nothing is answered.
    Silent,
}

#[derive(Clone)]
pub(crate) struct Network {
    port: u16,
    state: Arc<Mutex<State>>,
}

struct State {
    traffic: Traffic,
    open: Vec<TcpStream>,
}

impl Network {
    fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State { traffic: Traffic::Passes, open: Vec::new() }));
        let network = Self { port, state };
        let accepting = network.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                accepting.connect(client.unwrap(), server);
            }
        });
        network
    }

    /// Changes what happens; ends the connections that there are.
    pub(crate) fn set(&self, traffic: Traffic) {
        let mut state = self.state.lock().unwrap();
        state.traffic = traffic;
        for stream in state.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn connect(&self, client: TcpStream, server: u16) {
        let mut state = self.state.lock().unwrap();
        if state.traffic == Traffic::Closed {
            return;
        }
        state.open.push(client.try_clone().unwrap());
        if state.traffic == Traffic::Silent {
            return;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { return };
        state.open.push(server.try_clone().unwrap());
        let (from_client, from_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let network = self.clone();
        thread::spawn(move || pass(from_client, server, || Duration::ZERO));
        thread::spawn(move || pass(from_server, client, || network.delay()));
    }

    fn delay(&self) -> Duration {
        match self.state.lock().unwrap().traffic {
            Traffic::Delayed(delay) => delay,
            _ => Duration::ZERO,
        }
    }
}

/// Passes everything on until one side closes.
fn pass(mut from: TcpStream, mut to: TcpStream, delay: impl Fn() -> Duration) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        thread::sleep(delay());
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
