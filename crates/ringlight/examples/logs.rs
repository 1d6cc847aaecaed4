//! Log lines as a person sees them: `cargo run -p ringlight --example logs -- text`, or `pretty` or `json`.
//!
//! `RINGLIGHT_LOG_FILE=shop.jsonl` has them in a file as well.

#![expect(clippy::panic, reason = "it shows how that is recorded")]

use std::panic::catch_unwind;

use ringlight::LogFormat;
use tracing::{debug, error, info, info_span, trace, warn};

fn main() -> Result<(), ringlight::InitError> {
    let format = std::env::args().nth(1);
    let format = format.and_then(|name| LogFormat::from_name(&name));
    let builder = ringlight::builder().default_filter("trace");
    let builder = match format {
        Some(format) => builder.log_format(format),
        None => builder,
    };
    let _telemetry = builder.init()?;
    info!(version = env!("CARGO_PKG_VERSION"), "the shop is open");
    info_span!("request", method = "GET", path = "/orders/7").in_scope(|| {
        trace!("a header was read");
        debug!(bytes = 512, "the body was read");
        info_span!("load_order", id = 7).in_scope(|| {
            warn!(
                attempt = 2,
                error = "connection reset",
                "query failed, trying again"
            );
            info!(target: "audit", user = "ann", "looked at an order");
        });
        error!("no answer:\n503 Service Unavailable");
        let _ = catch_unwind(|| panic!("the pan fell"));
    });
    Ok(())
}
