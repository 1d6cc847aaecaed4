//! The client against OTLP servers that others wrote, each installed as anybody would: what was recorded is read
//! back from what the server stored or printed, and compared to the last value.
//!
//! `cargo xtask interop` installs the servers and names them in `RINGLIGHT_TEST_OTELITE`, `RINGLIGHT_TEST_ROTEL`,
//! `RINGLIGHT_TEST_PHOENIX` and `RINGLIGHT_TEST_PROMETHEUS`; it runs one module after the other, `cargo test --test servers otelite::`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ledger;
mod otelite;
mod phoenix;
#[cfg(feature = "prometheus")]
mod prometheus;
mod received;
mod rotel;
mod sent;
mod server;
