//! Clients that request much and read nothing.

use std::{fs, time::Duration};

use colearn_proto::v1::{
    self, get_log_request::Of, sweep_service_client::SweepServiceClient, work_request::Message,
    worker_service_client::WorkerServiceClient,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

use crate::lab::{Lab, Running};

const CONNECTIONS: usize = 10;
const FOLLOWERS: usize = 30;
/// Number of log lines, each with the maximum length: 12 MB.
const LINES: usize = 3000;
/// Maximum memory of a coordinator in a debug build with some of those lines. Sending everything to all followers
/// would need 5 MB each.
const MAX_MEGABYTES: u64 = 300;

/// The program's memory in megabytes.
fn megabytes(program: &Running) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", program.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

async fn channel(url: &str) -> Channel {
    // The window is so small that unread data stays in the coordinator.
    let endpoint = Endpoint::from_shared(url.to_owned()).unwrap();
    endpoint.initial_stream_window_size(1024).initial_connection_window_size(65_535).connect().await.unwrap()
}

fn log_of_the_talker() -> v1::GetLogRequest {
    v1::GetLogRequest { of: Some(Of::Worker("talker".to_owned())), follow: true, after: 0 }
}

/// A worker that trains nothing and logs without end.
fn talk(url: &str) {
    let (requests, stream) = mpsc::channel(4);
    let url = url.to_owned();
    tokio::spawn(async move {
        let mut client = WorkerServiceClient::new(channel(&url).await);
        let mut told = client.work(ReceiverStream::new(stream)).await.unwrap().into_inner();
        while let Ok(Some(_)) = told.message().await {}
    });
    tokio::spawn(async move {
        let hello = v1::Hello { worker: "talker".to_owned(), ..v1::Hello::default() };
        let mut message = Message::Hello(hello);
        let line = v1::LogLine { at: 1, source: v1::LogSource::Worker.into(), text: "x".repeat(4000) };
        let mut pause = tokio::time::interval(Duration::from_millis(100));
        while requests.send(v1::WorkRequest { message: Some(message) }).await.is_ok() {
            // As many lines as are accepted from one worker.
            pause.tick().await;
            let lines = vec![line.clone(); 100];
            message = Message::Log(v1::LogLines { token: 0, tasks: vec![], lines });
        }
    });
}

#[test]
fn log_followers_that_never_read_do_not_fill_the_memory() {
    let lab = Lab::new();
    let (coordinator, url) = lab.coordinator_on("127.0.0.1:0", "state", 60).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut deaf = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut client = SweepServiceClient::new(channel(&url).await);
            for _ in 0..FOLLOWERS {
                deaf.push(client.get_log(log_of_the_talker()).await.unwrap());
            }
        }
        talk(&url);
        let endpoint = Endpoint::from_shared(url.clone()).unwrap();
        let mut reader = SweepServiceClient::new(endpoint.connect().await.unwrap());
        let mut log = reader.get_log(log_of_the_talker()).await.unwrap().into_inner();
        let mut read = 0;
        while read < LINES {
            let part = log.message().await.unwrap().expect("whoever reads gets everything");
            read += part.lines.len();
        }
        let full = megabytes(&coordinator);
        assert!(full < MAX_MEGABYTES, "{full} MB with {} followers that do not read", deaf.len());
        drop(deaf);
    });
    drop(runtime);
    let left = megabytes(&coordinator);
    assert!(left < MAX_MEGABYTES, "{left} MB when they have gone");
    println!("{left} MB when they have gone");
}
