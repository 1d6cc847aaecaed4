//! What `demo` and `span_generator` have in common: their arguments, where spans go, and the ledger
//! at the end.

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use ringlight::collector::{
    AsyncSpanCollector, CollectorConfig, EndpointError, FallbackExporter, JsonLinesExporter,
    KeyValue, Notices, NullExporter, OtlpConfig, OtlpGrpcExporter, OtlpHttpExporter, Resource,
    SpanExporterBoxed,
};
use ringlight::{DropReason, LedgerSnapshot, OverflowPolicy, Signal};

/// How long the end waits for the backend.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);

/// Submits spans from many producers at once, and ends with the ledger as one line of JSON on
/// standard output.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// Tasks or threads that submit, each with a ring of its own.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) producers: u16,

    /// Spans each of them submits.
    #[arg(long, default_value_t = 50_000)]
    pub(crate) spans: u64,

    /// Where to send: an OTLP address (gRPC, and HTTP where that gives no answer; HTTP alone on port
    /// 4318), `stdout`, `file:PATH`, or `null`.
    #[arg(long, env = "OTLP_ENDPOINT", default_value = "http://localhost:4317")]
    pub(crate) endpoint: String,

    /// What a producer does when its ring is full: `block`, `drop`, or `block-for=MILLISECONDS`.
    #[arg(long, default_value = "block")]
    pub(crate) policy: Policy,
}

/// An [`OverflowPolicy`] as it is written on a command line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy(pub(crate) OverflowPolicy);

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let policy = match text.split_once('=') {
            None if text == "block" => OverflowPolicy::Block,
            None if text == "drop" => OverflowPolicy::Drop,
            Some(("block-for", limit)) => {
                let limit = limit.parse().map_err(|error| format!("{error}"))?;
                OverflowPolicy::BlockFor(Duration::from_millis(limit))
            }
            _ => return Err("allowed are `block`, `drop` and `block-for=MILLISECONDS`".to_owned()),
        };
        Ok(Self(policy))
    }
}

/// A run of an example: its collector, and when it began.
pub(crate) struct Run {
    pub(crate) name: &'static str,
    pub(crate) args: Args,
    pub(crate) collector: AsyncSpanCollector,
    began: Instant,
}

impl Run {
    /// Starts a collector as the command line says.
    pub(crate) fn start(name: &'static str) -> Result<Self, Box<dyn Error>> {
        let args = Args::parse();
        let config = CollectorConfig {
            producers_max: usize::from(args.producers),
            policy: args.policy.0,
            // So that it is seen while it happens.
            batch_delay: Duration::from_millis(200),
            resource: Resource {
                attributes: vec![KeyValue::new("service.name", name)],
                ..Resource::default()
            },
            notices: Notices::new(move |notice| eprintln!("{name}: {notice}")),
            ..CollectorConfig::default()
        };
        let collector = AsyncSpanCollector::new(config, exporter(&args.endpoint)?)?;
        Ok(Self {
            name,
            args,
            collector,
            began: Instant::now(),
        })
    }

    /// Delivers what is left and prints the ledger. `refused` spans came back to the application,
    /// which gave them up. Fails when the ledger does not balance or something is not delivered that
    /// the policy did not drop.
    pub(crate) async fn finish(self, refused: u64) -> Result<ExitCode, Box<dyn Error>> {
        let ledger = self.collector.shutdown(SHUTDOWN_TIMEOUT).await;
        let account = ledger.account(Signal::Traces);
        let seconds = self.began.elapsed().as_secs_f64();
        let rate = account.exported as f64 / seconds;
        eprintln!(
            "{} spans delivered in {seconds:.1} s, {rate:.0} a second",
            account.exported
        );
        // Whoever closes the pipe does not want it.
        let _ = writeln!(std::io::stdout(), "{}", self.json(&ledger, refused));
        let asked = u64::from(self.args.producers) * self.args.spans;
        let ring_full = account.dropped[DropReason::RingFull];
        if ledger.balances() && account.exported + ring_full + refused == asked {
            return Ok(ExitCode::SUCCESS);
        }
        eprintln!("{}: not everything was delivered", self.name);
        eprintln!(
            "hint: is a backend listening at {}? try `ringlight up`",
            self.args.endpoint
        );
        Ok(ExitCode::FAILURE)
    }

    fn json(&self, ledger: &LedgerSnapshot, refused: u64) -> serde_json::Value {
        let account = ledger.account(Signal::Traces);
        let metrics = self.collector.metrics();
        let dropped: serde_json::Map<_, _> = DropReason::ALL
            .into_iter()
            .map(|reason| (reason.as_str().to_owned(), account.dropped[reason].into()))
            .collect();
        serde_json::json!({
            "example": self.name,
            "submitted": account.submitted,
            "exported": account.exported,
            "rejected": account.rejected,
            "dropped": dropped,
            "in_flight": account.in_flight,
            "spooled": account.spooled,
            "balances": ledger.balances(),
            "refused": refused,
            "full_ring_events": metrics.full_ring_events,
            "reserve_retries": metrics.reserve_retries,
            "batches_exported": metrics.batches_exported,
            "export_errors": metrics.export_errors,
        })
    }
}

fn exporter(endpoint: &str) -> Result<Arc<dyn SpanExporterBoxed>, Box<dyn Error>> {
    Ok(match endpoint {
        "null" => Arc::new(NullExporter),
        "stdout" => Arc::new(JsonLinesExporter::stdout()),
        _ => match endpoint.strip_prefix("file:") {
            Some(path) => Arc::new(JsonLinesExporter::file(path)?),
            None => otlp(endpoint)?,
        },
    })
}

fn otlp(endpoint: &str) -> Result<Arc<dyn SpanExporterBoxed>, EndpointError> {
    let http = |endpoint: &str| OtlpHttpExporter::new(&OtlpConfig::new(endpoint));
    let trimmed = endpoint.trim_end_matches('/');
    if trimmed.ends_with(":4318") {
        return Ok(Arc::new(http(endpoint)?));
    }
    let grpc = OtlpGrpcExporter::new(&OtlpConfig::new(endpoint))?;
    let fallback = match trimmed.strip_suffix(":4317") {
        Some(host) => http(&format!("{host}:4318"))?,
        None => http(endpoint)?,
    };
    Ok(Arc::new(FallbackExporter::new(grpc, fallback)))
}
