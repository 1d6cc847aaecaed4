//! Against RustyVault, a server with Vault's protocol that somebody else wrote: started, unsealed and filled as an
//! operator would, over its HTTP API.
//!
//! `cargo xtask test` builds the server and names it in `RINGLIGHT_TEST_RVAULT`. Its version 0.2 has an engine of
//! version 1, tokens, AppRole and the seal; not version 2, policies, or the renewal of tokens, which
//! the tests in `vault` have.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may stop at the first thing that is wrong"
)]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use ringlight_secrets::{
    ExposeSecret as _, SecretError, SecretErrorKind, SecretHeaders, SecretSource as _,
    SecretString, VaultAuth, VaultSecret,
};
use serde_json::{Value, json};

/// Longest wait for the server, which is on the same machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Server {
    child: Child,
    address: String,
    unseal_key: String,
    root: String,
    _folder: tempfile::TempDir,
}

impl Server {
    /// Started and initialized, and sealed as it then is.
    async fn start() -> Self {
        let program = std::env::var_os("RINGLIGHT_TEST_RVAULT").expect(
            "`RINGLIGHT_TEST_RVAULT` names the program `rvault`; hint: run `cargo xtask test`",
        );
        let folder = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = free.local_addr().unwrap();
        drop(free);
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::create_dir(path("data")).unwrap();
        let config = format!(
            "storage \"file\" {{\n  path = \"{}\"\n}}\n\
             listener \"tcp\" {{\n  address = \"{place}\"\n  tls_disable = \"true\"\n}}\n\
             api_addr = \"http://{place}\"\nlog_level = \"warn\"\ndaemon = false\npid_file = \"{}\"\n",
            path("data"),
            path("pid")
        );
        std::fs::write(path("config.hcl"), config).unwrap();
        let child = Command::new(program)
            .args(["server", "--config", &path("config.hcl")])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self {
            child,
            address: format!("http://{place}"),
            unseal_key: String::new(),
            root: String::new(),
            _folder: folder,
        };
        let keys = json!({ "secret_shares": 1, "secret_threshold": 1 });
        let keys = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(keys) = server.ask(Method::PUT, "sys/init", &keys).await {
                    return keys;
                }
                tokio::task::yield_now().await;
            }
        });
        let keys = keys.await.expect("the server answers");
        server.unseal_key = keys["keys"][0].as_str().unwrap().to_owned();
        server.root = keys["root_token"].as_str().unwrap().to_owned();
        server
    }

    /// `None` while there is nobody.
    async fn ask(&self, method: Method, path: &str, body: &Value) -> Option<Value> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/v1/{path}", self.address))
            .header("x-vault-token", &self.root)
            .body(Full::new(Bytes::from(body.to_string())))
            .unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let response = client.request(request).await.ok()?;
        let (status, body) = (response.status(), response.into_body());
        let body = body.collect().await.ok()?.to_bytes();
        assert!(status.is_success(), "{path}: {status}: {body:?}");
        Some(serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn told(&self, method: Method, path: &str, body: Value) -> Value {
        self.ask(method, path, &body).await.unwrap()
    }

    async fn unseal(&self) {
        let key = json!({ "key": self.unseal_key });
        let seal = self.told(Method::PUT, "sys/unseal", key).await;
        assert_eq!(seal["sealed"], false);
    }

    fn secret(&self, reference: &str, auth: VaultAuth) -> VaultSecret {
        VaultSecret::new(&self.address, reference.parse().unwrap(), auth).unwrap()
    }

    fn root(&self) -> VaultAuth {
        VaultAuth::token(SecretString::from(self.root.as_str()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn fetched(secret: &VaultSecret) -> Result<String, SecretError> {
    let secret = secret.fetch().await?;
    Ok(secret.value.expose_secret().to_owned())
}

#[tokio::test]
async fn headers_come_from_a_server_that_is_unsealed_and_are_rotated() {
    let server = Server::start().await;
    let secret = server.secret("secret/otlp", server.root());
    let error = secret.fetch().await.unwrap_err();
    assert_eq!(error.kind(), SecretErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("unseal it"), "{error}");

    server.unseal().await;
    let missing = secret.fetch().await.unwrap_err();
    assert_eq!(missing.kind(), SecretErrorKind::Missing, "{missing}");
    let wrong = VaultAuth::token(SecretString::from("hvs.hunter2"));
    let refused = server.secret("secret/otlp", wrong).fetch().await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), SecretErrorKind::Refused, "{refused}");
    assert!(!format!("{refused} {refused:?}").contains("hunter2"));

    let put = async |value: &str| {
        let body = json!({ "authorization": value, "x-tenant": "shop" });
        server.told(Method::POST, "secret/otlp", body).await;
    };
    put("Bearer 1").await;
    let headers = SecretHeaders::from_source(secret).build();
    let first = headers.get().await.unwrap();
    assert_eq!(
        (&first["authorization"], &first["x-tenant"]),
        (&"Bearer 1".parse().unwrap(), &"shop".parse().unwrap())
    );
    put("Bearer 2").await;
    assert!(headers.were_refused(&first).await);
    assert_eq!(headers.current().unwrap()["authorization"], "Bearer 2");
}

#[tokio::test]
async fn an_app_role_logs_in_and_again_when_its_token_has_ended() {
    let server = Server::start().await;
    server.unseal().await;
    server
        .told(Method::POST, "secret/otlp", json!({ "headers": "a=1" }))
        .await;
    server
        .told(
            Method::POST,
            "sys/auth/approle",
            json!({ "type": "approle" }),
        )
        .await;
    let role = json!({ "token_ttl": "30s", "token_policies": "otlp" });
    server
        .told(Method::POST, "auth/approle/role/otlp", role)
        .await;
    let id = server
        .told(Method::GET, "auth/approle/role/otlp/role-id", Value::Null)
        .await;
    let secret_id = server
        .told(Method::POST, "auth/approle/role/otlp/secret-id", json!({}))
        .await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let role_id = text(&id["data"]["role_id"]);
    let auth = |secret_id: String| VaultAuth::app_role(&role_id, SecretString::from(secret_id));

    let one = server.secret(
        "secret/otlp#headers",
        auth(text(&secret_id["data"]["secret_id"])),
    );
    let found = one.fetch().await.unwrap();
    assert_eq!(found.value.expose_secret(), "a=1");
    assert!(found.valid_for.unwrap() <= Duration::from_secs(30));
    // For the client an hour passes, so that it does not rely on its token.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(3600)).await;
    tokio::time::resume();
    assert_eq!(fetched(&one).await.unwrap(), "a=1");

    let wrong = server.secret("secret/otlp#headers", auth("hunter2".to_owned()));
    let error = wrong.fetch().await.unwrap_err();
    assert_eq!(error.kind(), SecretErrorKind::Refused, "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}
