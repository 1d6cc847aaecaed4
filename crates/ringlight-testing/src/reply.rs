//! What the backend can be told to answer.

use std::time::Duration;

/// A gRPC status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(pub i32);

#[expect(missing_docs, reason = "the names are gRPC's own")]
impl Code {
    pub const OK: Self = Self(0);
    pub const CANCELLED: Self = Self(1);
    pub const UNKNOWN: Self = Self(2);
    pub const INVALID_ARGUMENT: Self = Self(3);
    pub const DEADLINE_EXCEEDED: Self = Self(4);
    pub const NOT_FOUND: Self = Self(5);
    pub const ALREADY_EXISTS: Self = Self(6);
    pub const PERMISSION_DENIED: Self = Self(7);
    pub const RESOURCE_EXHAUSTED: Self = Self(8);
    pub const FAILED_PRECONDITION: Self = Self(9);
    pub const ABORTED: Self = Self(10);
    pub const OUT_OF_RANGE: Self = Self(11);
    pub const UNIMPLEMENTED: Self = Self(12);
    pub const INTERNAL: Self = Self(13);
    pub const UNAVAILABLE: Self = Self(14);
    pub const DATA_LOSS: Self = Self(15);
    pub const UNAUTHENTICATED: Self = Self(16);
}

/// One answer of the backend.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Takes everything.
    Ok,
    /// Takes all but `rejected` records, and says something.
    Partial {
        /// Records refused.
        rejected: i64,
        /// What it says.
        message: &'static str,
    },
    /// As [`Partial`](Self::Partial), with a body compressed as gRPC and HTTP name it.
    PartialCompressed {
        /// `gzip` or `zstd`.
        encoding: &'static str,
        /// Records refused.
        rejected: i64,
        /// What it says.
        message: &'static str,
    },
    /// Success with a body that is this many bytes once it is decompressed.
    Bomb {
        /// `gzip` or `zstd`.
        encoding: &'static str,
        /// The bytes it becomes.
        bytes: usize,
    },
    /// A gRPC status, with `RetryInfo` where a delay is given. Over HTTP it is a 503.
    Grpc(Code, Option<Duration>),
    /// A gRPC status with a message of its own.
    GrpcMessage(Code, &'static str),
    /// An HTTP status, with `Retry-After` where a value is given. Over gRPC as well.
    Http(u16, Option<String>),
    /// An HTTP redirect to this place.
    Redirect(String),
    /// Success with a body that is not a response.
    Garbage,
    /// Success with a body of this many bytes.
    Huge(usize),
    /// Success with a body that does not end; over HTTP it is said to have 10 GB.
    Endless,
    /// The same, a byte at a time, with this time between.
    Drip(Duration),
    /// An HTTP status with this body. Over gRPC as well.
    Says {
        /// The status.
        status: u16,
        /// What the body is said to be.
        content_type: &'static str,
        /// The body.
        body: &'static str,
    },
    /// Success, after this time.
    Delayed(Duration),
    /// Keeps the request and says nothing, until the backend stops.
    Hang,
    /// Closes the connection without an answer. The records are not taken.
    Reset,
    /// Takes the records, then closes the connection without an answer.
    TakeAndReset,
    /// Takes the records, then closes the connection in the middle of the answer.
    Cut,
}

impl Reply {
    /// Whether the records of a request answered so are taken.
    pub(crate) const fn takes(&self) -> bool {
        matches!(
            self,
            Self::Ok
                | Self::Partial { .. }
                | Self::PartialCompressed { .. }
                | Self::Bomb { .. }
                | Self::Endless
                | Self::Drip(_)
                | Self::Garbage
                | Self::Huge(_)
                | Self::Delayed(_)
                | Self::TakeAndReset
                | Self::Cut
        )
    }
}
