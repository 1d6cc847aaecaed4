//! Durations as people write them.

use std::time::Duration;

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseDurationError {
    /// Nothing was given.
    #[error("the duration is empty")]
    Empty,
    /// A number without a unit.
    #[error("`{0}` has no unit of time")]
    NoUnit(String),
    /// A unit that is none of ours.
    #[error("`{0}` is no unit of time")]
    UnknownUnit(String),
    /// A part that does not begin with digits.
    #[error("`{0}` does not begin with a number")]
    NoNumber(String),
    /// Longer than a hundred years.
    #[error("`{0}` is longer than 100 years")]
    TooLong(String),
}

impl ParseDurationError {
    /// What to write instead.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoUnit(digits) => {
                format!("write for example `{digits}s`, `{digits}m`, `{digits}h` or `{digits}d`")
            }
            Self::UnknownUnit(_) => "the units are `ms`, `s`, `m`, `h`, `d` and `w`".to_owned(),
            Self::TooLong(_) => "at most `36500d`".to_owned(),
            Self::Empty | Self::NoNumber(_) => {
                "write for example `20s`, `1h30m` or `7d`".to_owned()
            }
        }
    }
}

const MILLIS_MAX: u64 = 36_500 * 24 * 60 * 60 * 1_000;

/// Reads a duration such as `500ms`, `20s`, `1h30m` or `7d`.
///
/// Whole numbers with a unit each, added up; units `ms`, `s`, `m`, `h`, `d`, `w`. Zero needs a unit
/// too.
///
/// # Errors
/// A text of another form, or more than 100 years.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use ringlight_app_harness::parse_duration;
///
/// assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5_400)));
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, ParseDurationError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(ParseDurationError::Empty);
    }
    let mut rest = text;
    let mut total_millis = 0_u64;
    while !rest.is_empty() {
        let digits_end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (digits, after) = rest.split_at(digits_end);
        if digits.is_empty() {
            return Err(ParseDurationError::NoNumber(rest.to_owned()));
        }
        let unit_end = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let unit_millis = match unit.trim() {
            "" => return Err(ParseDurationError::NoUnit(digits.to_owned())),
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            other => return Err(ParseDurationError::UnknownUnit(other.to_owned())),
        };
        total_millis = digits
            .parse::<u64>()
            .ok()
            .and_then(|count| count.checked_mul(unit_millis))
            .and_then(|millis| total_millis.checked_add(millis))
            .filter(|millis| *millis <= MILLIS_MAX)
            .ok_or_else(|| ParseDurationError::TooLong(text.to_owned()))?;
        rest = next.trim_start();
    }
    Ok(Duration::from_millis(total_millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<u64, &str>) {
        let actual = parse_duration(text);
        match expected {
            Ok(millis) => assert_eq!(actual, Ok(Duration::from_millis(millis)), "{text}"),
            Err(part) => {
                let error = actual.expect_err(text);
                let message = format!("{error}; {}", error.hint());
                assert!(message.contains(part), "{text}: {message}");
            }
        }
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        check("20s", Ok(20_000));
        check("500ms", Ok(500));
        check("7d", Ok(604_800_000));
        check("1w", Ok(604_800_000));
        check("1h30m", Ok(5_400_000));
        check(" 1h 30m ", Ok(5_400_000));
        check("0s", Ok(0));
    }

    #[test]
    fn a_wrong_duration_says_what_to_write() {
        check("", Err("is empty; write for example `20s`"));
        check("20", Err("write for example `20s`"));
        check("20x", Err("`x` is no unit of time"));
        check("s", Err("does not begin with a number"));
        check("-5s", Err("does not begin with a number"));
        check("1.5h", Err("`.` is no unit"));
        check("99999999999999999999d", Err("longer than"));
        check("36501d", Err("longer than 100 years; at most `36500d`"));
    }
}
