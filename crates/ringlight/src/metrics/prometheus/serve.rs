//! The endpoint that Prometheus scrapes.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use ringlight_collector::{Notice, Notices, mark_thread};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};

use super::PrometheusFormat;
use crate::metrics::Reader;

/// Connections at a time; further ones wait until one ends.
const CONNECTIONS_MAX: usize = 16;
/// How long a connection lives at most, whatever it does: a scraper that keeps one connects again.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(300);
/// For the lines and headers of a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_BYTES_MAX: usize = 16 << 10;
/// How long metrics may take to be read, callbacks included: as long as Prometheus waits by itself.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Until an address that could not be had is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// What serves; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    _stop: oneshot::Sender<()>,
}

impl Server {
    /// Serves at an address, which `setting` names, from now on, on a thread of its own. An address that cannot be had is
    /// told of once, and tried again.
    pub(crate) fn start(
        address: String,
        setting: String,
        reader: Arc<Reader>,
        notices: Notices,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // For the names of hosts.
            .max_blocking_threads(1)
            .build()?;
        let (stop, stopped) = oneshot::channel();
        std::thread::Builder::new()
            .name("ringlight-prometheus".to_owned())
            .spawn(move || {
                mark_thread();
                runtime.block_on(async {
                    tokio::select! {
                        _ = stopped => {}
                        () = serve(&address, &setting, &reader, &notices) => {}
                    }
                });
                runtime.shutdown_background();
            })?;
        Ok(Self { _stop: stop })
    }
}

async fn serve(address: &str, setting: &str, reader: &Arc<Reader>, notices: &Notices) {
    let listener = listen(address, setting, notices).await;
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let reader = Arc::clone(reader);
                tokio::spawn(async move {
                    let _ =
                        tokio::time::timeout(CONNECTION_TIMEOUT, connection(stream, reader)).await;
                    drop(place);
                });
            }
            // There are too many files open, for one: it may be over soon.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Listens, as soon as that is possible.
async fn listen(address: &str, setting: &str, notices: &Notices) -> TcpListener {
    let tell = |message: String| {
        notices.send(&Notice::Transport {
            destination: format!("Prometheus endpoint {address}"),
            message,
        });
    };
    let mut has_failed = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                if has_failed {
                    tell("listening now".to_owned());
                }
                return listener;
            }
            Err(error) if !has_failed => {
                has_failed = true;
                let other = match error.kind() {
                    io::ErrorKind::AddrInUse => {
                        "another program, or another run of this one, has the port: name another port"
                    }
                    _ => "name another address",
                };
                tell(format!(
                    "cannot listen there: {error}; trying again in the background; hint: {other} with {setting}"
                ));
            }
            Err(_) => {}
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn connection(stream: TcpStream, reader: Arc<Reader>) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let reader = Arc::clone(&reader);
        async move { Ok::<_, Infallible>(answer(&request, &reader).await) }
    });
    // What goes wrong on a connection is the scraper's to tell.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIMEOUT)
        .max_buf_size(REQUEST_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

async fn answer(request: &Request<Incoming>, reader: &Reader) -> Response<Full<Bytes>> {
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "metrics are at /metrics\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = plain(
            StatusCode::METHOD_NOT_ALLOWED,
            "metrics are read with GET\n",
        );
        let allowed = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(header::ALLOW, allowed);
        return response;
    }
    let accepted = request.headers().get_all(header::ACCEPT).iter();
    let accepted: Vec<_> = accepted.filter_map(|value| value.to_str().ok()).collect();
    let format = PrometheusFormat::of_accept(&accepted.join(","));
    let (give, given) = oneshot::channel();
    let is_asked = reader.text(format, Box::new(|text| drop(give.send(text))));
    let text = match tokio::time::timeout(READ_TIMEOUT, given).await {
        Ok(Ok(text)) if is_asked => text,
        _ => {
            let text =
                "metrics cannot be read now: a callback takes long, or telemetry has ended\n";
            return plain(StatusCode::SERVICE_UNAVAILABLE, text);
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    let content_type = HeaderValue::from_static(format.content_type());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}
