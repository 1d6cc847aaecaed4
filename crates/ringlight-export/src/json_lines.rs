//! OTLP/JSON, a line a batch: to a file or to standard output.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use ringlight_collector::{EncodedBatch, ExportError, ExportOutcome, Exporter};
use ringlight_model::Signal;
use tokio::sync::Mutex;

use crate::body::{RequestBody, json};

/// Writes batches of spans and logs as OTLP/JSON export requests, each on a line of its own: the
/// format of OpenTelemetry's [file exporter], which the collector's `otlpjsonfile` receiver reads.
///
/// Lines are written whole, in the order of the batches, on a thread for blocking work, and flushed. What cannot be
/// written is tried again, as when a backend cannot be reached, unless nobody reads any more (a closed
/// pipe); a batch may then be in the file twice, or the first time in part, which ends with the line.
///
/// [file exporter]: https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/
pub struct JsonLinesExporter {
    name: String,
    writer: Arc<Mutex<Output>>,
}

struct Output {
    write: Box<dyn Write + Send>,
    /// Whether the last line was not written whole.
    is_broken: bool,
}

impl JsonLinesExporter {
    /// To standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self::new("stdout", io::stdout())
    }

    /// To the end of a file, which is made if there is none.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn file(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self::new(path.display().to_string(), file))
    }

    /// To anything, under the name that notices and errors use.
    #[must_use]
    pub fn new(name: impl Into<String>, writer: impl Write + Send + 'static) -> Self {
        Self {
            name: name.into(),
            writer: Arc::new(Mutex::new(Output {
                write: Box::new(writer),
                is_broken: false,
            })),
        }
    }
}

impl fmt::Debug for JsonLinesExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JsonLinesExporter")
            .field(&self.name)
            .finish()
    }
}

impl Output {
    fn line(&mut self, line: &str) -> io::Result<()> {
        if self.is_broken {
            self.write.write_all(b"\n")?;
        }
        self.is_broken = true;
        self.write.write_all(line.as_bytes())?;
        self.write.flush()?;
        self.is_broken = false;
        Ok(())
    }
}

impl Exporter for JsonLinesExporter {
    async fn export(&self, batch: EncodedBatch) -> Result<ExportOutcome, ExportError> {
        // The lock is fair, so batches keep their order.
        let mut output = Arc::clone(&self.writer).lock_owned().await;
        let written = tokio::task::spawn_blocking(move || {
            let (line, left_out) = json(&batch)?;
            output.line(&(line + "\n")).map_err(failed)?;
            Ok(RequestBody::outcome(0, left_out, ExportOutcome::default()))
        });
        match written.await {
            Ok(result) => result,
            Err(error) => Err(ExportError::Permanent {
                reason: format!("the writer panicked: {error}"),
            }),
        }
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn place(&self, signal: Signal) -> Option<&str> {
        matches!(signal, Signal::Traces | Signal::Logs).then_some(&*self.name)
    }
}

fn failed(error: io::Error) -> ExportError {
    let reason = format!("cannot write: {error}");
    if error.kind() == io::ErrorKind::BrokenPipe {
        return ExportError::Permanent { reason };
    }
    ExportError::Unreachable {
        reason,
        source: Some(Box::new(error)),
    }
}
