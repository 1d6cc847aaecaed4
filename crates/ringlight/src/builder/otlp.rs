//! What is sent where: settings of OTLP and of metrics.

use std::path::PathBuf;
#[cfg(feature = "otel")]
use std::time::Duration;

use super::Builder;
use crate::config::{CERTIFICATE_CODE, CLIENT_CERTIFICATE_CODE, Compression, Protocol};
#[cfg(feature = "otel")]
use crate::config::{WAIT_LEAST, WAIT_MOST};

/// Where OTLP goes, and how; metrics.
impl Builder {
    /// Where to send traces, logs and metrics: `http://host:port`, or `https://host:port` with TLS. gRPC unless the port is 4318 or
    /// [`otlp_protocol`](Self::otlp_protocol) says otherwise.
    pub fn otlp_endpoint(mut self, url: impl Into<String>) -> Self {
        self.inputs.endpoint = Some(url.into());
        self
    }

    /// How to speak OTLP, whatever the port.
    pub fn otlp_protocol(mut self, protocol: Protocol) -> Self {
        self.inputs.protocol = Some(protocol);
        self
    }

    /// A header of every export request. With any, those of the variables are not used.
    pub fn otlp_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.inputs.headers.push((name.into(), value.into()));
        self
    }

    /// Headers of every export request that hold a secret: a [source](crate::secrets) of one, or more about it. The
    /// secret is a JSON object of headers, or a list as in `OTEL_EXPORTER_OTLP_HEADERS`. Default: as
    /// `RINGLIGHT_OTLP_HEADERS_FILE` and its kin say; see [the guide](crate::secrets).
    ///
    /// A new secret is used without a restart. Other headers are sent as well, but for those of the same
    /// names. While the secret is missing, nothing is sent, unless it is optional; it is asked for again, and batches wait as they do for
    /// a backend that is away.
    ///
    /// ```
    /// use ringlight::secrets::{FileSecret, SecretHeaders};
    ///
    /// # fn main() -> Result<(), ringlight::InitError> {
    /// let builder = ringlight::builder().otlp_headers_from(FileSecret::new("/run/secrets/otlp"));
    /// let optional = SecretHeaders::from_source(FileSecret::new("/run/secrets/otlp")).optional();
    /// let builder = ringlight::builder().otlp_headers_from(optional);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "otel")]
    pub fn otlp_headers_from(
        mut self,
        headers: impl Into<ringlight_secrets::SecretHeadersBuilder>,
    ) -> Self {
        self.inputs.secret_headers = Some(headers.into());
        self
    }

    /// How export requests are compressed. Default: `OTEL_EXPORTER_OTLP_COMPRESSION`, or not at all.
    pub fn otlp_compression(mut self, compression: Compression) -> Self {
        self.inputs.compression = Some(compression);
        self
    }

    /// A PEM file with the certificates of the authorities that may vouch for an `https://` endpoint, in place
    /// of those that the platform trusts. Default: `OTEL_EXPORTER_OTLP_CERTIFICATE`, or the platform's.
    ///
    /// It is read again when a connection is made, if it has changed.
    pub fn otlp_certificate(mut self, file: impl Into<PathBuf>) -> Self {
        self.inputs.tls_files.certificate = Some((file.into(), CERTIFICATE_CODE));
        self
    }

    /// PEM files with the certificate and the private key by which this process shows an `https://`
    /// endpoint who it is. Default: `OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE` and
    /// `OTEL_EXPORTER_OTLP_CLIENT_KEY`, or none.
    ///
    /// They are read again when a connection is made, if they have changed.
    pub fn otlp_client_certificate(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        let files = (certificate.into(), key.into(), CLIENT_CERTIFICATE_CODE);
        self.inputs.tls_files.client = Some(files);
        self
    }

    /// How often metrics are read and sent. What is less than a millisecond or more than an hour is taken for that. Default: `OTEL_METRIC_EXPORT_INTERVAL`, else 5 s.
    #[cfg(feature = "otel")]
    pub fn metric_export_interval(mut self, interval: Duration) -> Self {
        self.inputs.metrics.interval = Some(interval.clamp(WAIT_LEAST, WAIT_MOST));
        self
    }

    /// Serves metrics for Prometheus at `http://<address>/metrics`, whether or not they are sent anywhere. The address is `host:port`;
    /// one that cannot be had is told of, tried again in the background, and no error. Default: where `OTEL_METRICS_EXPORTER` names
    /// `prometheus`, what `OTEL_EXPORTER_PROMETHEUS_HOST` and `_PORT` say, else `localhost:9464`.
    ///
    /// It is answered by threads of telemetry's own. Whoever reaches the address can read it: there is neither a password nor TLS.
    ///
    /// ```
    /// let builder = ringlight::builder().prometheus("0.0.0.0:9464");
    /// ```
    #[cfg(feature = "prometheus")]
    pub fn prometheus(mut self, address: impl Into<String>) -> Self {
        self.inputs.metrics.prometheus = Some(crate::metrics::Scraped::At {
            address: address.into(),
            setting: "`Builder::prometheus`".to_owned(),
        });
        self
    }

    /// Has metrics ready for [`Telemetry::prometheus_text`](crate::Telemetry::prometheus_text), with which a server of the
    /// application's own answers, and listens nowhere.
    #[cfg(feature = "prometheus")]
    pub fn prometheus_text(mut self) -> Self {
        self.inputs.metrics.prometheus = Some(crate::metrics::Scraped::ByApplication);
        self
    }

    /// Whether there are metrics of spans: how many of each name, kind and status there were, and how long they took, in
    /// nanoseconds, as `traces.span.metrics.calls` and `traces.span.metrics.duration`. Default: as
    /// `RINGLIGHT_SPAN_METRICS` says, else no. The guide is `docs/metrics.md`.
    ///
    /// No clock is read for it: a span's time is the one that is sent with it. It is added up on the collector's thread,
    /// before [tail sampling](Self::tail_sampling). Spans are recorded for it where nothing else wants them. Where metrics go
    /// nowhere, there are none.
    ///
    /// ```
    /// # fn main() -> Result<(), ringlight::InitError> {
    /// let _telemetry = ringlight::builder().span_metrics(true).init()?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "otel")]
    pub fn span_metrics(mut self, span_metrics: bool) -> Self {
        self.inputs.metrics.span_metrics = Some(span_metrics);
        self
    }

    /// Changes what becomes of instruments: their names, attributes, buckets, how many sets of attributes there may be.
    /// Each view that has something for an instrument makes a metric of it, in place of the one it would be without any; a
    /// histogram has then the buckets that the view says, explicit ones if it says none.
    ///
    /// ```
    /// use ringlight::metrics::{Instrument, Stream};
    ///
    /// let few = |instrument: &Instrument| {
    ///     let stream = Stream::builder().with_cardinality_limit(100);
    ///     (instrument.name() == "shop.orders").then(|| stream.build().ok()).flatten()
    /// };
    /// let builder = ringlight::builder().metric_view(few);
    /// ```
    #[cfg(feature = "otel")]
    pub fn metric_view(
        mut self,
        view: impl Fn(&crate::metrics::Instrument) -> Option<crate::metrics::Stream>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.inputs.metrics.views.push(Box::new(view));
        self
    }
}
