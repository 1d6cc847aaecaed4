//! The states of the breaker and the arithmetic of the limiters against their laws.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// What a breaker is to do, written down as its description has it: from everything that happened since
/// its last change of state.
struct Reference {
    config: CircuitBreakerConfig,
    state: CircuitState,
    until: Instant,
    /// The ends of the calls let through in this state, in the order in which they were told.
    ends: Vec<bool>,
    /// Calls let through in this state that have not ended.
    under_way: Vec<usize>,
}

impl Reference {
    fn change(&mut self, state: CircuitState) {
        self.state = state;
        self.ends.clear();
        self.under_way.clear();
    }

    fn admits(&mut self, call: usize, now: Instant) -> bool {
        if self.state == CircuitState::Open && now >= self.until {
            self.change(CircuitState::HalfOpen);
        }
        let admits = match self.state {
            CircuitState::Closed => true,
            CircuitState::Open => false,
            CircuitState::HalfOpen => self.under_way.is_empty(),
        };
        if admits {
            self.under_way.push(call);
        }
        admits
    }

    fn ended(&mut self, call: usize, is_success: bool, now: Instant, open_for: Duration) {
        let Some(index) = self.under_way.iter().position(|&known| known == call) else {
            return;
        };
        self.under_way.remove(index);
        self.ends.push(is_success);
        let in_a_row = |what: bool| {
            self.ends
                .iter()
                .rev()
                .take_while(|&&end| end == what)
                .count()
        };
        let opens = match self.state {
            CircuitState::Closed => in_a_row(false) >= self.config.failure_threshold as usize,
            _ => !is_success,
        };
        let closes = self.state == CircuitState::HalfOpen
            && in_a_row(true) >= self.config.success_threshold as usize;
        if opens {
            self.until = now + open_for;
            self.change(CircuitState::Open);
        } else if closes {
            self.change(CircuitState::Closed);
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Call,
    /// Ends one of the calls under way, in any order.
    End {
        which: prop::sample::Index,
        is_success: bool,
    },
    Pass(Duration),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Call),
        4 => (any::<prop::sample::Index>(), prop::bool::weighted(0.4))
            .prop_map(|(which, is_success)| Step::End { which, is_success }),
        2 => (0_u64..15_000).prop_map(|time| Step::Pass(ms(time))),
    ]
}

proptest! {
    #[test]
    fn a_breaker_does_what_its_description_says(
        failure_threshold in 1_u32..6,
        success_threshold in 1_u32..4,
        steps in vec(step(), 0..200),
    ) {
        let config = CircuitBreakerConfig {
            failure_threshold,
            success_threshold,
            reset_timeout: seconds(10),
        };
        let start = Instant::now();
        let mut now = start;
        let mut breaker = CircuitBreaker::new(config);
        let mut reference = Reference {
            config,
            state: CircuitState::Closed,
            until: start,
            ends: Vec::new(),
            under_way: Vec::new(),
        };
        let mut permits = BTreeMap::new();
        let mut changes = (0, 0);
        for (call, step) in steps.into_iter().enumerate() {
            let before = reference.state;
            match step {
                Step::Pass(time) => now += time,
                Step::Call => {
                    let admitted = breaker.admit(now);
                    prop_assert_eq!(admitted.is_ok(), reference.admits(call, now));
                    match admitted {
                        Ok(permit) => {
                            permits.insert(call, permit);
                        }
                        Err(open) if reference.state == CircuitState::Open => {
                            prop_assert_eq!(now + open.retry_after, reference.until);
                        }
                        Err(open) => prop_assert!(!open.retry_after.is_zero()),
                    }
                }
                Step::End { which, is_success } if !permits.is_empty() => {
                    let calls: Vec<usize> = permits.keys().copied().collect();
                    let call = *which.get(&calls);
                    let permit = permits.remove(&call).unwrap();
                    if is_success {
                        breaker.succeeded(permit);
                    } else {
                        breaker.failed(permit, now, config.reset_timeout);
                    }
                    reference.ended(call, is_success, now, config.reset_timeout);
                }
                Step::End { .. } => {}
            }
            prop_assert_eq!(breaker.state(), reference.state);
            if before != reference.state {
                changes.0 += u64::from(reference.state == CircuitState::Open);
                changes.1 += u64::from(reference.state == CircuitState::Closed);
            }
            prop_assert_eq!((breaker.opened(), breaker.closed()), changes);
            if reference.state == CircuitState::HalfOpen {
                prop_assert!(reference.under_way.len() <= 1);
            }
        }
    }
}

/// Batches as they come: milliseconds after the one before, and what they cost.
fn arrivals(cost_max: u64) -> impl Strategy<Value = Vec<(u64, u64)>> {
    vec(
        (prop_oneof![Just(0), 0_u64..50, 0_u64..3_000], 0..=cost_max),
        1..80,
    )
}

/// When each of them has its turn, since the first one came.
fn turns(limiter: &impl RateLimiter, arrivals: &[(u64, u64)]) -> Vec<(Duration, u64)> {
    let start = Instant::now();
    let mut now = start;
    let turn = |&(later, bytes): &(u64, u64)| {
        now += ms(later);
        let cost = Cost { records: 1, bytes };
        let before = limiter.reserve(cost, now, Duration::MAX);
        let wait = before.expect("nobody minds waiting");
        (now + wait - start, bytes)
    };
    arrivals.iter().map(turn).collect()
}

fn quota(amount: u64, per_ms: u64) -> Quota {
    Quota {
        unit: RateUnit::Bytes,
        amount,
        per: ms(per_ms),
    }
}

proptest! {
    #[test]
    fn a_bucket_lets_no_more_through_than_its_burst_and_what_drips_in(
        (amount, per_ms, burst) in (1_u64..200, 1_u64..2_000, 1_u64..300),
        arrivals in arrivals(400),
    ) {
        let bucket = TokenBucket::new(quota(amount, per_ms), burst).unwrap();
        let turns = turns(&bucket, &arrivals);
        prop_assert!(turns.is_sorted_by_key(|turn| turn.0));
        for (from, first) in turns.iter().enumerate() {
            let mut passed = 0_u128;
            for (at, cost) in &turns[from..] {
                // One that is larger than a burst takes the time it costs after its turn, not before.
                let counts = u128::from(*cost.min(&burst));
                let dripped = (*at - first.0).as_nanos() * u128::from(amount);
                let allowed = u128::from(burst) * ms(per_ms).as_nanos() + dripped;
                prop_assert!((passed + counts) * ms(per_ms).as_nanos() <= allowed);
                passed += u128::from(*cost);
            }
        }
    }

    #[test]
    fn a_bucket_lets_through_what_there_is_room_for(
        (amount, per_ms, burst) in (1_u64..200, 1_u64..2_000, 1_u64..300),
        arrivals in arrivals(400),
    ) {
        // Waits are no longer than the debt: a bucket from which all of it was taken is full again once it has
        // dripped in.
        let bucket = TokenBucket::new(quota(amount, per_ms), burst).unwrap();
        let mut now = Instant::now();
        let mut total = 0_u128;
        for (_, bytes) in &arrivals {
            let cost = Cost { records: 1, bytes: *bytes };
            bucket.reserve(cost, now, Duration::MAX).unwrap();
            total += u128::from(*bytes);
        }
        let nanos = total * ms(per_ms).as_nanos() / u128::from(amount) + arrivals.len() as u128;
        now += Duration::from_nanos(nanos as u64);
        let burst = Cost { records: 1, bytes: burst };
        prop_assert_eq!(bucket.reserve(burst, now, Duration::ZERO), Ok(Duration::ZERO));
    }

    #[test]
    fn no_stretch_of_time_as_long_as_the_window_has_more_than_the_quota(
        (amount, per_ms) in (1_u64..200, 1_u64..2_000),
        arrivals in arrivals(300),
    ) {
        let window = SlidingWindow::new(quota(amount, per_ms)).unwrap();
        let turns = turns(&window, &arrivals);
        prop_assert!(turns.is_sorted_by_key(|turn| turn.0));
        for (from, first) in turns.iter().enumerate() {
            let within = turns[from..].iter().take_while(|turn| turn.0 < first.0 + ms(per_ms));
            let costs: Vec<u64> = within.map(|turn| turn.1).collect();
            let paid = costs.iter().filter(|cost| **cost > 0).count();
            let sum: u64 = costs.iter().sum();
            prop_assert!(sum <= amount || paid == 1, "{costs:?} of {amount}");
        }
    }

    #[test]
    fn a_turn_that_is_too_far_away_takes_nothing(
        (amount, per_ms) in (1_u64..200, 1_u64..2_000),
        arrivals in arrivals(300),
        bytes in 1_u64..300,
    ) {
        let quota = quota(amount, per_ms);
        let limiters: [RateLimiterBoxed; 2] = [
            Box::new(TokenBucket::new(quota, amount).unwrap()),
            Box::new(SlidingWindow::new(quota).unwrap()),
        ];
        for limiter in limiters {
            let now = Instant::now() + seconds(1_000);
            let _ = turns(&limiter, &arrivals);
            let cost = Cost { records: 1, bytes };
            // A first one, so that there is a wait for what comes next.
            let wait = limiter.reserve(cost, now, Duration::MAX).unwrap();
            if let Err(wait) = limiter.reserve(cost, now, wait) {
                for _ in 0..3 {
                    prop_assert_eq!(limiter.reserve(cost, now, wait - ms(1) / 1_000), Err(wait));
                }
                prop_assert_eq!(limiter.reserve(cost, now, wait), Ok(wait));
            }
        }
    }
}
