//! Scripted OTLP backend and helpers for the tests of the workspace.
#![forbid(unsafe_code)]
