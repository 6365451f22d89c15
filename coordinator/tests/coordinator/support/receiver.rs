//! A server that is told of events, and checks their signatures by itself.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
    sync::mpsc,
    time::timeout,
};

use super::SOON;

/// The secret of these tests: 24 bytes.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A request that it got.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) id: String,
    pub(crate) seconds: i64,
    pub(crate) body: String,
    pub(crate) event: Value,
}

/// A server on loopback. It gives these answers, and then the last of them for ever.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    got: mpsc::UnboundedReceiver<Got>,
    answers: Arc<Mutex<Vec<&'static str>>>,
}

/// An answer that never comes.
pub(crate) const SILENCE: &str = "";

impl Receiver {
    pub(crate) async fn answering(answers: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, got) = mpsc::unbounded_channel();
        let answers = Arc::new(Mutex::new(answers.to_vec()));
        let left = answers.clone();
        tokio::spawn(async move {
            let mut silent = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                let mut stream = BufReader::new(stream);
                let mut headers = std::collections::BTreeMap::new();
                let mut line = String::new();
                while stream.read_line(&mut line).await.is_ok_and(|read| read > 2) {
                    if let Some((name, value)) = line.trim().split_once(':') {
                        headers.insert(name.to_lowercase(), value.trim().to_owned());
                    }
                    line.clear();
                }
                let Some(length) = headers.get("content-length").and_then(|it| it.parse().ok()) else {
                    continue;
                };
                let mut body = vec![0; length];
                stream.read_exact(&mut body).await.unwrap();
                let body = String::from_utf8(body).unwrap();
                let seconds = headers["webhook-timestamp"].parse().unwrap();
                let id = headers["webhook-id"].clone();
                assert_eq!(headers["content-type"], "application/json");
                assert_eq!(headers["webhook-signature"], signature(&format!("{id}.{seconds}.{body}")));
                let answer = {
                    let mut answers = left.lock().unwrap();
                    if answers.len() > 1 { answers.remove(0) } else { answers[0] }
                };
                let event = serde_json::from_str(&body).unwrap();
                sender.send(Got { id, seconds, body, event }).unwrap();
                if answer == SILENCE {
                    silent.push(stream);
                    continue;
                }
                let text = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                let _ = stream.write_all(text.as_bytes()).await;
            }
        });
        Self { address, got, answers }
    }

    /// The next request.
    pub(crate) async fn next(&mut self) -> Got {
        timeout(SOON, self.got.recv()).await.expect("it is told soon").unwrap()
    }

    /// Answers like this from now on.
    pub(crate) fn answer(&self, answer: &'static str) {
        *self.answers.lock().unwrap() = vec![answer];
    }
}

/// HMAC-SHA256 as RFC 2104 writes it.
fn signature(signed: &str) -> String {
    let mut key = STANDARD.decode(SECRET.trim_start_matches("whsec_")).unwrap();
    key.resize(64, 0);
    let pad = |byte: u8| key.iter().map(|it| it ^ byte).collect::<Vec<u8>>();
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(signed).finalize();
    let outer = Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize();
    format!("v1,{}", STANDARD.encode(outer))
}
