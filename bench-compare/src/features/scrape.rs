//! Who asks for metrics every second, as Prometheus would.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Result, anyhow};

/// Between two scrapes; the default of Prometheus is a minute.
const INTERVAL: Duration = Duration::from_secs(1);
/// Between two tries while nobody listens yet.
const RETRY: Duration = Duration::from_millis(50);
/// Far above what an answer takes.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Asks until it is told to end.
pub(super) struct Scraper {
    end: Sender<()>,
    thread: JoinHandle<u64>,
}

/// An address that is free at the moment.
pub(super) fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

impl Scraper {
    pub(super) fn start(address: SocketAddr) -> Self {
        let (end, ended) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut scrapes = 0;
            let mut pause = RETRY;
            while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                // Nobody listens before it has started, and after it has ended.
                pause = if scrape(address).unwrap_or(false) {
                    scrapes += 1;
                    INTERVAL
                } else {
                    RETRY
                };
            }
            scrapes
        });
        Self { end, thread }
    }

    /// How often there was an answer with metrics.
    pub(super) fn end(self) -> Result<u64> {
        drop(self.end);
        let ended = self.thread.join();
        ended.map_err(|_| anyhow!("the thread that scrapes panicked"))
    }
}

fn scrape(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let host = address.to_string();
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200 ") && answer.contains("# TYPE "))
}
