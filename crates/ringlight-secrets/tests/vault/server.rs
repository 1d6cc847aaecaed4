//! A Vault that speaks the HTTP API as HashiCorp documents it: key-value engines of both versions, an engine that
//! lends, tokens that live and are renewed, AppRole and Kubernetes logins, namespaces, the seal.
//!
//! Its time is tokio's, so that a test may let it pass.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

/// A token that may do anything and lives for ever.
pub(crate) const ROOT: &str = "hvs.hunter2-root";

#[derive(Clone)]
pub(crate) struct Vault {
    pub(crate) address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) is_sealed: bool,
    /// What every request must name, if anything.
    pub(crate) namespace: Option<String>,
    /// By mount and path; `null` was deleted.
    pub(crate) secrets: BTreeMap<String, Value>,
    tokens: BTreeMap<String, Token>,
    pub(crate) secret_ids: BTreeSet<String>,
    pub(crate) jwt: String,
    leases: BTreeMap<String, Lease>,
    /// Method and path of each request, in order.
    requests: Vec<String>,
    /// Answers everything with this, if anything.
    pub(crate) instead: Option<(StatusCode, &'static str, String)>,
    counter: u32,
}

/// How long things live that are given out.
pub(crate) const TTL: Duration = Duration::from_secs(60);
/// However often they are renewed.
pub(crate) const MAX_TTL: Duration = Duration::from_secs(150);

#[derive(Clone)]
struct Token {
    /// `None` for ever.
    ends: Option<Instant>,
    /// What it can be renewed to at most.
    last_end: Instant,
    is_renewable: bool,
    /// Policy `default`, which allows a token to look at itself and renew itself.
    has_default: bool,
}

struct Lease {
    ends: Instant,
    last_end: Instant,
    is_renewable: bool,
}

type Answer = Result<Value, (StatusCode, Value)>;

fn refused(status: u16, errors: &[&str]) -> (StatusCode, Value) {
    let status = StatusCode::from_u16(status).unwrap();
    (status, json!({ "errors": errors }))
}

fn denied() -> (StatusCode, Value) {
    refused(403, &["permission denied"])
}

fn seconds(until: Instant) -> u64 {
    until
        .saturating_duration_since(Instant::now())
        .as_secs_f64()
        .round() as u64
}

/// An answer with everything that Vault puts into one.
fn answer(data: Value) -> Value {
    json!({
        "request_id": "2fc4a2d9-7bd2-9d4f-6a3c-2b7d2a0c0d6e", "lease_id": "", "renewable": false,
        "lease_duration": 0, "data": data, "wrap_info": null, "warnings": null, "auth": null,
        "mount_type": "kv"
    })
}

impl Vault {
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    pub(crate) async fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let address = format!("{scheme}://{}", listener.local_addr().unwrap());
        let mut state = State::default();
        let root = Token {
            ends: None,
            last_end: Instant::now(),
            is_renewable: false,
            has_default: true,
        };
        state.tokens.insert(ROOT.to_owned(), root);
        let vault = Self {
            address,
            state: Arc::new(Mutex::new(state)),
        };
        let serving = vault.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serving.clone().serve(stream, tls.clone()));
            }
        });
        vault
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The requests since the last call.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state().requests)
    }

    pub(crate) fn put(&self, path: &str, data: Value) {
        self.state().secrets.insert(path.to_owned(), data);
    }

    /// A token as `vault token create` makes one.
    pub(crate) fn token(&self, is_renewable: bool, has_default: bool) -> String {
        self.state().token(is_renewable, has_default)
    }

    /// Takes all tokens back but that of the root.
    pub(crate) fn revoke_tokens(&self) {
        self.state().tokens.retain(|token, _| token == ROOT);
    }

    async fn serve(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        let service = service_fn(|request| self.respond(request));
        let http = hyper::server::conn::http1::Builder::new();
        // A client that goes away in between is none of the server's business.
        match tls {
            None => drop(http.serve_connection(TokioIo::new(stream), service).await),
            Some(tls) => {
                if let Ok(stream) = tls.accept(stream).await {
                    drop(http.serve_connection(TokioIo::new(stream), service).await);
                }
            }
        }
    }

    async fn respond(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let path = head.uri.path().trim_start_matches("/v1/").to_owned();
        let mut state = self.state();
        state.requests.push(format!("{} {path}", head.method));
        if let Some((status, location, text)) = &state.instead {
            let response = Response::builder()
                .status(*status)
                .header("location", *location);
            return Ok(response.body(Full::new(text.clone().into())).unwrap());
        }
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let (status, body) = match state.answer(&head.method, &path, &head.headers, &body) {
            Ok(body) => (StatusCode::OK, body),
            Err(refused) => refused,
        };
        let response = Response::builder()
            .status(status)
            .header("content-type", "application/json");
        Ok(response.body(Full::new(body.to_string().into())).unwrap())
    }
}

impl State {
    fn token(&mut self, is_renewable: bool, has_default: bool) -> String {
        self.counter += 1;
        let name = format!("hvs.hunter2-{}", self.counter);
        let token = Token {
            ends: Some(Instant::now() + TTL),
            last_end: Instant::now() + MAX_TTL,
            is_renewable,
            has_default,
        };
        self.tokens.insert(name.clone(), token);
        name
    }

    fn answer(&mut self, method: &Method, path: &str, headers: &HeaderMap, body: &Value) -> Answer {
        if self.is_sealed {
            return Err(refused(503, &["Vault is sealed"]));
        }
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if header("x-vault-request") != Some("true") {
            return Err(refused(412, &["missing required header"]));
        }
        if self.namespace.as_deref() != header("x-vault-namespace") {
            return Err(denied());
        }
        match (method.as_str(), path) {
            ("POST", "auth/approle/login") => return self.app_role(body),
            ("POST", "auth/kubernetes/login") => return self.kubernetes(body),
            (_, path) if path.starts_with("auth/") && path.ends_with("/login") => {
                let error = format!("no handler for route \"{path}\". route entry not found.");
                return Err(refused(404, &[&error]));
            }
            _ => {}
        }
        let name = header("x-vault-token").unwrap_or_default().to_owned();
        let now = Instant::now();
        let token = self.tokens.get(&name).cloned();
        let alive = token.filter(|token| token.ends.is_none_or(|ends| ends > now));
        let token = alive.ok_or_else(|| {
            refused(
                403,
                &["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"],
            )
        })?;
        match (method.as_str(), path) {
            ("GET", "auth/token/lookup-self") if token.has_default => Ok(answer(json!({
                "id": name, "ttl": token.ends.map_or(0, seconds), "renewable": token.is_renewable,
                "policies": ["default"], "type": "service"
            }))),
            ("POST", "auth/token/renew-self") if token.has_default => self.renew_self(&name, token),
            ("PUT" | "POST", "sys/leases/renew") => self.renew_lease(body),
            ("GET", path) if !path.starts_with("auth/") => {
                match path.strip_prefix("sys/internal/ui/mounts/") {
                    Some(path) => mount(path),
                    None => self.read(path),
                }
            }
            _ => Err(denied()),
        }
    }

    fn login(&mut self) -> Answer {
        let token = self.token(true, true);
        let mut answer = answer(Value::Null);
        answer["auth"] = json!({
            "client_token": token, "accessor": "hmac", "policies": ["default"],
            "metadata": {}, "lease_duration": TTL.as_secs(), "renewable": true
        });
        Ok(answer)
    }

    fn app_role(&mut self, body: &Value) -> Answer {
        let secret_id = body["secret_id"].as_str().unwrap_or_default();
        if body["role_id"] != "shop" || !self.secret_ids.contains(secret_id) {
            return Err(refused(400, &["invalid role or secret ID"]));
        }
        self.login()
    }

    fn kubernetes(&mut self, body: &Value) -> Answer {
        if body["role"] != "shop" || body["jwt"] != self.jwt.as_str() {
            return Err(denied());
        }
        self.login()
    }

    fn renew_self(&mut self, name: &str, mut token: Token) -> Answer {
        if !token.is_renewable {
            return Err(refused(400, &["lease is not renewable"]));
        }
        let ends = (Instant::now() + TTL).min(token.last_end);
        token.ends = Some(ends);
        self.tokens.insert(name.to_owned(), token);
        let mut answer = answer(Value::Null);
        answer["auth"] = json!({
            "client_token": name, "policies": ["default"],
            "lease_duration": seconds(ends), "renewable": true
        });
        Ok(answer)
    }

    fn renew_lease(&mut self, body: &Value) -> Answer {
        let id = body["lease_id"].as_str().unwrap_or_default();
        let now = Instant::now();
        let lease = self.leases.get_mut(id).filter(|lease| lease.ends > now);
        let lease = lease.ok_or_else(|| refused(400, &["lease not found"]))?;
        if !lease.is_renewable {
            return Err(refused(400, &["lease is not renewable"]));
        }
        lease.ends = (now + TTL).min(lease.last_end);
        let mut answer = answer(Value::Null);
        answer["lease_id"] = json!(id);
        answer["renewable"] = json!(true);
        answer["lease_duration"] = json!(seconds(lease.ends));
        Ok(answer)
    }

    fn read(&mut self, path: &str) -> Answer {
        if let Some(kind) = path.strip_prefix("lent/creds/") {
            return Ok(self.lend(kind == "renewable"));
        }
        let (mount, rest) = path.split_once('/').unwrap_or((path, ""));
        if mount != "secret" {
            // Version 1, with the duration that it has as advice.
            let found = self.secrets.get(path).filter(|_| mount == "kv1");
            let mut answer = answer(found.ok_or_else(|| refused(404, &[]))?.clone());
            answer["lease_duration"] = json!(2_764_800);
            return Ok(answer);
        }
        // A policy for a secret of version 2 is about its data.
        let rest = rest.strip_prefix("data/").ok_or_else(denied)?;
        let data = self.secrets.get(&format!("secret/{rest}"));
        let data = data.ok_or_else(|| refused(404, &[]))?;
        let deleted = if data.is_null() {
            "2026-03-22T02:24:06.945319214Z"
        } else {
            ""
        };
        let answer = answer(json!({ "data": data, "metadata": {
            "created_time": "2026-03-22T02:24:06.945319214Z", "custom_metadata": null,
            "deletion_time": deleted, "destroyed": false, "version": 1
        }}));
        if data.is_null() {
            return Err((StatusCode::NOT_FOUND, answer));
        }
        Ok(answer)
    }

    fn lend(&mut self, is_renewable: bool) -> Value {
        self.counter += 1;
        let id = format!("lent/creds/{}", self.counter);
        let now = Instant::now();
        let lease = Lease {
            ends: now + TTL,
            last_end: now + MAX_TTL,
            is_renewable,
        };
        self.leases.insert(id.clone(), lease);
        let mut answer = answer(json!({ "authorization": format!("hunter2-{}", self.counter) }));
        answer["lease_id"] = json!(id);
        answer["renewable"] = json!(is_renewable);
        answer["lease_duration"] = json!(TTL.as_secs());
        answer
    }
}

/// What Vault's own command line asks before it reads.
fn mount(path: &str) -> Answer {
    let (mount, options) = match path.split('/').next() {
        Some("secret") => ("secret/", json!({ "version": "2" })),
        Some("kv1") => ("kv1/", json!({ "version": "1" })),
        Some("lent") => ("lent/", Value::Null),
        _ => {
            let error = format!(
                "preflight capability check returned 403, please ensure client's policies grant access to path \"{path}/\""
            );
            return Err(refused(403, &[&error]));
        }
    };
    Ok(answer(json!({
        "accessor": "kv_2e1a", "config": { "default_lease_ttl": 0 }, "description": "",
        "local": false, "options": options, "path": mount, "seal_wrap": false, "type": "kv"
    })))
}
