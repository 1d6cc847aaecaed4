//! JSON-RPC 2.0 between two peers, one message a line, as MCP frames it on a byte stream.
//!
//! Either side may ask, and answers what it is asked while it waits itself.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ringlight::channel::{mpsc, oneshot};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::task::JoinHandle;
use tracing::Instrument as _;

/// The longest message, in bytes.
const LINE_BYTES_MAX: u64 = 256 * 1024;

/// Messages that wait to be written; more wait to be put there.
const WAITING_MAX: usize = 32;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A method there is none of.
pub(super) const METHOD_NOT_FOUND: i64 = -32_601;

/// Parameters a method does not take.
pub(super) const INVALID_PARAMS: i64 = -32_602;

/// A failure of the peer itself.
const INTERNAL_ERROR: i64 = -32_603;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message} ({code})")]
pub(crate) struct RpcError {
    /// A number as JSON-RPC defines it.
    pub(super) code: i64,
    /// For people.
    pub(super) message: String,
}

impl RpcError {
    pub(super) fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    fn lost() -> Self {
        Self::new(INTERNAL_ERROR, "the connection is closed")
    }
}

/// A message as it comes: a request has a method and an id, a notification no id, an answer no
/// method.
#[derive(Debug, Deserialize)]
struct Incoming {
    id: Option<Value>,
    method: Option<String>,
    #[serde(default)]
    params: Value,
    result: Option<Value>,
    error: Option<RpcError>,
}

/// Answers what a peer asks.
pub(super) trait Answer: Clone + Send + Sync + 'static {
    /// The answer to a request; that to a notification is left out.
    fn answer(
        &self,
        peer: Peer,
        method: String,
        params: Value,
    ) -> impl Future<Output = Result<Value, RpcError>> + Send;
}

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Result<Value, RpcError>>>>>;

/// The other side of a connection. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// Lines to be written; `None` ends the writing.
    lines: mpsc::Sender<Option<String>>,
    /// Who waits for which answer.
    waiting: Waiting,
    /// Numbers the requests. `Relaxed`: it orders nothing.
    asked: Arc<AtomicU64>,
}

impl Peer {
    /// Talks to whoever is at the other end of the streams, and answers by `answers`. The task ends
    /// when the other side closes the connection.
    pub(super) fn start(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
        answers: impl Answer,
    ) -> (Self, JoinHandle<()>) {
        let (lines, to_write) = mpsc::named("mcp.lines", WAITING_MAX);
        let peer = Self {
            lines,
            waiting: Arc::default(),
            asked: Arc::default(),
        };
        tokio::spawn(write(to_write, writer));
        let listening = tokio::spawn(peer.clone().listen(reader, answers));
        (peer, listening)
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// The peer refused, did not answer in time, or is gone.
    pub(super) async fn ask(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        let id = self.asked.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::named("mcp.answer");
        self.lock().insert(id, sender);
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let outcome = if self.lines.send(Some(request.to_string())).await.is_err() {
            Err(RpcError::lost())
        } else {
            match tokio::time::timeout(TIMEOUT, answer).await {
                Ok(answered) => answered.unwrap_or_else(|_| Err(RpcError::lost())),
                Err(_) => Err(RpcError::new(INTERNAL_ERROR, "no answer in time")),
            }
        };
        self.lock().remove(&id);
        outcome
    }

    /// Tells something that needs no answer.
    pub(super) async fn tell(&self, method: &str) {
        let line = json!({"jsonrpc": "2.0", "method": method}).to_string();
        // A peer that is gone is found out by the next question.
        let _ = self.lines.send(Some(line)).await;
    }

    /// Ends what is said to the peer, which then ends its side.
    pub(super) async fn close(&self) {
        let _ = self.lines.send(None).await;
    }

    fn lock(
        &self,
    ) -> std::sync::MutexGuard<'_, HashMap<u64, oneshot::Sender<Result<Value, RpcError>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn listen(self, reader: impl AsyncRead + Send + Unpin, answers: impl Answer) {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut reader)
                .take(LINE_BYTES_MAX)
                .read_until(b'\n', &mut line)
                .await;
            if !matches!(read, Ok(1..)) || line.last() != Some(&b'\n') {
                break;
            }
            match serde_json::from_slice::<Incoming>(&line) {
                Ok(message) => self.take(message, &answers),
                Err(error) => {
                    tracing::warn!(cause = %error, "a message that is none ends the connection");
                    break;
                }
            }
        }
        self.close().await;
        // Whoever still waits learns that nothing will come.
        self.lock().clear();
    }

    fn take(&self, message: Incoming, answers: &impl Answer) {
        let Some(method) = message.method else {
            let waiting = message.id.and_then(|id| self.lock().remove(&id.as_u64()?));
            if let Some(waiting) = waiting {
                let answer = match message.error {
                    Some(error) => Err(error),
                    None => Ok(message.result.unwrap_or_default()),
                };
                // Whoever asked may have given up meanwhile.
                let _ = waiting.send(answer);
            }
            return;
        };
        let (peer, answers) = (self.clone(), answers.clone());
        tokio::spawn(
            async move {
                let answered = answers.answer(peer.clone(), method, message.params).await;
                let Some(id) = message.id else { return };
                let line = match answered {
                    Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
                    Err(error) => json!({"jsonrpc": "2.0", "id": id, "error": error}),
                };
                let _ = peer.lines.send(Some(line.to_string())).await;
            }
            .in_current_span(),
        );
    }
}

async fn write(
    mut lines: mpsc::Receiver<Option<String>>,
    mut writer: impl AsyncWrite + Send + Unpin,
) {
    while let Some(Some(mut line)) = lines.recv().await {
        line.push('\n');
        if writer.write_all(line.as_bytes()).await.is_err() {
            break;
        }
    }
    // The other side may have closed first.
    let _ = writer.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers `double` itself, and `relay` by asking whoever asked.
    #[derive(Clone)]
    struct Doubler;

    impl Answer for Doubler {
        async fn answer(
            &self,
            peer: Peer,
            method: String,
            params: Value,
        ) -> Result<Value, RpcError> {
            match method.as_str() {
                "double" => Ok(json!(params.as_i64().unwrap_or_default() * 2)),
                "relay" => peer.ask("double", params).await,
                _ => Err(RpcError::new(METHOD_NOT_FOUND, method)),
            }
        }
    }

    #[tokio::test]
    async fn both_sides_ask_and_answer_at_the_same_time() {
        let (one, other) = tokio::io::duplex(64);
        let (reader, writer) = tokio::io::split(one);
        let (peer, listening) = Peer::start(reader, writer, Doubler);
        let (reader, writer) = tokio::io::split(other);
        let (_other, other_listening) = Peer::start(reader, writer, Doubler);
        let (a, b, c) = tokio::join!(
            peer.ask("double", json!(1)),
            peer.ask("relay", json!(21)),
            peer.ask("nothing", Value::Null),
        );
        assert_eq!((a.unwrap(), b.unwrap()), (json!(2), json!(42)));
        assert_eq!(c.unwrap_err(), RpcError::new(METHOD_NOT_FOUND, "nothing"));
        peer.close().await;
        listening.await.unwrap();
        other_listening.await.unwrap();
        assert_eq!(peer.ask("double", json!(1)).await, Err(RpcError::lost()));
    }

    #[tokio::test]
    async fn what_is_no_message_ends_the_connection() {
        let (one, mut other) = tokio::io::duplex(64);
        let (reader, writer) = tokio::io::split(one);
        let (peer, listening) = Peer::start(reader, writer, Doubler);
        other.write_all(b"hello\n").await.unwrap();
        listening.await.unwrap();
        assert_eq!(peer.ask("double", json!(1)).await, Err(RpcError::lost()));
    }
}
