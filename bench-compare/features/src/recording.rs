//! What records, as it is switched on.

use std::{fs, io, path::PathBuf, time::Duration};

use anyhow::{Result, bail};
use bench_workload::{Outcome, SignalOutcome, Telemetry, process_cpu_ns, resident_max_mib};
use ringlight::{
    Builder, HashKey, LedgerSnapshot, LogFile, LogFormat, OverflowPolicy, Redaction, Replacement,
    Signal,
};
use tokio::runtime::Handle;

use crate::Features;

/// How often metrics are sent; the default is every five seconds.
const METRICS_INTERVAL: Duration = Duration::from_secs(1);

/// Far more than what is left takes.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(120);

/// The attributes that are hashed: nearly every span has the first in the streaming application, the second in the service.
const HASHED: [&str; 2] = ["stream_id", "route"];

/// Turns off the modules of the streaming application in which every span is of `#[ringlight::instrument]`.
#[cfg(feature = "profiling")]
const UNINSTRUMENTED: &str =
    "info,ringlight_app_streaming::analysis=off,ringlight_app_streaming::compare=off";

/// What records in this process.
pub(crate) struct Recording {
    with: With,
    dir: PathBuf,
}

enum With {
    Nothing,
    Ringlight(ringlight::Telemetry),
    #[cfg(feature = "chrome")]
    Chrome(tracing_chrome::FlushGuard),
}

impl Recording {
    /// Starts what is asked for; once a process.
    ///
    /// # Errors
    /// It is not in this build, or does not start.
    pub(crate) fn start(features: &Features, runtime: &Handle) -> Result<Self> {
        let with = match features.telemetry {
            Telemetry::Off => With::Nothing,
            Telemetry::Chrome => start_chrome(features)?,
            _ => With::Ringlight(start_ringlight(features, runtime)?),
        };
        Ok(Self {
            with,
            dir: features.dir.clone(),
        })
    }

    /// Delivers and writes what is left, and says what became of everything. CPU time is counted from `before_ns` on.
    ///
    /// # Errors
    /// The ledger does not balance, or the files cannot be looked at.
    pub(crate) fn finish(self, before_ns: u64) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        match self.with {
            With::Nothing => {}
            With::Ringlight(telemetry) => {
                let ledger = telemetry.shutdown(SHUTDOWN_TIMEOUT);
                if !ledger.balances() {
                    bail!("the ledger does not balance: {ledger:?}");
                }
                outcome.redacted = telemetry
                    .processing_counts()
                    .iter()
                    .map(|rule| rule.count)
                    .sum();
                outcome.spans = of_signal(&ledger, Signal::Traces);
                outcome.logs = of_signal(&ledger, Signal::Logs);
                #[cfg(feature = "profiling")]
                {
                    outcome.slices_dropped = telemetry.slices_dropped();
                }
                // Sinks write to the end before the guard is gone.
                drop(telemetry);
            }
            // Writes to the end.
            #[cfg(feature = "chrome")]
            With::Chrome(guard) => drop(guard),
        }
        outcome.cpu_ns = process_cpu_ns() - before_ns;
        outcome.resident_mib = resident_max_mib();
        outcome.written_bytes = written_bytes(&self.dir)?;
        Ok(outcome)
    }
}

fn start_ringlight(features: &Features, runtime: &Handle) -> Result<ringlight::Telemetry> {
    let telemetry = features.telemetry;
    let all = telemetry == Telemetry::All;
    let is = |one| all || telemetry == one;
    let exporter = |wanted| if wanted { "otlp" } else { "none" };
    let records = exporter(telemetry.sends_records());
    let format = if telemetry.writes_stderr() {
        LogFormat::Text
    } else {
        LogFormat::Off
    };
    let mut builder = ringlight::builder()
        .environment([
            ("RINGLIGHT_CONFIG_FILE", "none"),
            ("OTEL_TRACES_EXPORTER", records),
            ("OTEL_LOGS_EXPORTER", records),
            ("OTEL_METRICS_EXPORTER", exporter(telemetry.sends_metrics())),
        ])
        .service_name("bench-features")
        .log_format(format)
        // Nothing is lost, so that everything is paid for.
        .overflow(OverflowPolicy::Block)
        .metric_export_interval(METRICS_INTERVAL)
        .span_metrics(is(Telemetry::SpanMetrics));
    if telemetry.sends_records() || telemetry.sends_metrics() {
        builder = builder.otlp_endpoint(&features.endpoint);
    }
    if is(Telemetry::LogFile) {
        builder = builder.log_file(LogFile::new(features.dir.join("lines.json")));
    }
    if telemetry == Telemetry::LogPretty {
        let mut file = LogFile::new(features.dir.join("lines.txt"));
        file.format = LogFormat::Pretty;
        builder = builder.log_file(file);
    }
    if let Some(redaction) = redaction(telemetry)? {
        builder = builder.redact(redaction);
    }
    let telemetry = of_profiling(builder, features)?.init()?;
    watch(&telemetry, features.telemetry, runtime);
    Ok(telemetry)
}

/// What is replaced before it leaves.
fn redaction(telemetry: Telemetry) -> Result<Option<Redaction>> {
    let standard = Redaction::standard();
    Ok(match telemetry {
        Telemetry::Redaction => Some(standard),
        Telemetry::RedactionHash => {
            let key = HashKey::new("a key that all services have")?;
            let with_hash = |redaction: Redaction, attribute| {
                redaction.key(attribute, Replacement::Hash(key.clone()))
            };
            Some(HASHED.into_iter().fold(standard, with_hash))
        }
        _ => None,
    })
}

#[cfg(feature = "profiling")]
fn of_profiling(mut builder: Builder, features: &Features) -> Result<Builder> {
    use bench_workload::Part;
    use ringlight::{
        TraceFileConfig, TraceFileFormat,
        metrics::{Aggregation, Stream},
    };

    let telemetry = features.telemetry;
    let format = match telemetry {
        Telemetry::TraceJson | Telemetry::All => Some(TraceFileFormat::Json),
        Telemetry::TracePerfetto => Some(TraceFileFormat::Perfetto),
        _ => None,
    };
    if let Some(format) = format {
        let mut config = TraceFileConfig::new(&features.dir);
        config.format = format;
        builder = builder.trace_file(config);
    }
    if telemetry.serves_metrics() {
        builder = builder.prometheus(features.prometheus.to_string());
    }
    let untold = Part::ALL
        .into_iter()
        .filter(|part| !telemetry.tells_of(*part));
    let untold: Vec<&str> = untold.map(Part::scope).collect();
    if telemetry.sends_metrics() && !untold.is_empty() {
        // Nobody asks for what goes nowhere.
        builder = builder.metric_view(move |instrument| {
            let is_untold = untold.contains(&instrument.scope().name());
            let dropped = || Stream::builder().with_aggregation(Aggregation::Drop);
            is_untold.then(|| dropped().build().ok()).flatten()
        });
    }
    if telemetry == Telemetry::OtlpUninstrumented {
        builder = builder.default_filter(UNINSTRUMENTED);
    }
    let busy_times = matches!(telemetry, Telemetry::BusyTimes | Telemetry::All);
    Ok(builder.busy_times(busy_times))
}

#[cfg(not(feature = "profiling"))]
fn of_profiling(builder: Builder, features: &Features) -> Result<Builder> {
    match features.telemetry {
        Telemetry::Otlp
        | Telemetry::Redaction
        | Telemetry::RedactionHash
        | Telemetry::LogFile
        | Telemetry::LogText
        | Telemetry::LogPretty
        | Telemetry::Metrics
        | Telemetry::SpanMetrics => Ok(builder),
        other => bail!("{other:?} takes a build with the feature `profiling`"),
    }
}

/// The runtime is watched where there are metrics to tell of it.
#[cfg(feature = "profiling")]
fn watch(recording: &ringlight::Telemetry, telemetry: Telemetry, runtime: &Handle) {
    if telemetry.tells_of(bench_workload::Part::Runtime) {
        recording.watch_runtime(runtime);
    }
}

#[cfg(not(feature = "profiling"))]
fn watch(_: &ringlight::Telemetry, _: Telemetry, _: &Handle) {}

fn of_signal(ledger: &LedgerSnapshot, signal: Signal) -> SignalOutcome {
    let account = ledger.account(signal);
    SignalOutcome {
        submitted: account.submitted,
        dropped: account.dropped.total(),
    }
}

fn written_bytes(dir: &std::path::Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}

/// As the product's trace files are: with the fields of spans, and without what is below info.
#[cfg(feature = "chrome")]
fn start_chrome(features: &Features) -> Result<With> {
    use tracing_subscriber::{filter::LevelFilter, prelude::*};

    let (layer, guard) = tracing_chrome::ChromeLayerBuilder::new()
        .file(features.dir.join("chrome.json"))
        .include_args(true)
        .build();
    tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(layer)
        .try_init()?;
    Ok(With::Chrome(guard))
}

#[cfg(not(feature = "chrome"))]
fn start_chrome(_: &Features) -> Result<With> {
    bail!("a file of `tracing-chrome` takes a build with the feature `chrome`")
}
