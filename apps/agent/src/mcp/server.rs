//! A small MCP server: a glossary of the code, and bookmarks in it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

use super::jsonrpc::{Answer, INVALID_PARAMS, METHOD_NOT_FOUND, Peer, RpcError};
use crate::corpus;

/// The protocol's version that is spoken.
pub(super) const PROTOCOL_VERSION: &str = "2025-06-18";

/// Bookmarks kept; the first in order goes when there is one more.
const BOOKMARKS_MAX: usize = 32;

/// The server. Cheap to clone; all clones share the bookmarks.
#[derive(Debug, Clone, Default)]
pub(super) struct Server {
    bookmarks: Arc<Mutex<BTreeSet<String>>>,
}

impl Server {
    /// Serves whoever connects, until it is dropped.
    pub(super) async fn listen(self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (reader, writer) = stream.into_split();
                    self.serve(reader, writer);
                }
                Err(error) => {
                    tracing::warn!(cause = %error, "the MCP server takes no more connections");
                    return;
                }
            }
        }
    }

    /// Serves one client; the connection ends with the client's side of it.
    pub(super) fn serve(
        &self,
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) {
        let _ = Peer::start(reader, writer, self.clone());
    }

    async fn call(&self, peer: &Peer, params: &Value) -> Result<Value, RpcError> {
        let argument = |name: &str| {
            params["arguments"][name].as_str().ok_or_else(|| {
                RpcError::new(INVALID_PARAMS, format!("the argument `{name}` is missing"))
            })
        };
        match params["name"].as_str() {
            Some("glossary") => Ok(match explanation(argument("term")?) {
                Some(text) => result(&text, false),
                None => result("the glossary does not have that", true),
            }),
            Some("bookmark") => {
                self.bookmark(peer, argument("path")?, &params["_meta"])
                    .await
            }
            _ => Err(RpcError::new(INVALID_PARAMS, "there is no such tool")),
        }
    }

    /// Keeps a bookmark if the user agrees. The question says by `meta` which call it belongs to.
    async fn bookmark(&self, peer: &Peer, path: &str, meta: &Value) -> Result<Value, RpcError> {
        let schema = json!({"type": "object", "required": ["agreed"],
            "properties": {"agreed": {"type": "boolean"}}});
        let question = json!({"message": format!("Shall `{path}` be bookmarked?"),
            "requestedSchema": schema, "_meta": meta});
        let answer = peer.ask("elicitation/create", question).await?;
        if answer["action"] != "accept" || answer["content"]["agreed"] != true {
            return Ok(result("the user does not want it", true));
        }
        let mut bookmarks = self
            .bookmarks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        bookmarks.insert(path.to_owned());
        if bookmarks.len() > BOOKMARKS_MAX {
            bookmarks.pop_first();
        }
        Ok(result(
            &format!("bookmarked, one of {}", bookmarks.len()),
            false,
        ))
    }
}

impl Answer for Server {
    async fn answer(&self, peer: Peer, method: String, params: Value) -> Result<Value, RpcError> {
        match method.as_str() {
            "initialize" => Ok(json!({
                "protocolVersion": PROTOCOL_VERSION,
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "library", "version": env!("CARGO_PKG_VERSION")},
            })),
            "ping" | "notifications/initialized" => Ok(json!({})),
            "tools/list" => Ok(json!({"tools": tools()})),
            "tools/call" => self.call(&peer, &params).await,
            _ => Err(RpcError::new(
                METHOD_NOT_FOUND,
                format!("there is no method `{method}`"),
            )),
        }
    }
}

fn tools() -> Value {
    let tool = |name: &str, description: &str, argument: &str| {
        json!({"name": name, "description": description, "inputSchema": {
            "type": "object", "required": [argument],
            "properties": {argument: {"type": "string"}},
        }})
    };
    json!([
        tool("glossary", "Explains a part of the code", "term"),
        tool("bookmark", "Bookmarks a file, if the user agrees", "path"),
    ])
}

fn result(text: &str, is_error: bool) -> Value {
    json!({"content": [{"type": "text", "text": text}], "isError": is_error})
}

fn explanation(term: &str) -> Option<String> {
    let place = corpus::MODULES.iter().position(|module| *module == term)?;
    Some(format!(
        "{term}: part {} of {}, which can {}",
        place + 1,
        corpus::MODULES.len(),
        corpus::VERBS.join(", ")
    ))
}
