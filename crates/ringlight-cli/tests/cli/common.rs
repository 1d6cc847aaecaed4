//! Running the real binary, and talking to it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ringlight_model::{KeyValue, Resource, Scope, Span, SpanId, SpanKind, TraceId, Value};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::SIGHUP;

/// How long anything is waited for before a test fails; far beyond what it takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Flags that let the system choose the ports.
pub(crate) const FREE_PORTS: [&str; 6] = ["--grpc-port", "0", "--http-port", "0", "--ui-port", "0"];

/// The binary, without anything of the surroundings that could change what it does.
pub(crate) fn ringlight() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringlight"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("OTEL_") || name.starts_with("OTLP_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    hang_up_by_default();
    command
}

/// Has processes started from here end by SIGHUP unless they see to it themselves, though these tests
/// may have been started with it ignored, by `nohup` say: what is ignored stays so in a new program, what
/// is caught becomes the default.
fn hang_up_by_default() {
    static CAUGHT: Once = Once::new();
    CAUGHT.call_once(|| {
        signal_hook::flag::register(SIGHUP, Arc::default()).unwrap();
    });
}

/// Runs the binary to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    ringlight().args(args).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A backend started by `ringlight up`, killed when dropped.
pub(crate) struct Backend {
    pub(crate) child: Child,
    pub(crate) ready: serde_json::Value,
    pub(crate) ui: SocketAddr,
    pub(crate) http: SocketAddr,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Backend {
    /// `ringlight up` on a data directory, with free ports.
    pub(crate) fn up(data_dir: &Path) -> Self {
        Self::start(data_dir, &FREE_PORTS)
    }

    pub(crate) fn start(data_dir: &Path, flags: &[&str]) -> Self {
        let mut command = ringlight();
        command
            .args(["up", "--json", "--data-dir"])
            .arg(data_dir)
            .args(flags);
        Self::spawn(command)
    }

    /// Starts a command whose first line on standard output is the ready line.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let Ok(ready) = serde_json::from_str::<serde_json::Value>(&line) else {
            let mut stderr = String::new();
            let _ = child.kill();
            let _ = child.stderr.take().unwrap().read_to_string(&mut stderr);
            panic!("the backend is not ready: {line:?}\n{stderr}");
        };
        let address = |key: &str| {
            let url = ready[key].as_str().unwrap();
            url.strip_prefix("http://").unwrap().parse().unwrap()
        };
        Self {
            ui: address("url"),
            http: address("otlp_http"),
            ready,
            child,
            stdout,
        }
    }

    /// The next line on standard output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    /// What it wrote to standard error, once it has ended.
    pub(crate) fn errors(&mut self) -> String {
        let mut stderr = String::new();
        let mut stream = self.child.stderr.take().unwrap();
        stream.read_to_string(&mut stderr).unwrap();
        stderr
    }

    pub(crate) fn get(&self, path: &str) -> serde_json::Value {
        let (status, body) = get(self.ui, path);
        assert_eq!(status, 200, "{path}: {}", text(&body));
        serde_json::from_slice(&body).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(&self.child, signal);
    }

    /// Ends the backend in order.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        wait(&mut self.child)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Waits for a process, and fails rather than hang.
pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    until("the process ends", || child.try_wait().unwrap())
}

/// Asks again and again until there is an answer, and fails rather than hang.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

pub(crate) fn get(address: SocketAddr, path: &str) -> (u16, Vec<u8>) {
    request(address, "GET", path, &[], &[]).unwrap()
}

/// One HTTP/1.0 exchange, so that the answer ends with the connection.
pub(crate) fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut head = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let broken = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .ok_or_else(broken)?;
    let status = text(&answer[..end])
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .ok_or_else(broken)?;
    Ok((status, answer[end + 4..].to_vec()))
}

/// A port that nobody has at present.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Sends a trace of `spans` spans as OTLP protobuf; true once it is acknowledged.
pub(crate) fn send_trace(http: SocketAddr, service: &str, trace: u128, spans: u64) -> bool {
    let body = trace_request(service, trace, spans);
    let sent = request(
        http,
        "POST",
        "/v1/traces",
        &[("Content-Type", "application/x-protobuf")],
        &body,
    );
    matches!(sent, Ok((200, _)))
}

pub(crate) fn trace_request(service: &str, trace: u128, spans: u64) -> Vec<u8> {
    trace_request_at(service, trace, spans, SystemTime::now())
}

/// A trace whose spans began at a time.
pub(crate) fn trace_request_at(
    service: &str,
    trace: u128,
    spans: u64,
    began: SystemTime,
) -> Vec<u8> {
    let began = began.duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let attribute = |key: &'static str, value: String| KeyValue {
        key: key.into(),
        value: Value::Str(value.into()),
    };
    let resource = Resource {
        attributes: vec![
            attribute("service.name", service.to_owned()),
            attribute("service.instance.id", format!("{service}-1")),
        ],
        dropped_attributes_count: 0,
    };
    let scope = Scope {
        name: "test".into(),
        ..Scope::default()
    };
    let spans: Vec<Span<'_>> = (1..=spans)
        .map(|number| Span {
            trace_id: TraceId::new(trace),
            span_id: SpanId::new(number),
            parent_span_id: SpanId::new(if number == 1 { 0 } else { 1 }),
            name: format!("step {number}").into(),
            kind: SpanKind::Internal,
            start_unix_nano: began,
            end_unix_nano: began + number * 1_000,
            attributes: vec![attribute("note", format!("of {trace:032x}"))],
            ..Span::default()
        })
        .collect();
    ringlight_otlp::encode::request(&resource, &scope, &spans)
}

/// The number of spans the API has of a trace; `None` when it has none of it.
pub(crate) fn spans_of(backend: &Backend, trace: u128) -> Option<u64> {
    let (status, body) = get(backend.ui, &format!("/api/v1/traces/{trace:032x}"));
    match status {
        200 => {
            let trace: serde_json::Value = serde_json::from_slice(&body).unwrap();
            Some(trace["spans"].as_array().unwrap().len() as u64)
        }
        404 => None,
        _ => panic!("{status}: {}", text(&body)),
    }
}
