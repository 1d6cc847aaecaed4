//! How durations are written for people.

use std::fmt;
use std::time::Duration;

/// A duration as a number and its unit, such as `200 ms` or `1.5 s`, to three decimal places.
pub(crate) struct Readable(pub(crate) Duration);

impl fmt::Display for Readable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        let (value, unit) = match self.0.as_nanos() {
            0 => (0.0, "s"),
            1..1_000 => (seconds * 1e9, "ns"),
            1_000..1_000_000 => (seconds * 1e6, "µs"),
            1_000_000..1_000_000_000 => (seconds * 1e3, "ms"),
            _ => (seconds, "s"),
        };
        write!(f, "{} {unit}", (value * 1000.0).round() / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_the_unit_a_person_would_choose() {
        let check = |duration, expected: &str| {
            assert_eq!(Readable(duration).to_string(), expected);
        };
        check(Duration::ZERO, "0 s");
        check(Duration::from_nanos(12), "12 ns");
        check(Duration::from_nanos(1_500), "1.5 µs");
        check(Duration::from_millis(200), "200 ms");
        check(Duration::from_micros(1_234_567), "1.235 s");
        check(Duration::from_secs(10), "10 s");
        check(Duration::from_secs(3600), "3600 s");
    }
}
