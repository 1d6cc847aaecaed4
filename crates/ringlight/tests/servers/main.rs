//! The client against OTLP servers that others wrote, each installed as anybody would: what was recorded is read
//! back from what the server stored or printed, and compared to the last value.
//!
//! `cargo xtask interop` installs the servers and names them in `RINGLIGHT_TEST_OTELITE`, `RINGLIGHT_TEST_ROTEL` and
//! `RINGLIGHT_TEST_PHOENIX`; it runs one module after the other, `cargo test --test servers otelite::`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ledger;
mod otelite;
mod phoenix;
mod received;
mod rotel;
mod sent;
mod server;
