//! One connection of HTTP/2, which all requests to a host share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Request, Response, Uri};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::TokioExecutor;
use tokio::sync::Mutex;

use crate::connect::{BoxError, Connector};

/// A host, and the connection to it while there is one.
///
/// A pool, such as hyper-util's, would make one connection for all requests, too, but fails those that waited
/// for it without saying why it could not be made.
pub(crate) struct Http2<B> {
    origin: Uri,
    connector: Connector,
    /// Who connects holds the lock: whoever comes meanwhile waits for that connection, and makes none of its own
    /// unless it fails.
    line: Mutex<Option<Line<B>>>,
}

/// A way onto the connection.
struct Line<B> {
    requests: SendRequest<B>,
    /// Whether an attempt was abandoned on it. `Relaxed`: it guards nothing, and to see it late costs an attempt.
    is_given_up: Arc<AtomicBool>,
}

impl<B> Clone for Line<B> {
    fn clone(&self) -> Self {
        Self {
            requests: self.requests.clone(),
            is_given_up: Arc::clone(&self.is_given_up),
        }
    }
}

impl<B> Line<B> {
    fn is_usable(&self) -> bool {
        !self.requests.is_closed() && !self.is_given_up.load(Ordering::Relaxed)
    }
}

impl<B> Http2<B>
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    /// Connects to nothing yet.
    pub(crate) fn new(origin: Uri, connector: Connector) -> Self {
        Self {
            origin,
            connector,
            line: Mutex::new(None),
        }
    }

    /// Sends a request. Until [`Attempt::done`] is called, to drop what this returns, or the future of it, gives the
    /// connection up: it may be dead without knowing.
    pub(crate) async fn send(
        &self,
        mut request: Request<B>,
    ) -> Result<(Response<Incoming>, Attempt), BoxError> {
        loop {
            let (mut line, is_new) = self.line().await?;
            let attempt = Attempt(Some(line.is_given_up));
            let mut error = match line.requests.try_send_request(request).await {
                Ok(response) => return Ok((response, attempt)),
                Err(error) => error,
            };
            attempt.done();
            match error.take_message() {
                // The other side closed the connection before the request was on it.
                Some(unsent) if !is_new => request = unsent,
                _ => return Err(error.into_error().into()),
            }
        }
    }

    /// A way onto the connection, and whether that was made for it.
    async fn line(&self) -> Result<(Line<B>, bool), BoxError> {
        let mut kept = self.line.lock().await;
        if let Some(line) = kept.as_ref().filter(|line| line.is_usable()) {
            return Ok((line.clone(), false));
        }
        // What is under way on the old one may end.
        *kept = None;
        let io = self.connector.clone().connect(self.origin.clone()).await?;
        let (requests, connection) = Builder::new(TokioExecutor::new()).handshake(io).await?;
        tokio::spawn(async move {
            // Each request that is on it is told what became of it.
            let _ = connection.await;
        });
        let line = Line {
            requests,
            is_given_up: Arc::new(AtomicBool::new(false)),
        };
        *kept = Some(line.clone());
        Ok((line, true))
    }
}

/// An attempt that is under way on a connection.
pub(crate) struct Attempt(Option<Arc<AtomicBool>>);

impl Attempt {
    /// It came to an end of its own, so the connection may be kept.
    pub(crate) fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(is_given_up) = &self.0 {
            is_given_up.store(true, Ordering::Relaxed);
        }
    }
}
