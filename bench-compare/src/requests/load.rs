//! Who asks: a few connections that stay open, each asking again when all have been answered.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use anyhow::{Context as _, Result, bail};

use bench_workload::Cores;

/// Requests under way at a time.
pub(crate) const CONNECTIONS_COUNT: u64 = 8;

/// Asks for orders `0` to `requests`, a multiple of [`CONNECTIONS_COUNT`], and compares the answers.
pub(crate) fn run(address: &str, requests: u64) -> Result<()> {
    Cores::Others.keep()?;
    let connect = |_| -> Result<TcpStream> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    let mut streams = (0..CONNECTIONS_COUNT)
        .map(connect)
        .collect::<Result<Vec<_>>>()
        .with_context(|| format!("cannot connect to {address}"))?;
    let mut number = 0;
    while number < requests {
        for (stream, order) in streams.iter_mut().zip(number..) {
            let request = format!("GET /orders/{order} HTTP/1.1\r\nhost: bench\r\n\r\n");
            stream.write_all(request.as_bytes())?;
        }
        for (stream, order) in streams.iter_mut().zip(number..) {
            expect(stream, &format!("order {order}\n"))?;
        }
        number += CONNECTIONS_COUNT;
    }
    Ok(())
}

/// Reads one answer, which has no more than this body.
fn expect(stream: &mut TcpStream, body: &str) -> Result<()> {
    let mut answer = [0; 1024];
    let mut length = 0;
    while !is_whole(&answer[..length]) {
        match stream.read(&mut answer[length..])? {
            0 => bail!("the service closed a connection, or answered too much"),
            more => length += more,
        }
    }
    let answer = String::from_utf8_lossy(&answer[..length]);
    if answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&format!("\r\n\r\n{body}")) {
        Ok(())
    } else {
        bail!("not the answer `{}`: {answer}", body.trim_end())
    }
}

/// Whether all of an answer is there, whose body is one line.
fn is_whole(answer: &[u8]) -> bool {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    end.is_some_and(|end| answer[end + 4..].ends_with(b"\n"))
}
