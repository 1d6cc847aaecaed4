//! The task that asks the source, and what it shares with who wants the headers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::HeaderMap;
use tokio::sync::{Notify, watch};

use super::{OnNotice, SecretNotice, parse};
use crate::{SecretError, SecretErrorKind, SecretSourceBoxed};

/// Shortest time between two attempts that nobody asked for.
pub(super) const DELAY_MIN: Duration = Duration::from_secs(1);
/// Longest wait for an answer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Shared {
    pub(super) source: Box<dyn SecretSourceBoxed>,
    is_optional: bool,
    interval: Duration,
    on_notice: Option<OnNotice>,
    /// Written by the task alone; read by everybody, and at most one attempt old.
    pub(super) current: ArcSwapOption<HeaderMap>,
    attempts: watch::Sender<Attempts>,
    wanted: Notify,
    /// Set by who starts the task, cleared by the task when it ends, however it ends.
    is_watched: AtomicBool,
}

/// Attempts so far; written by the task alone.
#[derive(Debug, Default)]
struct Attempts {
    begun: u64,
    ended: u64,
    /// Of the last one, if it failed.
    error: Option<SecretError>,
    was_absent: bool,
}

impl Shared {
    pub(super) fn new(
        source: Box<dyn SecretSourceBoxed>,
        is_optional: bool,
        interval: Duration,
        on_notice: Option<OnNotice>,
    ) -> Self {
        Self {
            source,
            is_optional,
            interval,
            on_notice,
            current: ArcSwapOption::empty(),
            attempts: watch::Sender::default(),
            wanted: Notify::new(),
            is_watched: AtomicBool::new(false),
        }
    }

    pub(super) fn is_watched(&self) -> bool {
        // Relaxed: what it says may be about to change anyway, and nothing else is read by it.
        self.is_watched.load(Ordering::Relaxed)
    }

    /// The task's work, unless somebody has taken that on.
    pub(super) fn watcher(self: &Arc<Self>) -> Option<Watcher> {
        // Acquire: pairs with the release of the task that ended, so that its attempts are seen.
        let is_taken = self.is_watched.swap(true, Ordering::Acquire);
        (!is_taken).then(|| Watcher(Arc::clone(self)))
    }

    /// Wants an attempt that begins from now on, and gives its number.
    pub(super) fn ask_now(&self) -> u64 {
        let attempt = self.attempts.borrow().begun + 1;
        self.wanted.notify_one();
        attempt
    }

    /// Waits for the end of an attempt or a later one, and gives the error of the last one.
    pub(super) async fn attempt_to_end(&self, attempt: u64) -> Option<SecretError> {
        let mut attempts = self.attempts.subscribe();
        let ended = attempts
            .wait_for(|attempts| attempts.ended >= attempt)
            .await;
        // An error if the sender were gone, which `self` has.
        ended.ok().and_then(|attempts| attempts.error.clone())
    }

    /// A hook that panics is as good as one that has spoken.
    fn say(&self, notice: &SecretNotice) {
        if let Some(hook) = &self.on_notice {
            let _ = catch_unwind(AssertUnwindSafe(|| hook(notice)));
        }
    }

    /// Asks the source once, and says how long what it gave may be used.
    async fn attempt(&self) -> Result<Option<Duration>, SecretError> {
        let name = self.source.name_boxed();
        let secret = tokio::time::timeout(FETCH_TIMEOUT, self.source.fetch_boxed())
            .await
            .unwrap_or_else(|_| {
                let reason = format!("no answer within {} s", FETCH_TIMEOUT.as_secs());
                Err(SecretError::new(SecretErrorKind::Unavailable, name, reason))
            })?;
        let headers = parse::headers(&secret.value, name)?;
        // The same ones stay where they are, so that a difference means something.
        if self.current.load().as_deref() != Some(&headers) {
            self.current.store(Some(Arc::new(headers)));
        }
        Ok(secret.valid_for)
    }

    /// Records how an attempt ended, and says what is new about that.
    fn ended(&self, outcome: Result<(), SecretError>) {
        let mut notice = None;
        self.attempts.send_modify(|attempts| {
            attempts.ended = attempts.begun;
            let was_failing = attempts.error.is_some();
            match outcome {
                Ok(()) => {
                    attempts.error = None;
                    attempts.was_absent = false;
                    notice = was_failing.then(|| SecretNotice::Recovered {
                        name: self.source.name_boxed().to_owned(),
                    });
                }
                Err(error) if self.makes_do_without(&error) => {
                    attempts.error = None;
                    self.current.store(Some(Arc::default()));
                    if !std::mem::replace(&mut attempts.was_absent, true) {
                        notice = Some(SecretNotice::Absent { error });
                    }
                }
                Err(error) => {
                    if !was_failing {
                        notice = Some(SecretNotice::Failed {
                            error: error.clone(),
                            has_headers: self.has_headers(),
                        });
                    }
                    attempts.error = Some(error);
                }
            }
        });
        if let Some(notice) = notice {
            self.say(&notice);
        }
    }

    /// Whether a secret that is missing does not matter. Who had one is not made to go without.
    fn makes_do_without(&self, error: &SecretError) -> bool {
        self.is_optional && error.kind() == SecretErrorKind::Missing && !self.has_headers()
    }

    fn has_headers(&self) -> bool {
        let current = self.current.load();
        current.as_ref().is_some_and(|headers| !headers.is_empty())
    }
}

/// The work of the task.
pub(super) struct Watcher(Arc<Shared>);

impl Watcher {
    pub(super) async fn run(self) {
        let shared = &*self.0;
        let mut failures = 0;
        loop {
            shared.attempts.send_modify(|attempts| attempts.begun += 1);
            let outcome = shared.attempt().await;
            let delay = match &outcome {
                Ok(valid_for) => {
                    failures = 0;
                    delay_of(shared.interval, *valid_for)
                }
                Err(_) => {
                    failures += 1;
                    backoff(shared.interval, failures)
                }
            };
            shared.ended(outcome.map(|_| ()));
            let _ = tokio::time::timeout(spread(delay), shared.wanted.notified()).await;
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let reason = "the source panicked";
            let name = self.0.source.name_boxed();
            let error = SecretError::new(SecretErrorKind::Unavailable, name, reason);
            self.0.ended(Err(error));
        }
        // Release: pairs with the acquire of who takes the work on.
        self.0.is_watched.store(false, Ordering::Release);
    }
}

/// Early enough that there are two more attempts before a lease ends.
fn delay_of(interval: Duration, valid_for: Option<Duration>) -> Duration {
    let until = valid_for.map_or(interval, |valid_for| interval.min(valid_for * 2 / 3));
    until.max(DELAY_MIN)
}

/// One second, then twice as long after each further failure, up to the interval.
fn backoff(interval: Duration, failures: u32) -> Duration {
    let doubled = DELAY_MIN.saturating_mul(1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX));
    doubled.min(interval)
}

/// Up to a tenth earlier, so that programs that started together do not ask together for ever.
fn spread(delay: Duration) -> Duration {
    delay.mul_f64(fastrand::f64().mul_add(-0.1, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_asked_before_a_lease_ends_and_never_in_a_hurry() {
        let seconds = Duration::from_secs;
        let check = |valid_for: Option<u64>, expected: u64| {
            let delay = delay_of(seconds(60), valid_for.map(seconds));
            assert_eq!(delay, seconds(expected), "{valid_for:?}");
        };
        check(None, 60);
        check(Some(30), 20);
        check(Some(3600), 60);
        check(Some(1), 1);
        check(Some(0), 1);
        let backoffs = [1, 2, 3, 6, 7, 40, 400].map(|failures| backoff(seconds(60), failures));
        assert_eq!(backoffs, [1, 2, 4, 32, 60, 60, 60].map(seconds));
        assert_eq!(backoff(seconds(1), 9), seconds(1));
        for _ in 0..100 {
            let spread = spread(seconds(60));
            assert!(spread > seconds(53) && spread <= seconds(60), "{spread:?}");
        }
    }
}
