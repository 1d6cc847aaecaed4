//! A GET of the backend's API.

use std::{
    fmt::Write as _,
    io::{Read, Write as _},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// Far above what any answer takes: a backend that hangs must not hang the bench.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What a path of `address` answers, which is JSON; an answer that is no success is an error. Each
/// call is a connection of its own, closed by the server, as HTTP/1.0 has it.
pub(crate) fn get(address: &str, path: &str) -> Result<Value> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .with_context(|| format!("GET {path}: no answer"))?;
    let (head, body) = (&answer[..end], &answer[end + 4..]);
    let head = String::from_utf8_lossy(head);
    if head.split(' ').nth(1) != Some("200") {
        bail!("GET {path}: {head}\n{}", String::from_utf8_lossy(body));
    }
    serde_json::from_slice(body).with_context(|| format!("GET {path}: an answer that is no JSON"))
}

/// The path of a search for traces.
pub(crate) fn search(query: &str) -> String {
    let mut path = "/api/v1/traces?q=".to_owned();
    for byte in query.bytes() {
        if byte.is_ascii_alphanumeric() {
            path.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_escaped_for_a_path() {
        assert_eq!(
            search("{ name = \"é\" }"),
            "/api/v1/traces?q=%7B%20name%20%3D%20%22%C3%A9%22%20%7D"
        );
    }
}
