//! Writes a trace file: what tasks do on the threads of a runtime, and what they leave to another thread.
//!
//! ```text
//! cargo run -p ringlight --features profiling --example trace_file -- traces perfetto
//! ```

use std::error::Error;
use std::time::Duration;

use ringlight::TraceFileConfig;
use tracing::{Instrument as _, info, info_span};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let mut config = TraceFileConfig::new(args.next().unwrap_or_else(|| "traces".to_owned()));
    if let Some(format) = args.next() {
        config.format = format.parse()?;
    }
    let _telemetry = ringlight::builder()
        .service_name("kitchen")
        .trace_file(config)
        .init()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("cook")
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let dishes =
            (0..8).map(|dish| tokio::spawn(cook(dish).instrument(info_span!("dish", dish))));
        for dish in dishes.collect::<Vec<_>>() {
            dish.await?;
        }
        Ok(())
    })
}

async fn cook(dish: u64) {
    for step in 0..3 {
        info_span!("chop", step, sharp = true, share = 0.5).in_scope(|| busy(200));
        info!(step, "chopped");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let bake = info_span!("bake", degrees = 220_u64);
    let baked = tokio::task::spawn_blocking(move || bake.in_scope(|| busy(1000)));
    if baked.await.is_err() {
        tracing::error!(dish, "burnt");
    }
}

/// Some work of that many rounds.
fn busy(rounds: u64) -> u64 {
    (0..rounds * 1000).fold(0, |sum, n| std::hint::black_box(sum ^ n))
}
