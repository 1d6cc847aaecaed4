//! Times as RFC 3339 in UTC, which is ISO 8601, too.

use std::fmt::{self, Write};

/// Writes Unix nanoseconds as, for instance, `2026-11-20T08:47:54.000001Z`.
#[cfg(feature = "fmt")]
pub(crate) fn write_time(out: &mut impl Write, unix_nano: u64) -> fmt::Result {
    let micros = unix_nano % 1_000_000_000 / 1000;
    write_second(out, unix_nano / 1_000_000_000)?;
    write!(out, ".{micros:06}Z")
}

/// Unix seconds as, for instance, `2026-11-20T08:47:54Z`.
#[cfg(target_os = "linux")]
pub(crate) fn of_seconds(unix_seconds: u64) -> String {
    let mut text = String::with_capacity(20);
    // Writing to a string cannot fail.
    let _ = write_second(&mut text, unix_seconds);
    text.push('Z');
    text
}

fn write_second(out: &mut impl Write, seconds: u64) -> fmt::Result {
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    write!(
        out,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
    )
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
///
/// Years are counted from March, so that the leap day is the last of its year; 400 of them have
/// 146 097 days.
const fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        let check = |seconds: u64, expected: &str| {
            let mut text = String::new();
            write_second(&mut text, seconds).unwrap();
            assert_eq!(text, expected);
        };
        check(0, "1970-01-01T00:00:00");
        check(951_827_696, "2000-02-29T12:34:56");
        check(951_868_800, "2000-03-01T00:00:00");
        check(1_709_164_799, "2024-02-28T23:59:59");
        check(4_107_542_400, "2100-03-01T00:00:00");
        check(u64::MAX / 1_000_000_000, "2554-07-21T23:34:33");
    }

    #[cfg(feature = "fmt")]
    #[test]
    fn times_of_records_are_to_the_microsecond() {
        let check = |unix_nano: u64, expected: &str| {
            let mut text = String::new();
            write_time(&mut text, unix_nano).unwrap();
            assert_eq!(text, expected);
        };
        check(1_000, "1970-01-01T00:00:00.000001Z");
        check(999_999_999, "1970-01-01T00:00:00.999999Z");
        check(u64::MAX, "2554-07-21T23:34:33.709551Z");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn times_of_processes_are_to_the_second() {
        assert_eq!(of_seconds(951_827_696), "2000-02-29T12:34:56Z");
    }
}
