//! A connection to an MCP server.

use std::future::poll_fn;
use std::pin::pin;

use ringlight::TraceContext;
use ringlight::channel::oneshot;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tracing::Span;

use super::jsonrpc::{Answer, METHOD_NOT_FOUND, Peer, RpcError};
use super::server::PROTOCOL_VERSION;
use super::{Elicitation, McpError};
use crate::propagation::TRACEPARENT;
use crate::status::failed;
use crate::wires::Sender;
use crate::{FunctionDefinition, ToolDefinition};

/// What an address begins with: JSON-RPC, one message a line, over TCP.
const SCHEME: &str = "mcp://";

/// A connection. It ends by [`Self::shutdown`], or when it is dropped.
#[derive(Debug)]
pub(super) struct Client {
    peer: Peer,
    listening: JoinHandle<()>,
    /// What the server calls itself.
    pub(super) server: String,
}

impl Client {
    /// Connects to the server at `url` and greets it. What the server asks the user goes to
    /// `elicitations`.
    ///
    /// # Errors
    /// There is no server, or it speaks another protocol.
    #[tracing::instrument(
        name = "mcp.connect",
        skip_all,
        fields(
            mcp.method.name = "initialize",
            mcp.protocol.version,
            mcp.server.name,
            otel.status_code,
            otel.status_message,
        )
    )]
    pub(super) async fn connect(
        url: &str,
        elicitations: Sender<Elicitation>,
    ) -> Result<Self, McpError> {
        let stream = connect_url(url).await.inspect_err(failed)?;
        let (reader, writer) = stream.into_split();
        let (peer, listening) = Peer::start(reader, writer, Asked { elicitations });
        let greeting = json!({
            "protocolVersion": PROTOCOL_VERSION,
            "capabilities": {"elicitation": {}},
            "clientInfo": {"name": "agent", "version": env!("CARGO_PKG_VERSION")},
        });
        let greeted = peer.ask("initialize", greeting).await;
        let greeted = greeted.map_err(McpError::from).inspect_err(failed)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let server = text(&greeted["serverInfo"]["name"]);
        let span = Span::current();
        span.record("mcp.protocol.version", text(&greeted["protocolVersion"]));
        span.record("mcp.server.name", server.as_str());
        peer.tell("notifications/initialized").await;
        Ok(Self {
            peer,
            listening,
            server,
        })
    }

    /// Asks which tools there are.
    ///
    /// # Errors
    /// The server did not say.
    #[tracing::instrument(
        name = "mcp.list_tools",
        skip_all,
        fields(
            mcp.method.name = "tools/list",
            mcp.server.name = self.server,
            mcp.tools,
            otel.status_code,
            otel.status_message,
        )
    )]
    pub(super) async fn list_tools(&self) -> Result<Vec<ToolDefinition>, McpError> {
        let listed = self.peer.ask("tools/list", json!({})).await;
        let listed = listed.map_err(McpError::from).inspect_err(failed)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let tools: Vec<ToolDefinition> = listed["tools"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|tool| ToolDefinition {
                kind: "function".to_owned(),
                function: FunctionDefinition {
                    name: text(&tool["name"]),
                    description: text(&tool["description"]),
                    parameters: tool["inputSchema"].clone(),
                },
            })
            .collect();
        Span::current().record("mcp.tools", tools.len());
        Ok(tools)
    }

    /// Calls a tool and returns the text it answers with.
    ///
    /// # Errors
    /// The server refused, or the tool failed.
    #[tracing::instrument(
        name = "mcp.call_tool",
        skip_all,
        fields(
            mcp.method.name = "tools/call",
            mcp.server.name = self.server,
            gen_ai.tool.name = name,
            mcp.result.is_error,
            otel.status_code,
            otel.status_message,
        )
    )]
    pub(super) async fn call_tool(
        &self,
        name: &str,
        arguments: &Value,
    ) -> Result<String, McpError> {
        let params = json!({"name": name, "arguments": arguments, "_meta": trace_meta()});
        let called = self.peer.ask("tools/call", params).await;
        let called = called.map_err(McpError::from).inspect_err(failed)?;
        let is_error = called["isError"] == true;
        Span::current().record("mcp.result.is_error", is_error);
        let lines: Vec<&str> = called["content"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|part| part["text"].as_str())
            .collect();
        let text = lines.join("\n");
        if is_error {
            let error = McpError::Tool(text);
            failed(&error);
            return Err(error);
        }
        Ok(text)
    }

    /// Ends the connection in order: ends what is said to the server, and waits until it has ended
    /// its side.
    #[tracing::instrument(name = "mcp.shutdown", skip_all, fields(mcp.server.name = self.server))]
    pub(super) async fn shutdown(mut self) {
        self.peer.close().await;
        // An error means that the task panicked, which ended the connection too.
        let _ = (&mut self.listening).await;
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

#[tracing::instrument(
    name = "mcp.connect_url",
    skip_all,
    fields(
        url.full = url,
        network.transport = "tcp",
        network.peer.port,
        otel.status_code,
        otel.status_message,
    )
)]
async fn connect_url(url: &str) -> Result<TcpStream, McpError> {
    let connect = async {
        let address = url
            .strip_prefix(SCHEME)
            .ok_or_else(|| McpError::Url(url.to_owned()))?;
        let stream = TcpStream::connect(address)
            .await
            .map_err(McpError::Unreachable)?;
        // Messages are small, and the other side waits for each.
        stream.set_nodelay(true).map_err(McpError::Unreachable)?;
        Ok::<_, McpError>(stream)
    };
    let stream = connect.await.inspect_err(failed)?;
    if let Ok(peer) = stream.peer_addr() {
        Span::current().record("network.peer.port", peer.port());
    }
    Ok(stream)
}

/// The current span, for a server to name when it asks back.
fn trace_meta() -> Value {
    match TraceContext::current() {
        Some(context) => json!({TRACEPARENT: context.to_traceparent()}),
        None => json!({}),
    }
}

/// The span that a server's question belongs to.
fn trace_of(params: &Value) -> Option<TraceContext> {
    TraceContext::from_traceparent(params["_meta"][TRACEPARENT].as_str()?)
}

/// Answers what the server asks.
#[derive(Debug, Clone)]
struct Asked {
    elicitations: Sender<Elicitation>,
}

impl Answer for Asked {
    async fn answer(&self, _peer: Peer, method: String, params: Value) -> Result<Value, RpcError> {
        match method.as_str() {
            "ping" => Ok(json!({})),
            "elicitation/create" => {
                let (answer, answered) = oneshot::named("elicited");
                let message = params["message"].as_str().unwrap_or_default().to_owned();
                let elicitation = Elicitation { message, answer };
                let context = trace_of(&params);
                let mut sending = pin!(self.elicitations.send(elicitation));
                // Its span is opened with the first poll.
                let sending = poll_fn(|cx| {
                    let mut poll = || sending.as_mut().poll(cx);
                    match context {
                        Some(context) => context.parent_of(poll),
                        None => poll(),
                    }
                });
                let is_asked = sending.await.is_ok();
                // Whom nobody can ask has not agreed.
                Ok(match answered.await {
                    Ok(agreed) if is_asked => {
                        json!({"action": "accept", "content": {"agreed": agreed}})
                    }
                    _ => json!({"action": "cancel"}),
                })
            }
            _ => Err(RpcError::new(
                METHOD_NOT_FOUND,
                format!("there is no method `{method}`"),
            )),
        }
    }
}
