//! One at a time, while the others wait only as long as they are wanted.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::state::lock;
use crate::{Cancel, SearchError};

/// How long a search waits before it asks again whether it is still wanted.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Something only one search has at a time.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    is_taken: Mutex<bool>,
    given_back: Condvar,
}

/// The turn of one search; dropped, it is the next one's.
#[derive(Debug)]
pub(crate) struct Turn<'a>(&'a Turns);

impl Turns {
    /// Waits until no other search has it.
    pub(crate) fn take(&self, cancel: &Cancel) -> Result<Turn<'_>, SearchError> {
        let mut is_taken = lock(&self.is_taken);
        while *is_taken {
            cancel.check()?;
            let waited = self.given_back.wait_timeout(is_taken, ASK_EVERY);
            (is_taken, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        *is_taken = true;
        Ok(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *lock(&self.0.is_taken) = false;
        self.0.given_back.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn who_is_not_wanted_any_more_stops_waiting() {
        let turns = Turns::default();
        let held = turns.take(&Cancel::default()).unwrap();
        let asked = Arc::new(AtomicU64::new(0));
        let cancel = {
            let asked = Arc::clone(&asked);
            Cancel::when(move || asked.fetch_add(1, Ordering::Relaxed) == 2)
        };
        let waited = turns.take(&cancel);
        assert!(matches!(waited, Err(SearchError::Cancelled)));
        assert_eq!(asked.load(Ordering::Relaxed), 3);
        drop(held);
        assert!(turns.take(&Cancel::default()).is_ok());
    }
}
