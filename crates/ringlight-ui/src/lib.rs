//! The built web UI as bytes.
//!
//! [`file()`] answers a request path with the file that belongs there: its content type, a strong `ETag`, the bytes
//! and, where it is smaller, their gzip form. Everything is embedded at build time; nothing is read at run time.
//!
//! Guarantees: the lookup never fails for a page (a build without Node embeds one page that says how to get the UI),
//! file names with a content hash are marked [`immutable`](File::immutable), and every page works under
//! [`CONTENT_SECURITY_POLICY`], which allows neither inline scripts nor inline styles.
//!
//! This crate must not know anything else of the workspace: no HTTP types, no API, no store.
#![forbid(unsafe_code)]

mod assets;
#[cfg(test)]
mod tests;

pub use assets::{File, file, files, is_built};

/// The content security policy every response with a UI file should carry.
///
/// Scripts, styles, fonts and requests come from the same origin only; nothing may frame the UI.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; style-src 'self'; script-src 'self'; \
     connect-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'";

/// The example of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
