//! A strict limit for any stretch of time.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::limiter::{Cost, Quota, RateLimiter};
use crate::config::CollectorConfigError;
use crate::sync::unpoisoned;

/// Turns this close together, as a part of the window, are remembered as one.
const PARTS: u32 = 64;

/// No more than a quota in any stretch of time as long as its own, wherever it begins.
///
/// As backends count that say "100 requests in a minute": a [`TokenBucket`](super::TokenBucket) of the same
/// quota lets up to twice as much through in the minute after a silence. A batch that costs more than the
/// quota passes when nothing else is in the window. Turns come in the order in which they were booked.
///
/// It remembers turns of the last window, to a 64th of it and on the safe side, so that it holds about 65
/// of them, and as many more as are booked ahead.
#[derive(Debug)]
pub struct SlidingWindow {
    quota: Quota,
    /// Turns within the last window and in the future, in order.
    turns: Mutex<VecDeque<Turns>>,
}

/// Turns that are close together.
#[derive(Debug)]
struct Turns {
    first: Instant,
    last: Instant,
    cost: u64,
}

impl SlidingWindow {
    /// An empty window.
    ///
    /// # Errors
    /// Names the value that is out of range.
    pub fn new(quota: Quota) -> Result<Self, CollectorConfigError> {
        quota.validate()?;
        Ok(Self {
            quota,
            turns: Mutex::default(),
        })
    }

    /// How many turns it remembers, those close together as one.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        unpoisoned(self.turns.lock()).len()
    }

    /// When `cost` more has room beside these turns, not before `now`.
    fn turn(&self, turns: &VecDeque<Turns>, cost: u64, now: Instant) -> Instant {
        let may_be_there = self.quota.amount - cost.min(self.quota.amount);
        let mut turn = turns.back().map_or(now, |last| last.last.max(now));
        let mut there: u128 = turns.iter().map(|turns| u128::from(turns.cost)).sum();
        for turns in turns {
            if there <= u128::from(may_be_there) {
                break;
            }
            turn = turn.max(turns.last + self.quota.per);
            there -= u128::from(turns.cost);
        }
        turn
    }
}

impl RateLimiter for SlidingWindow {
    fn reserve(&self, cost: Cost, now: Instant, wait_max: Duration) -> Result<Duration, Duration> {
        let cost = cost.in_unit(self.quota.unit);
        let mut turns = unpoisoned(self.turns.lock());
        while turns
            .front()
            .is_some_and(|first| first.last + self.quota.per <= now)
        {
            turns.pop_front();
        }
        let turn = self.turn(&turns, cost, now);
        let wait = turn - now;
        if wait > wait_max {
            return Err(wait);
        }
        match turns.back_mut() {
            Some(last) if turn - last.first < self.quota.per / PARTS => {
                last.last = turn;
                last.cost = last.cost.saturating_add(cost);
            }
            _ => turns.push_back(Turns {
                first: turn,
                last: turn,
                cost,
            }),
        }
        Ok(wait)
    }
}
