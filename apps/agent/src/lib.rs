//! Sample application: an agent loop with tools, memory and a model provider.
#![forbid(unsafe_code)]
