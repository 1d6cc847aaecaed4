//! How much a destination is given at a time: requests side by side, and bytes of one. Both follow what it answers,
//! and after what time, between bounds. Pure state: the caller brings the time.
//!
//! Side by side: one more, or at first twice as many, as long as answers come nearly as soon as at the fastest;
//! one fewer when they take more than twice that time, which is when requests only wait for each other there (the
//! measure of TCP Vegas; Brakmo and Peterson, 1995); half as many when it asks for a rest; one after it was away. Once a
//! minute there are half as many for a moment, to learn how fast it is now without the load (as BBR does).
//!
//! Bytes: below what it refused for its size, twice as many when that is some time ago. Half as many when it answers nothing in time twice in a row, though it
//! has one request alone; more again, bit by bit, as answers come in time.

use std::time::Duration;

use tokio::time::Instant;

/// How often is measured anew how fast the destination is.
const FASTEST_EVERY: Duration = Duration::from_secs(60);

/// How long it takes until a larger request than was refused is tried: at first, and at most.
const REFUSED_FIRST: Duration = Duration::from_secs(10);
const REFUSED_MAX: Duration = Duration::from_secs(600);

/// Differences that say nothing: other work on the machine makes as much.
const NOISE: Duration = Duration::from_millis(3);

/// The smallest request is this part of the largest; and it grows by as much.
const BYTES_PART: usize = 16;

/// In a request's time, one that takes longer is no reason to make the next one larger.
const SOON_PART: u32 = 4;

/// The part of a new measurement in the smoothed one.
const SMOOTHING: u32 = 8;

/// The part of a smaller request in the size of the larger ones.
const SIZE_SMOOTHING: usize = 64;

pub(super) struct Adaptive {
    concurrency: usize,
    concurrency_max: usize,
    /// Nothing has spoken against more yet, since the start or since it was away.
    is_starting: bool,
    /// Answers since the number of requests changed.
    round: Round,
    /// The shortest of the rounds, and when the next one without load is due.
    fastest: Option<Duration>,
    fastest_due: Option<Instant>,
    /// How many requests there were before a round without load.
    before_light_round: Option<usize>,
    /// What was sent before this says nothing about the present number of requests.
    changed_at: Option<Instant>,
    latency: Option<Duration>,
    /// Bytes of the larger requests of late.
    size: usize,
    bytes_max: usize,
    refused: Option<Refused>,
    /// Requests of more bytes are not answered in time, as far as is known.
    in_time: usize,
    timeouts: u32,
    timeout: Duration,
}

/// Requests of as many bytes are refused for their size, as far as is known.
#[derive(Debug, Clone, Copy)]
struct Refused {
    from: usize,
    /// When twice as much is tried, for how long again if that is refused, and whether it is being tried.
    until: Instant,
    wait: Duration,
    is_tried: bool,
}

#[derive(Default)]
struct Round {
    answers: u32,
    sum: Duration,
}

/// A request that has come to its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) at: Instant,
    pub(super) bytes: usize,
    /// Whether its batch had to wait for others before it.
    pub(super) has_waited: bool,
}

/// Why a request failed, as far as it says how much the destination takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It asked for a rest.
    NotNow,
    /// It answered nothing in time.
    TimedOut,
    /// There is no connection.
    Lost,
}

impl Adaptive {
    /// Up to so many requests of about so many bytes, each of which may take so long.
    pub(super) fn new(concurrency_max: usize, bytes_max: usize, timeout: Duration) -> Self {
        Self {
            concurrency: 1,
            concurrency_max,
            is_starting: true,
            round: Round::default(),
            fastest: None,
            fastest_due: None,
            before_light_round: None,
            changed_at: None,
            latency: None,
            size: 0,
            bytes_max,
            refused: None,
            in_time: usize::MAX,
            timeouts: 0,
            timeout,
        }
    }

    /// Requests that may be under way at a time: from 1 to the bound.
    pub(super) const fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// The time a request takes, smoothed.
    pub(super) const fn latency(&self) -> Option<Duration> {
        self.latency
    }

    /// Bytes that a new batch is to have at most, about.
    pub(super) fn batch_bytes(&self) -> usize {
        self.request_bytes_max().min(self.bytes_max)
    }

    /// A request of more bytes is not sent as it is.
    pub(super) fn request_bytes_max(&self) -> usize {
        let taken = self.refused.map_or(usize::MAX, |refused| refused.from - 1);
        self.in_time.min(taken)
    }

    /// A request of so many bytes was refused for its size.
    pub(super) fn refused(&mut self, bytes: usize, now: Instant) {
        let bytes = bytes.max(1);
        self.refused = Some(match self.refused {
            None => Refused {
                from: bytes,
                until: now + REFUSED_FIRST,
                wait: REFUSED_FIRST,
                is_tried: false,
            },
            Some(before) => {
                // It still is: asked less often from now on.
                let wait = match before.is_tried {
                    true => (before.wait * 2).min(REFUSED_MAX),
                    false => before.wait,
                };
                Refused {
                    from: before.from.min(bytes),
                    until: now + wait,
                    wait,
                    is_tried: false,
                }
            }
        });
    }

    /// Tries twice as much when it is time.
    fn try_larger(&mut self, now: Instant) {
        if let Some(refused) = &mut self.refused
            && now >= refused.until
        {
            refused.from = refused.from.saturating_mul(2);
            refused.until = now + refused.wait;
            refused.is_tried = true;
            if refused.from > self.bytes_max.saturating_mul(2) {
                self.refused = None;
            }
        }
    }

    /// The destination took a request.
    pub(super) fn answered(&mut self, sent: Sent, now: Instant) {
        let latency = now.saturating_duration_since(sent.at);
        self.latency = Some(self.latency.map_or(latency, |before| {
            before * (SMOOTHING - 1) / SMOOTHING + latency / SMOOTHING
        }));
        self.timeouts = 0;
        self.grow(sent, latency);
        self.try_larger(now);
        let is_of_before = self.changed_at.is_some_and(|changed| sent.at < changed);
        if !sent.has_waited || is_of_before || !self.is_comparable(sent.bytes) {
            return;
        }
        self.round.answers += 1;
        self.round.sum += latency;
        if (self.round.answers as usize) < self.concurrency {
            return;
        }
        let round = std::mem::take(&mut self.round);
        let before = self.concurrency;
        self.judge(round.sum / round.answers, now);
        if self.concurrency != before {
            self.changed_at = Some(now);
        }
    }

    /// Whether a request is about as large as the largest are of late: how long the others take says nothing about more of
    /// these.
    fn is_comparable(&mut self, bytes: usize) -> bool {
        if bytes > self.size {
            // What was fastest so far was so with less.
            if bytes / 2 > self.size {
                self.fastest = None;
                self.round = Round::default();
            }
            self.size = bytes;
            return true;
        }
        self.size -= (self.size - bytes) / SIZE_SMOOTHING;
        bytes >= self.size / 2
    }

    /// Follows a round of answers under load, which took so long.
    fn judge(&mut self, mean: Duration, now: Instant) {
        if let Some(before) = self.before_light_round.take() {
            self.fastest = Some(mean);
            self.concurrency = before;
            return;
        }
        let fastest = self.fastest.map_or(mean, |fastest| fastest.min(mean));
        self.fastest = Some(fastest);
        let due = *self.fastest_due.get_or_insert(now + FASTEST_EVERY);
        if now >= due {
            self.fastest_due = Some(now + FASTEST_EVERY);
            self.fastest = Some(mean);
            if self.concurrency > 1 {
                self.before_light_round = Some(self.concurrency);
                self.concurrency /= 2;
            }
            return;
        }
        if mean <= fastest * 4 / 3 + NOISE {
            let more = if self.is_starting {
                self.concurrency
            } else {
                1
            };
            self.concurrency = (self.concurrency + more).min(self.concurrency_max);
        } else {
            self.is_starting = false;
            if mean > fastest * 2 + NOISE {
                self.concurrency = (self.concurrency - 1).max(1);
            }
        }
    }

    fn grow(&mut self, sent: Sent, latency: Duration) {
        let says_something = sent.bytes >= self.in_time / 2;
        if self.in_time != usize::MAX && says_something && latency <= self.timeout / SOON_PART {
            let grown = self.in_time + self.bytes_max / BYTES_PART;
            // Above the bound there is nothing to be kept to.
            self.in_time = if grown < self.bytes_max {
                grown
            } else {
                usize::MAX
            };
        }
    }

    /// A request failed.
    pub(super) fn failed(&mut self, sent: Sent, why: Refusal, now: Instant) {
        let was_alone = self.concurrency == 1;
        let is_of_before = self.changed_at.is_some_and(|changed| sent.at < changed);
        if why == Refusal::TimedOut {
            self.timeouts = self.timeouts.saturating_add(1);
            if was_alone && !is_of_before && self.timeouts > 1 {
                let smallest = (self.bytes_max / BYTES_PART).max(1);
                self.in_time = (sent.bytes / 2).max(smallest).min(self.in_time);
            }
        }
        if is_of_before {
            return;
        }
        self.concurrency = match why {
            Refusal::NotNow => (self.concurrency / 2).max(1),
            Refusal::TimedOut | Refusal::Lost => 1,
        };
        // A round without load is over; what is known of how fast it was may be of another connection.
        self.before_light_round = None;
        self.round = Round::default();
        self.is_starting = why != Refusal::NotNow;
        if self.is_starting {
            self.fastest = None;
        }
        self.changed_at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);
    const BYTES: usize = 256 * 1024;

    /// A destination that is told of answers, one after the other, at a clock of its own.
    struct Simulated {
        adaptive: Adaptive,
        now: Instant,
    }

    impl Simulated {
        fn new(concurrency_max: usize) -> Self {
            Self {
                adaptive: Adaptive::new(concurrency_max, BYTES, TIMEOUT),
                now: Instant::now(),
            }
        }

        /// Rounds of answers, each after what `latency` says for that many requests side by side. How many there
        /// were after each.
        fn rounds(&mut self, count: usize, latency: impl Fn(usize) -> Duration) -> Vec<usize> {
            let round = |_| {
                let side_by_side = self.adaptive.concurrency();
                let at = self.now;
                self.now += latency(side_by_side);
                for _ in 0..side_by_side {
                    let sent = self.sent(at, BYTES);
                    self.adaptive.answered(sent, self.now);
                }
                self.adaptive.concurrency()
            };
            (0..count).map(round).collect()
        }

        fn sent(&self, at: Instant, bytes: usize) -> Sent {
            Sent {
                at,
                bytes,
                has_waited: true,
            }
        }

        fn fail(&mut self, bytes: usize, why: Refusal) {
            let sent = self.sent(self.now, bytes);
            self.now += TIMEOUT;
            self.adaptive.failed(sent, why, self.now);
        }

        fn answer(&mut self, bytes: usize, latency: Duration) {
            let sent = self.sent(self.now, bytes);
            self.now += latency;
            self.adaptive.answered(sent, self.now);
        }
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_far_destination_gets_as_many_as_it_may() {
        let mut far = Simulated::new(12);
        assert_eq!(far.rounds(5, |_| ms(100)), [2, 4, 8, 12, 12]);
    }

    #[test]
    fn where_requests_wait_for_each_other_there_are_few() {
        // Takes one at a time, 50 ms each: two keep it busy.
        let mut slow = Simulated::new(16);
        let rounds = slow.rounds(20, |side_by_side| ms(50) * side_by_side as u32);
        assert!(rounds.iter().all(|count| *count <= 2), "{rounds:?}");
        // Now it takes eight at a time.
        let wide = |side_by_side: usize| ms(50) * side_by_side.div_ceil(8) as u32;
        let rounds = slow.rounds(100, wide);
        assert!(
            rounds[40..].iter().all(|c| (4..=10).contains(c)),
            "{rounds:?}"
        );
    }

    #[test]
    fn a_destination_that_has_become_slow_for_good_is_measured_anew() {
        let mut moved = Simulated::new(8);
        moved.rounds(10, |_| ms(20));
        let few = moved.rounds(20, |_| ms(200));
        assert_eq!(few.last(), Some(&1), "{few:?}");
        let many = moved.rounds(400, |_| ms(200));
        assert_eq!(many.last(), Some(&8), "{many:?}");
    }

    #[test]
    fn half_as_many_when_it_asks_for_a_rest_and_one_when_it_was_away() {
        let mut busy = Simulated::new(8);
        busy.rounds(6, |_| ms(10));
        let at = busy.now;
        let fail = |busy: &mut Simulated, why| {
            let sent = busy.sent(at, BYTES);
            busy.adaptive.failed(sent, why, at + ms(1));
            busy.adaptive.concurrency()
        };
        assert_eq!(fail(&mut busy, Refusal::NotNow), 4);
        assert_eq!(
            fail(&mut busy, Refusal::NotNow),
            4,
            "sent before the change"
        );
        busy.now += ms(2);
        busy.fail(BYTES, Refusal::Lost);
        assert_eq!(busy.adaptive.concurrency(), 1);
    }

    #[test]
    fn small_requests_between_large_ones_say_nothing_about_these() {
        let mut mixed = Simulated::new(4);
        for _ in 0..20 {
            mixed.rounds(1, |_| ms(28));
            let at = mixed.now;
            for _ in 0..3 {
                let small = mixed.sent(at, 2_000);
                mixed.adaptive.answered(small, at + ms(2));
            }
        }
        assert_eq!(mixed.adaptive.concurrency(), 4);
        // When there are only small ones for long, they count.
        for _ in 0..1_000 {
            mixed.answer(2_000, ms(2));
        }
        let rounds = mixed.rounds(1, |_| ms(2));
        assert_eq!(rounds, [4]);
    }

    #[test]
    fn what_refused_everything_for_a_while_soon_gets_whole_requests_again() {
        let mut odd = Simulated::new(4);
        for bytes in [BYTES, BYTES / 2, BYTES / 4, 1_000, 100] {
            odd.adaptive.refused(bytes, odd.now);
        }
        assert_eq!(odd.adaptive.request_bytes_max(), 99);
        for _ in 0..130 {
            odd.answer(odd.adaptive.batch_bytes(), ms(1_000));
        }
        assert_eq!(odd.adaptive.request_bytes_max(), usize::MAX);
    }

    #[test]
    fn light_traffic_says_nothing() {
        let mut light = Simulated::new(8);
        let sent = Sent {
            has_waited: false,
            ..light.sent(light.now, 100)
        };
        for _ in 0..10 {
            light.adaptive.answered(sent, light.now + ms(1));
        }
        assert_eq!(light.adaptive.concurrency(), 1);
        assert_eq!(light.adaptive.latency(), Some(ms(1)));
    }

    #[test]
    fn a_request_that_is_never_answered_in_time_becomes_smaller() {
        let mut narrow = Simulated::new(4);
        narrow.fail(BYTES, Refusal::TimedOut);
        assert_eq!(
            narrow.adaptive.request_bytes_max(),
            usize::MAX,
            "once is an accident"
        );
        narrow.fail(BYTES, Refusal::TimedOut);
        assert_eq!(narrow.adaptive.request_bytes_max(), BYTES / 2);
        for _ in 0..10 {
            let bytes = narrow.adaptive.request_bytes_max();
            narrow.fail(bytes, Refusal::TimedOut);
        }
        assert_eq!(narrow.adaptive.batch_bytes(), BYTES / 16);
        // In time, but not soon.
        narrow.answer(BYTES / 16, TIMEOUT / 2);
        assert_eq!(narrow.adaptive.batch_bytes(), BYTES / 16);
        for step in 2..16 {
            narrow.answer(narrow.adaptive.batch_bytes(), ms(100));
            assert_eq!(narrow.adaptive.batch_bytes(), step * BYTES / 16);
        }
        narrow.answer(BYTES, ms(100));
        assert_eq!(narrow.adaptive.request_bytes_max(), usize::MAX);
    }

    #[test]
    fn what_is_refused_for_its_size_is_tried_again_ever_more_seldom() {
        let mut small = Simulated::new(4);
        small.adaptive.refused(200_000, small.now);
        small.adaptive.refused(100_000, small.now);
        small.adaptive.refused(200_000, small.now);
        assert_eq!(small.adaptive.batch_bytes(), 99_999);
        let mut refusals = 0;
        let start = small.now;
        while small.now < start + Duration::from_secs(3_600) {
            let bytes = small.adaptive.batch_bytes();
            if bytes >= 100_000 {
                refusals += 1;
                small.adaptive.refused(bytes, small.now);
                small.adaptive.refused(bytes / 2, small.now);
            } else {
                small.answer(bytes, ms(1_000));
            }
            assert!(small.adaptive.batch_bytes() >= 50_000);
        }
        assert!((5..20).contains(&refusals), "{refusals} in an hour");
    }
}
