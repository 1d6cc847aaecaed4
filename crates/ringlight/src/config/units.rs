//! Sizes and times as people write them: a whole number and a unit.

use std::time::Duration;

/// What [`size`] takes.
pub(super) const SIZES: &str =
    "a size, a whole number of `KiB`, `MiB`, `GiB`, `TiB`, `kB`, `MB` or `GB`";

/// What [`duration`] takes.
pub(super) const DURATIONS: &str = "a time, a whole number of `ms`, `s`, `m`, `h` or `d`";

/// Bytes; a number without a unit is bytes, too.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// A time, which has a unit.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let factor_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(factor_ms).map(Duration::from_millis)
}

/// A time in the largest unit that has it whole.
pub(super) fn written(time: Duration) -> String {
    let ms = time.as_millis();
    for (unit, factor_ms) in [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
    ] {
        if ms > 0 && ms.is_multiple_of(factor_ms) {
            return format!("{}{unit}", ms / factor_ms);
        }
    }
    format!("{ms}ms")
}

/// A size in the largest unit that has it whole.
pub(super) fn written_size(bytes: u64) -> String {
    for (unit, factor) in [
        ("TiB", 1 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1_u64 << 10),
    ] {
        if bytes > 0 && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    bytes.to_string()
}

/// A number and a unit.
fn split(text: &str) -> Option<(u64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_is_written() {
        for text in ["1ms", "200ms", "10s", "90m", "12h", "3d", "0ms"] {
            assert_eq!(written(duration(text).unwrap()), text);
        }
        for text in ["1KiB", "500MiB", "1GiB", "3TiB", "1000", "0"] {
            assert_eq!(written_size(size(text).unwrap()), text);
        }
        assert_eq!(size("2 MB"), Some(2_000_000));
        for text in [
            "",
            "s",
            "3",
            "-1s",
            "1.5s",
            "3 parsecs",
            "99999999999999999d",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
        for text in ["", "MiB", "1G", "4 parsecs", "99999999999999GiB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }
}
