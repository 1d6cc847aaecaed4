//! The backend's moods: what it answers from one moment to the next.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use fastrand::Rng;
use ringlight::Protocol;
use ringlight_testing::{Backend, Code, Reply};

/// What became of the records of a request, as its answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Taken but for so many.
    Taken { rejected: u64 },
    /// Refused for good.
    Refused,
    /// Nobody knows: the client has to ask again.
    Open,
}

/// Changes what the backend answers until it is told to stop, and then has it take everything.
pub(crate) fn swing(backend: &Backend, protocol: Protocol, mut random: Rng, stop: &AtomicBool) {
    // Relaxed: it says nothing about other memory.
    while !stop.load(Ordering::Relaxed) {
        backend.set_default(reply(protocol, &mut random));
        if random.u32(..20) == 0 {
            backend.go_away();
        }
        sleep(Duration::from_millis(random.u64(1..60)));
    }
    backend.set_default(Reply::Ok);
}

fn reply(protocol: Protocol, random: &mut Rng) -> Reply {
    match random.u32(..20) {
        0 => Reply::Reset,
        1 => Reply::TakeAndReset,
        2 => Reply::Cut,
        3 => Reply::Hang,
        4 => Reply::Grpc(Code::UNAVAILABLE, None),
        5 => Reply::Grpc(
            Code::RESOURCE_EXHAUSTED,
            Some(Duration::from_millis(random.u64(..30))),
        ),
        6 => Reply::Http(503, Some("0".to_owned())),
        7 => match protocol {
            Protocol::Grpc => Reply::Grpc(Code::INVALID_ARGUMENT, None),
            _ => Reply::Http(400, None),
        },
        8 | 9 => Reply::Partial {
            rejected: random.i64(1..100),
            message: "some of them",
        },
        10 => Reply::Garbage,
        11 | 12 => Reply::Delayed(Duration::from_millis(random.u64(..100))),
        _ => Reply::Ok,
    }
}

impl Fate {
    /// Of a request that was answered so, if the answer was heard.
    pub(crate) fn of(reply: &Reply) -> Self {
        match reply {
            Reply::Ok | Reply::Garbage | Reply::Delayed(_) => Self::Taken { rejected: 0 },
            Reply::Partial { rejected, .. } => Self::Taken {
                rejected: rejected.cast_unsigned(),
            },
            Reply::Grpc(Code::INVALID_ARGUMENT, _) | Reply::Http(400, _) => Self::Refused,
            _ => Self::Open,
        }
    }
}
