//! The channels between the parts of the agent: each is counted, and has spans of its name.
//!
//! A message carries the trace on: the span of its receipt is a child of the one of its sending,
//! though it may outlast it, and the work that the message causes lies inside it. Who is inside of a
//! span already when a message comes stays inside of that.

use ringlight::channel;

pub(crate) use ringlight::channel::RecvInSpan;
pub(crate) use ringlight::channel::mpsc::{Receiver, Sender};

/// What a channel is called; its spans are `channel.NAME_send` and `channel.NAME_recv`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wire(&'static str);

/// What sessions are doing.
pub(crate) const STATUS: Wire = Wire("status");
/// That the files of the skills have changed.
pub(crate) const SKILL_RELOAD: Wire = Wire("skill_reload");
/// That the settings have changed.
pub(crate) const CONFIG_RELOAD: Wire = Wire("config_reload");
/// What an MCP server asks the user.
pub(crate) const ELICITATION: Wire = Wire("elicitation");
/// What turns have taken.
pub(crate) const METRICS: Wire = Wire("metrics");
/// That the user does not want the answer any more.
pub(crate) const CANCEL: Wire = Wire("cancel");

/// Opens a channel of `capacity` places.
pub(crate) fn open<T>(wire: Wire, capacity: usize) -> (Sender<T>, Receiver<T>) {
    channel::named(wire.0).spans().mpsc(capacity)
}
