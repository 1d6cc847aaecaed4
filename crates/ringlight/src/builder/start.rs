//! From a running pipeline to telemetry, and how many rings it has.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use ringlight_collector::Pipeline;

use crate::config::{Changeable, ConfigFile, OfCode, Reloader};
use crate::controls::{self, Controls};
#[cfg(feature = "otel")]
use crate::metrics::Metrics;
use crate::telemetry::{Shared, Telemetry};

/// Rings there are at most, unless told otherwise, for each processor, and however few or many there are.
const RINGS_A_PROCESSOR: usize = 4;
const RINGS_MIN: usize = 64;
const RINGS_MAX: usize = 1024;

/// Telemetry that has been started, with how long its end waits and whether panics are recorded with a backtrace, the file it was started from, what the code says of settings, and what they
/// came to.
pub(super) fn running(
    pipeline: Pipeline,
    (shutdown_timeout, panic_backtrace): (Duration, bool),
    controls: Arc<controls::Shared>,
    file: Option<(Arc<ConfigFile>, OfCode, Changeable)>,
    #[cfg(feature = "otel")] metrics: Option<Metrics>,
    #[cfg(feature = "profiling")] runtimes: crate::runtime::Runtimes,
) -> Telemetry {
    let shared = Arc::new_cyclic(|shared: &Weak<Shared>| {
        let reloader = file.map(|(file, of_code, holds)| {
            let shared = Weak::clone(shared);
            let redact = move |redaction| {
                (shared.upgrade())
                    .is_some_and(|shared| shared.pipeline.set_base_redaction(redaction).is_ok())
            };
            let controls = Arc::clone(&controls);
            Arc::new(Reloader::new(file, of_code, holds, controls, redact))
        });
        Shared {
            pipeline,
            shutdown_timeout,
            panic_backtrace,
            controls: Controls {
                shared: controls,
                reloader,
            },
            watch: Mutex::default(),
            #[cfg(feature = "otel")]
            metrics,
            #[cfg(feature = "profiling")]
            runtimes,
        }
    });
    Telemetry { shared }
}

/// How many threads have a ring of their own, unless told otherwise: those of a runtime and as many again
/// that block, on any machine. It costs nothing until they record.
pub(super) fn rings_max() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (RINGS_A_PROCESSOR * processors).clamp(RINGS_MIN, RINGS_MAX)
}
