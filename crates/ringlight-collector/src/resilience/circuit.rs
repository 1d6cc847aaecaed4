//! When to leave a backend alone. Pure state: the caller brings the time.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::{self, CollectorConfigError};

/// When to ask again while somebody else finds out whether the backend is back.
const PROBE_AFTER: Duration = Duration::from_secs(1);

/// The longest time a breaker stays open at once.
const OPEN_MAX: Duration = Duration::from_secs(24 * 3600);

/// When a [`CircuitBreaker`] changes its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitBreakerConfig {
    /// Failures in a row that open it. At least 1, default 5.
    pub failure_threshold: u32,
    /// How long it stays open at least; up to a tenth of it is added at random, so that many processes do
    /// not return in step, and more where the backend asks for more. Range 1 ms to 1 h, default 30 s.
    pub reset_timeout: Duration,
    /// Successes in a row, one after the other, that close it again. At least 1, default 2.
    pub success_threshold: u32,
}

impl Default for CircuitBreakerConfig {
    fn default() -> Self {
        Self {
            failure_threshold: 5,
            reset_timeout: Duration::from_secs(30),
            success_threshold: 2,
        }
    }
}

impl CircuitBreakerConfig {
    /// Checks every field against its documented range.
    ///
    /// # Errors
    /// Names the first field that is out of range, its value and the range.
    pub fn validate(&self) -> Result<(), CollectorConfigError> {
        let allowed = 1..=u32::MAX as usize;
        let threshold = |field, value: u32| config::number(field, value as usize, allowed.clone());
        threshold("failure_threshold", self.failure_threshold)?;
        threshold("success_threshold", self.success_threshold)?;
        config::duration(
            "reset_timeout",
            self.reset_timeout,
            Duration::from_millis(1)..=Duration::from_secs(3600),
        )
    }
}

/// The state of a [`CircuitBreaker`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CircuitState {
    /// Everything is let through.
    Closed,
    /// Nothing is, until its time is over and somebody asks.
    Open,
    /// One call at a time is, to find out whether the backend is back.
    HalfOpen,
}

/// Leave to call, for one call. Its end is told to the breaker that gave it.
#[derive(Debug)]
#[must_use = "the breaker waits for the end of the call"]
pub struct CircuitPermit {
    /// The state it was given in.
    generation: u64,
}

/// No call may be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitOpen {
    /// When it makes sense to ask again.
    pub retry_after: Duration,
}

/// The states of a circuit breaker, with neither a clock nor a lock in them.
///
/// Closed, it lets calls through, and opens after `failure_threshold` failures in a row. Open, it refuses
/// all of them for a time. After that it is half-open: it lets one through at a time, and closes after
/// `success_threshold` successes, or opens again at the first failure. The end of a call that was
/// let through in an earlier state changes nothing: it says how the backend was.
///
/// ```
/// use std::time::Duration;
///
/// use ringlight_collector::{CircuitBreaker, CircuitBreakerConfig, CircuitState};
///
/// let config = CircuitBreakerConfig { failure_threshold: 1, ..CircuitBreakerConfig::default() };
/// let mut breaker = CircuitBreaker::new(config);
/// let now = tokio::time::Instant::now();
///
/// let permit = breaker.admit(now).unwrap();
/// breaker.failed(permit, now, config.reset_timeout);
/// assert_eq!(breaker.state(), CircuitState::Open);
/// assert_eq!(breaker.admit(now).unwrap_err().retry_after, Duration::from_secs(30));
///
/// let later = now + Duration::from_secs(30);
/// let probe = breaker.admit(later).unwrap();
/// assert!(breaker.admit(later).is_err(), "there is one already");
/// breaker.succeeded(probe);
/// assert_eq!(breaker.state(), CircuitState::HalfOpen, "it takes two");
/// ```
#[derive(Debug)]
pub struct CircuitBreaker {
    config: CircuitBreakerConfig,
    state: State,
    /// Counts the changes of state. A permit of another generation has nothing to say.
    generation: u64,
    opened: u64,
    closed: u64,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// With failures since the last success.
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
    },
    HalfOpen {
        successes: u32,
        is_probing: bool,
    },
}

impl CircuitBreaker {
    /// A breaker that is closed. A threshold of zero counts as one.
    #[must_use]
    pub const fn new(config: CircuitBreakerConfig) -> Self {
        Self {
            config,
            state: State::Closed { failures: 0 },
            generation: 0,
            opened: 0,
            closed: 0,
        }
    }

    /// The state. One that is open stays so until somebody asks after its time is over.
    #[must_use]
    pub const fn state(&self) -> CircuitState {
        match self.state {
            State::Closed { .. } => CircuitState::Closed,
            State::Open { .. } => CircuitState::Open,
            State::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }

    /// How often it opened, from half-open as well.
    #[must_use]
    pub const fn opened(&self) -> u64 {
        self.opened
    }

    /// How often it closed again.
    #[must_use]
    pub const fn closed(&self) -> u64 {
        self.closed
    }

    /// Asks whether a call may be made now. The end of one that may has to be told, by
    /// [`succeeded`](Self::succeeded) or [`failed`](Self::failed): half-open, no other is let through
    /// before.
    ///
    /// # Errors
    /// Says when to ask again.
    pub fn admit(&mut self, now: Instant) -> Result<CircuitPermit, CircuitOpen> {
        if let State::Open { until } = self.state {
            if now < until {
                let retry_after = until - now;
                return Err(CircuitOpen { retry_after });
            }
            self.enter(State::HalfOpen {
                successes: 0,
                is_probing: false,
            });
        }
        if let State::HalfOpen { is_probing, .. } = &mut self.state {
            if *is_probing {
                let retry_after = PROBE_AFTER.min(self.config.reset_timeout);
                return Err(CircuitOpen { retry_after });
            }
            *is_probing = true;
        }
        Ok(CircuitPermit {
            generation: self.generation,
        })
    }

    /// The call was answered.
    #[expect(clippy::needless_pass_by_value, reason = "a permit is for one call")]
    pub fn succeeded(&mut self, permit: CircuitPermit) {
        if permit.generation != self.generation {
            return;
        }
        match &mut self.state {
            State::Closed { failures } => *failures = 0,
            State::HalfOpen {
                successes,
                is_probing,
            } => {
                *is_probing = false;
                *successes += 1;
                if *successes >= self.config.success_threshold {
                    self.closed += 1;
                    self.enter(State::Closed { failures: 0 });
                }
            }
            // It gives no permits.
            State::Open { .. } => {}
        }
    }

    /// The call failed, or was given up. If that opens the breaker, it stays open for `open_for`, a
    /// day at most.
    #[expect(clippy::needless_pass_by_value, reason = "a permit is for one call")]
    pub fn failed(&mut self, permit: CircuitPermit, now: Instant, open_for: Duration) {
        if permit.generation != self.generation {
            return;
        }
        if let State::Closed { failures } = &mut self.state {
            *failures += 1;
            if *failures < self.config.failure_threshold {
                return;
            }
        }
        self.opened += 1;
        self.enter(State::Open {
            until: now + open_for.min(OPEN_MAX),
        });
    }

    const fn enter(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }
}
