//! Tools of MCP servers, by JSON-RPC.

mod client;
mod jsonrpc;
mod server;

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use ringlight::channel::oneshot;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::RwLock;
use tokio::task::JoinHandle;
use tracing::Span;

use crate::ToolDefinition;
use crate::status::failed;
use crate::wires::Sender;

use client::Client;
use jsonrpc::RpcError;
use server::Server;

/// Why an MCP server was of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum McpError {
    /// The address is none.
    #[error("`{0}` is no address of an MCP server; write for example `mcp://127.0.0.1:8091`")]
    Url(String),
    /// There is no server.
    #[error("the MCP server cannot be reached: {0}")]
    Unreachable(io::Error),
    /// The server refused.
    #[error("the MCP server refused: {0}")]
    Refused(String),
    /// The tool failed.
    #[error("{0}")]
    Tool(String),
    /// There is no connection at the moment.
    #[error("there is no MCP server at the moment")]
    NotConnected,
}

impl From<RpcError> for McpError {
    fn from(error: RpcError) -> Self {
        Self::Refused(error.to_string())
    }
}

/// What an MCP server asks the user.
#[derive(Debug)]
pub(crate) struct Elicitation {
    /// The question.
    pub(crate) message: String,
    /// Where the answer goes: whether the user agrees.
    pub(crate) answer: oneshot::Sender<bool>,
}

/// An MCP server of the agent's own, on a port of loopback. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct LocalServer {
    /// Where it listens.
    pub(crate) url: String,
    task: JoinHandle<()>,
}

impl LocalServer {
    /// Starts the server on a free port.
    pub(crate) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        Ok(Self {
            url: format!("mcp://{}", listener.local_addr()?),
            task: tokio::spawn(Server::default().listen(listener)),
        })
    }
}

impl Drop for LocalServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is known of the server.
#[derive(Debug, Default)]
struct Connection {
    client: Option<Client>,
    tools: Vec<ToolDefinition>,
}

/// The connection to a server, which may be exchanged. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Mcp {
    elicitations: Sender<Elicitation>,
    connection: Arc<RwLock<Connection>>,
}

impl Mcp {
    /// Not connected yet; what servers ask the user goes to `elicitations`.
    pub(crate) fn new(elicitations: Sender<Elicitation>) -> Self {
        Self {
            elicitations,
            connection: Arc::default(),
        }
    }

    /// Connects to the server at `url`, and ends the connection there was.
    ///
    /// # Errors
    /// There is no server; there is no connection then.
    pub(crate) async fn connect(&self, url: &str) -> Result<(), McpError> {
        // Calls that go on are finished first.
        let mut connection = self.connection.write().await;
        if let Some(before) = std::mem::take(&mut *connection).client {
            before.shutdown().await;
        }
        let client = Client::connect(url, self.elicitations.clone()).await?;
        connection.tools = client.list_tools().await?;
        connection.client = Some(client);
        Ok(())
    }

    /// Asks again which tools there are.
    ///
    /// # Errors
    /// The server did not say; what was known stays.
    #[tracing::instrument(
        name = "mcp.tool_refresh",
        skip_all,
        fields(mcp.tools, mcp.tools_changed, otel.status_code, otel.status_message)
    )]
    pub(crate) async fn refresh(&self) -> Result<(), McpError> {
        let mut connection = self.connection.write().await;
        let client = connection.client.as_ref().ok_or(McpError::NotConnected);
        let tools = client.inspect_err(failed)?.list_tools().await;
        let tools = tools.inspect_err(failed)?;
        let span = Span::current();
        span.record("mcp.tools", tools.len());
        span.record("mcp.tools_changed", tools != connection.tools);
        connection.tools = tools;
        Ok(())
    }

    /// The tools of the server.
    pub(crate) async fn tools(&self) -> Vec<ToolDefinition> {
        self.connection.read().await.tools.clone()
    }

    /// Hands a call over to the server that has the tool.
    ///
    /// # Errors
    /// The server refused, or the tool failed.
    #[tracing::instrument(
        name = "agent.mcp_dispatch",
        skip_all,
        fields(
            gen_ai.tool.name = name,
            mcp.server.name,
            otel.status_code,
            otel.status_message,
        )
    )]
    pub(crate) async fn dispatch(&self, name: &str, arguments: &Value) -> Result<String, McpError> {
        let connection = self.connection.read().await;
        let client = connection.client.as_ref().ok_or(McpError::NotConnected);
        let client = client.inspect_err(failed)?;
        Span::current().record("mcp.server.name", client.server.as_str());
        client.call_tool(name, arguments).await.inspect_err(failed)
    }

    /// Ends the connection.
    pub(crate) async fn shutdown(&self) {
        let before = std::mem::take(&mut *self.connection.write().await).client;
        if let Some(client) = before {
            client.shutdown().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wires;

    #[tokio::test]
    async fn a_server_is_asked_asks_back_and_is_left() {
        let server = LocalServer::start().await.unwrap();
        let (sender, mut elicitations) = wires::open(wires::ELICITATION, 1);
        let mcp = Mcp::new(sender);
        mcp.connect(&server.url).await.unwrap();
        let names: Vec<String> = mcp
            .tools()
            .await
            .into_iter()
            .map(|tool| tool.function.name)
            .collect();
        assert_eq!(names, ["glossary", "bookmark"]);
        let said = mcp
            .dispatch("glossary", &json!({"term": "cache"}))
            .await
            .unwrap();
        assert!(said.starts_with("cache: part 3 of 12"), "{said}");
        let error = mcp
            .dispatch("glossary", &json!({"term": "x"}))
            .await
            .unwrap_err();
        assert!(matches!(error, McpError::Tool(_)), "{error}");
        let error = mcp.dispatch("glossary", &json!({})).await.unwrap_err();
        assert!(matches!(error, McpError::Refused(_)), "{error}");

        for (agreed, expected) in [(true, Some("bookmarked, one of 1")), (false, None)] {
            let answer = async {
                let elicitation = elicitations.recv().await.unwrap();
                assert_eq!(elicitation.message, "Shall `a.rs` be bookmarked?");
                elicitation.answer.send(agreed).unwrap();
            };
            let arguments = json!({"path": "a.rs"});
            let (said, ()) = tokio::join!(mcp.dispatch("bookmark", &arguments), answer);
            assert_eq!(said.ok().as_deref(), expected);
        }
        mcp.refresh().await.unwrap();
        mcp.connect(&server.url).await.unwrap();
        mcp.shutdown().await;
        let error = mcp
            .dispatch("glossary", &json!({"term": "cache"}))
            .await
            .unwrap_err();
        assert!(matches!(error, McpError::NotConnected), "{error}");
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_told() {
        let (sender, _elicitations) = wires::open(wires::ELICITATION, 1);
        let mcp = Mcp::new(sender);
        assert!(matches!(
            mcp.connect("http://x").await,
            Err(McpError::Url(_))
        ));
        let error = mcp.connect("mcp://127.0.0.1:1").await.unwrap_err();
        assert!(matches!(error, McpError::Unreachable(_)), "{error}");
    }
}
