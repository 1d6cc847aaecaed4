//! The clock that spans are timed by.

use std::sync::Arc;

use ringlight_clock::{Clock, ManualTime};
use ringlight_collector::CollectorConfig;

use crate::support::{Answer, Scripted, config, record_span, start, wait_for};

const SECOND: u64 = 1_000_000_000;

#[test]
fn the_collector_keeps_the_clock_so_that_who_records_need_not() {
    let time = ManualTime::default();
    let clock = Arc::new(Clock::manual(time.clone()));
    let backend = Scripted::new("backend", Answer::Ok);
    let config = CollectorConfig {
        clock: Some(Arc::clone(&clock)),
        ..config()
    };
    let pipeline = start(config, &[&backend]);
    let recorder = pipeline.recorder();
    // Until renewals are a second apart.
    for _ in 0..20 {
        time.pass(SECOND);
        clock.keep();
    }
    for (number, day) in (1..=5).zip([9, 3, 7, 1, 5]) {
        let wall = day * 24 * 3600 * SECOND;
        // Too little for a reader to see to it.
        time.pass(SECOND);
        time.set_wall(wall);
        record_span(&recorder, number);
        wait_for(|| (clock.now().unix_nano == wall).then_some(()));
    }
}
