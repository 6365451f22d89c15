//! The least of HTTP that tests need.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

/// The body of the answer to a GET request, which must be 200; `address` is `HOST:PORT` or a URL.
pub(crate) fn get(address: &str, path: &str) -> String {
    try_get(address, path).unwrap_or_else(|answer| panic!("{path}: {answer}"))
}

/// The same; an error is the answer, or why there is none.
pub(crate) fn try_get(address: &str, path: &str) -> Result<String, String> {
    let address = address.trim_start_matches("http://");
    let read = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        // HTTP/1.0: the answer ends with the connection, and is not sent in chunks.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = read().map_err(|error| error.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.split_whitespace().nth(1) == Some("200") { Ok(body.to_owned()) } else { Err(answer) }
}

/// A text as a part of a URL.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
