//! Sizes as people write them.

/// Reads a size such as `500MiB`, `4GiB`, `2GB` or a plain number of bytes.
///
/// The error is the message and a hint.
pub(crate) fn parse_size(text: &str) -> Result<u64, (String, String)> {
    let text = text.trim();
    let wrong = |message: String| (message, "write for example `500MiB` or `4GiB`".to_owned());
    let digits_end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    if digits.is_empty() {
        return Err(wrong(format!("`{text}` does not begin with a number")));
    }
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        "tib" | "t" => 1 << 40,
        _ => {
            return Err((
                format!("`{}` is no unit of size", unit.trim()),
                "the units are `KiB`, `MiB`, `GiB`, `TiB`, `kB`, `MB`, `GB` and `TB`".to_owned(),
            ));
        }
    };
    digits
        .parse::<u64>()
        .ok()
        .and_then(|count| count.checked_mul(factor))
        .ok_or_else(|| wrong(format!("`{text}` is too large")))
}

/// A size for people, with a unit that keeps it short.
pub(crate) fn show_size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<u64, &str>) {
        match (parse_size(text), expected) {
            (Ok(bytes), Ok(expected)) => assert_eq!(bytes, expected, "{text}"),
            (Err((message, hint)), Err(expected)) => {
                let line = format!("{message}; {hint}");
                assert!(line.contains(expected), "{text}: {line}");
            }
            (found, _) => panic!("{text}: {found:?}"),
        }
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        check("4GiB", Ok(4 << 30));
        check("500 MiB", Ok(500 << 20));
        check("2GB", Ok(2_000_000_000));
        check("1048576", Ok(1 << 20));
        check("1t", Ok(1 << 40));
    }

    #[test]
    fn a_wrong_size_says_what_to_write() {
        check("", Err("does not begin with a number; write for example"));
        check("-1GiB", Err("does not begin with a number"));
        check(
            "4 parsecs",
            Err("`parsecs` is no unit of size; the units are"),
        );
        check("1.5GiB", Err("`.5GiB` is no unit"));
        check("99999999999999999999", Err("is too large"));
        check("99999999TiB", Err("is too large"));
    }

    #[test]
    fn sizes_are_shown_short() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (5 << 20, "5.0 MiB"),
            (3 << 50, "3072.0 TiB"),
        ] {
            assert_eq!(show_size(bytes), expected);
        }
    }
}
