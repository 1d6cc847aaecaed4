//! Ways to do the same that take turns in one process, and so in one layout of its memory.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What the ways took.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Turns {
    /// Of each way, nanoseconds of CPU time for each time it was done, one a round. The first is what the others are
    /// compared with.
    pub ways_ns: Vec<Vec<f64>>,
}

impl Turns {
    /// Has the ways take turns, each round beginning with another one. A way gives what it took.
    pub fn take<const N: usize>(
        rounds_count: usize,
        ways: &mut [&mut dyn FnMut() -> f64; N],
    ) -> Self {
        let mut ways_ns = vec![Vec::with_capacity(rounds_count); N];
        for round in 0..rounds_count {
            for turn in 0..N {
                let way = (round + turn) % N;
                ways_ns[way].push(ways[way]());
            }
        }
        Self { ways_ns }
    }
}

/// Whose channels they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Channels {
    /// Those of `tokio::sync`.
    Tokio,
    /// Those of `ringlight::channel`, with the feature `profiling`.
    Ringlight,
}

impl Channels {
    /// Both, that first which the other is compared with.
    pub const ALL: [Self; 2] = [Self::Tokio, Self::Ringlight];

    /// The name in results.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tokio => "tokio",
            Self::Ringlight => "ringlight",
        }
    }
}

/// How messages go through a channel. Nothing is done with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum Exchange {
    /// One task fills a channel, another one empties it.
    Mpsc,
    /// The same on two threads.
    MpscThreads,
    /// The same on one thread, as many at a time as are there.
    MpscMany,
    /// Without waiting: a message at a time is there.
    MpscTry,
    /// Without a bound.
    Unbounded,
    /// There and back, a message at a time: each wakes a task.
    Request,
    /// A channel for each message.
    Oneshot,
    /// A new value each time.
    Watch,
    /// To one receiver.
    Broadcast,
}

impl Exchange {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Mpsc,
        Self::MpscThreads,
        Self::MpscMany,
        Self::MpscTry,
        Self::Unbounded,
        Self::Request,
        Self::Oneshot,
        Self::Watch,
        Self::Broadcast,
    ];

    /// The name in results.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mpsc => "channel-mpsc",
            Self::MpscThreads => "channel-mpsc-threads",
            Self::MpscMany => "channel-mpsc-many",
            Self::MpscTry => "channel-mpsc-try",
            Self::Unbounded => "channel-unbounded",
            Self::Request => "channel-request",
            Self::Oneshot => "channel-oneshot",
            Self::Watch => "channel-watch",
            Self::Broadcast => "channel-broadcast",
        }
    }

    /// The name in tables.
    #[must_use]
    pub fn what(self) -> &'static str {
        match self {
            Self::Mpsc => "mpsc, `send` and `recv`, from task to task",
            Self::MpscThreads => "mpsc, `send` and `recv`, on two threads",
            Self::MpscMany => "mpsc, `recv_many`",
            Self::MpscTry => "mpsc, `try_send` and `try_recv`",
            Self::Unbounded => "mpsc without a bound",
            Self::Request => "mpsc and oneshot, there and back",
            Self::Oneshot => "oneshot, opened for the message",
            Self::Watch => "watch, a new value each time",
            Self::Broadcast => "broadcast",
        }
    }

    /// Threads of the runtime.
    #[must_use]
    pub fn threads_count(self) -> usize {
        match self {
            Self::MpscThreads => 2,
            _ => 1,
        }
    }
}

/// What counting costs around one allocator. Of both, the ways are: not counted, counted outside of spans, counted in
/// a span.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AllocationRun {
    /// 64 bytes allocated and freed.
    pub pair: Turns,
    /// A document of JSON parsed and dropped.
    pub json: Turns,
    /// Bytes of that document.
    pub document_bytes: usize,
    /// Allocations while it is parsed.
    pub document_allocations: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_begins_with_another_way() {
        let order = std::cell::RefCell::new(Vec::new());
        let way = |name: u8| {
            order.borrow_mut().push(name);
            f64::from(name)
        };
        let turns = Turns::take(3, &mut [&mut || way(0), &mut || way(1)]);
        assert_eq!(turns.ways_ns, [[0.0; 3], [1.0; 3]]);
        assert_eq!(order.into_inner(), [0, 1, 1, 0, 0, 1]);
    }
}
