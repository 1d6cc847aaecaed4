//! The API under `/api/v1`, and the UI beside it.

mod answer;
mod catalogue;
pub(crate) mod clients;
mod error;
mod guard;
mod logs;
mod metrics;
mod openapi;
mod operations;
mod params;
pub(crate) mod status;
mod trace;
mod traces;
mod ui;
mod value;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::routing::{MethodRouter, get};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use ringlight_store::{Store, now_unix_nano};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt as _;

use crate::config::ServerConfig;
use crate::forward::Forward;
use crate::server::Addresses;
use crate::state::ServerState;
use error::ApiError;

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) store: Arc<Store>,
    pub(crate) state: Arc<ServerState>,
    pub(crate) addresses: Addresses,
    forward: Option<Arc<dyn Forward>>,
    started: Instant,
    started_unix_nano: u64,
    searches: Arc<Semaphore>,
    lookups: Arc<Semaphore>,
    /// One permit a KiB of answers that are not sent yet.
    answers: Arc<Semaphore>,
    query_wait: Duration,
}

/// How much a request asks of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effort {
    /// May read many blocks.
    Search,
    /// Is answered from what is at hand. Searches under way do not hold it up.
    Lookup,
}

/// Lookups at once.
const LOOKUPS_MAX: usize = 8;

/// KiB that answers may take while they wait for their clients to read them. A single one that is
/// larger takes all of it.
const ANSWERS_KIB_MAX: u32 = 256 * 1024;

/// Too many requests are under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Busy;

impl Context {
    pub(crate) fn new(
        store: Arc<Store>,
        state: Arc<ServerState>,
        addresses: Addresses,
        forward: Option<Arc<dyn Forward>>,
        config: &ServerConfig,
    ) -> Self {
        Self {
            store,
            state,
            addresses,
            forward,
            started: Instant::now(),
            started_unix_nano: now_unix_nano(),
            searches: Arc::new(Semaphore::new(config.queries_max)),
            lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)),
            answers: Arc::new(Semaphore::new(ANSWERS_KIB_MAX as usize)),
            query_wait: config.query_wait,
        }
    }

    /// Asks the store on a thread that may block, at most so many at a time.
    async fn query<T: Send + 'static>(
        &self,
        effort: Effort,
        ask: impl FnOnce(&Store) -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let turns = match effort {
            Effort::Search => &self.searches,
            Effort::Lookup => &self.lookups,
        };
        let permit = self.turn(turns, 1).await?;
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            ask(&store)
        })
        .await
        .map_err(|_| Busy)
    }

    /// The body of an answer, which counts against what all of them may take until it is sent.
    async fn body(&self, body: Vec<u8>) -> Result<Bytes, Busy> {
        struct Held {
            body: Vec<u8>,
            _permit: OwnedSemaphorePermit,
        }
        impl AsRef<[u8]> for Held {
            fn as_ref(&self) -> &[u8] {
                &self.body
            }
        }
        let kib = u32::try_from(body.len() / 1024).unwrap_or(u32::MAX);
        let permit = self.turn(&self.answers, kib.min(ANSWERS_KIB_MAX)).await?;
        Ok(Bytes::from_owner(Held {
            body,
            _permit: permit,
        }))
    }

    async fn turn(&self, turns: &Arc<Semaphore>, count: u32) -> Result<OwnedSemaphorePermit, Busy> {
        let turn = Arc::clone(turns).acquire_many_owned(count);
        tokio::time::timeout(self.query_wait, turn)
            .await
            .map_err(|_| Busy)?
            .map_err(|_| Busy)
    }
}

/// Every path of the API and what answers it. The document is checked against this table.
fn routes() -> [(&'static str, MethodRouter<Arc<Context>>); 12] {
    [
        ("/api/v1/status", get(status::status)),
        ("/api/v1/services", get(catalogue::services)),
        ("/api/v1/runs", get(catalogue::runs)),
        ("/api/v1/traces", get(traces::search)),
        ("/api/v1/traces/{trace_id}", get(trace::trace)),
        ("/api/v1/operations", get(operations::search)),
        ("/api/v1/logs", get(logs::search)),
        ("/api/v1/metrics", get(metrics::list)),
        ("/api/v1/metrics/{name}", get(metrics::data)),
        ("/api/v1/attributes", get(catalogue::attributes)),
        ("/api/v1/attributes/{key}/values", get(catalogue::values)),
        ("/api/v1/openapi.json", get(openapi::document)),
    ]
}

/// Everything the UI's port serves.
pub(crate) fn router(context: Arc<Context>) -> Router {
    routes()
        .into_iter()
        .fold(Router::new(), |router, (path, method)| {
            router.route(path, method)
        })
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .route("/api", get(unknown))
        .route("/api/", get(unknown))
        .route("/api/{*rest}", get(unknown))
        .fallback(ui::file)
        .layer(axum::middleware::from_fn_with_state(
            Arc::clone(&context),
            guard::guard,
        ))
        .with_state(context)
}

/// Answers one request that came over a connection from `peer`.
pub(crate) async fn answer(
    router: Router,
    mut request: Request<hyper::body::Incoming>,
    peer: SocketAddr,
) -> Response<Full<Bytes>> {
    request.extensions_mut().insert(Peer(peer));
    let (parts, body) = match router.oneshot(request).await {
        Ok(response) => response.into_parts(),
        Err(never) => match never {},
    };
    // Every body is whole already, so this waits for nothing and cannot fail.
    let body = body.collect().await.map(|body| body.to_bytes());
    Response::from_parts(parts, Full::new(body.unwrap_or_default()))
}

/// Who sent a request.
#[derive(Debug, Clone, Copy)]
struct Peer(SocketAddr);

async fn unknown(uri: Uri) -> ApiError {
    ApiError::not_found(format!("the API has no `{}`", params::shown(uri.path())))
        .hint("see /api/v1/openapi.json for what there is")
}
