//! How often is read what the process uses, by the file.

#[cfg(feature = "profiling")]
use std::time::Duration;

use super::environment::Reader;

pub(super) const KEY: &str = "system_metrics_interval_secs";

/// Below a second it is a second, since reading costs something.
#[cfg(feature = "profiling")]
pub(super) fn interval(reader: &mut Reader<'_>) -> Option<Duration> {
    let (seconds, origin) = reader.in_file(KEY)?;
    let seconds: u64 = seconds.parse().ok()?;
    if seconds == 0 {
        reader.say(format!(
            "{origin} is `0`, which is taken for 1, the least there is"
        ));
    }
    Some(Duration::from_secs(seconds.max(1)))
}

/// What is asked for and is not in this build.
#[cfg(not(feature = "profiling"))]
pub(super) fn warn_of_what_is_missing(reader: &mut Reader<'_>) {
    if let Some((_, origin)) = reader.in_file(KEY) {
        reader.say_without(&origin.to_string(), "profiling");
    }
}
