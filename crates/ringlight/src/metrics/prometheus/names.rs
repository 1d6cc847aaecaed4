//! Names, units and labels as Prometheus has them.
//!
//! Source: OpenTelemetry specification, "Prometheus and OpenMetrics Compatibility".

use std::borrow::Cow;

/// The units of the semantic conventions, in words.
const UNITS: [(&str, &str); 29] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tebibytes"),
    ("KBy", "kilobytes"),
    ("kBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("bit", "bits"),
    ("m", "meters"),
    ("km", "kilometers"),
    ("g", "grams"),
    ("kg", "kilograms"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("%", "percent"),
];

/// What something is counted by, in words.
const PER: [(&str, &str); 7] = [
    ("s", "second"),
    ("m", "minute"),
    ("min", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
];

/// What a metric is to Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// The name of a family of samples, without `_total`, and its unit, which is the end of the name; empty if it has none.
pub(super) fn family(name: &str, unit: &str, kind: Kind) -> (String, String) {
    let mut family = metric(name);
    if kind == Kind::Counter {
        // What is only that stays a name.
        if let Some(rest) = family
            .strip_suffix("_total")
            .filter(|rest| !rest.is_empty())
        {
            family = rest.to_owned();
        }
    }
    let unit = self::unit(unit, kind);
    if unit.is_empty() || family == unit || family.ends_with(&format!("_{unit}")) {
        return (family, unit);
    }
    if family.contains(&format!("_{unit}_")) || family.starts_with(&format!("{unit}_")) {
        return (family, String::new());
    }
    (format!("{family}_{unit}"), unit)
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`
fn metric(name: &str) -> String {
    cleaned(name, |c| c.is_ascii_alphanumeric() || c == ':')
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`
pub(super) fn label(key: &str) -> String {
    cleaned(key, |c| c.is_ascii_alphanumeric())
}

/// With `_` for what is not allowed, one for several.
fn cleaned(text: &str, is_allowed: impl Fn(char) -> bool) -> String {
    let mut cleaned = String::with_capacity(text.len() + 1);
    if text.is_empty() || text.starts_with(|c: char| c.is_ascii_digit()) {
        cleaned.push('_');
    }
    for c in text.chars() {
        if is_allowed(c) {
            cleaned.push(c);
        } else if !cleaned.ends_with('_') {
            cleaned.push('_');
        }
    }
    cleaned
}

/// A unit in words. What is in braces, which says what is counted, is none.
fn unit(unit: &str, kind: Kind) -> String {
    let in_words = |text: &str, words: &[(&'static str, &'static str)]| -> String {
        let text = text.trim();
        if text.contains(['{', '}']) {
            return String::new();
        }
        let known = words.iter().find(|(short, _)| *short == text);
        let word = known.map_or(text, |(_, word)| word);
        cleaned(word, |c| c.is_ascii_alphanumeric())
            .trim_matches('_')
            .to_owned()
    };
    match unit.split_once('/') {
        Some((of, per)) => {
            let (of, per) = (in_words(of, &UNITS), in_words(per, &PER));
            match (of.is_empty(), per.is_empty()) {
                (_, true) => of,
                (true, false) => format!("per_{per}"),
                (false, false) => format!("{of}_per_{per}"),
            }
        }
        // Counters of things often have it, although they are no ratio.
        None if unit == "1" => match kind {
            Kind::Gauge => "ratio".to_owned(),
            Kind::Counter | Kind::Histogram => String::new(),
        },
        None => in_words(unit, &UNITS),
    }
}

/// A text in quotation marks.
pub(super) fn quoted(text: &str) -> Cow<'_, str> {
    escaped(text, true)
}

/// The text of a `HELP` line: without quotation marks, which OpenMetrics escapes there, too.
pub(super) fn help(text: &str, escapes_quotes: bool) -> Cow<'_, str> {
    escaped(text, escapes_quotes)
}

fn escaped(text: &str, escapes_quotes: bool) -> Cow<'_, str> {
    if !text.contains(['\\', '\n', '"']) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '"' if escapes_quotes => escaped.push_str("\\\""),
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_unit_in_words() {
        let check = |name: &str, unit: &str, kind, expected: (&str, &str)| {
            let (name, unit) = family(name, unit, kind);
            assert_eq!((&*name, &*unit), expected);
        };
        use Kind::{Counter, Gauge, Histogram};
        check("shop.orders", "{order}", Counter, ("shop_orders", ""));
        check("shop.orders_total", "", Counter, ("shop_orders", ""));
        check(
            "http.server.request.duration",
            "s",
            Histogram,
            ("http_server_request_duration_seconds", "seconds"),
        );
        check(
            "process.cpu.time",
            "s",
            Counter,
            ("process_cpu_time_seconds", "seconds"),
        );
        check("cpu_seconds", "s", Counter, ("cpu_seconds", "seconds"));
        check("seconds.behind", "s", Gauge, ("seconds_behind", ""));
        check(
            "process.memory.usage",
            "By",
            Gauge,
            ("process_memory_usage_bytes", "bytes"),
        );
        check(
            "process.cpu.utilization",
            "1",
            Gauge,
            ("process_cpu_utilization_ratio", "ratio"),
        );
        check("tries", "1", Counter, ("tries", ""));
        check(
            "speed",
            "m/s",
            Gauge,
            ("speed_meters_per_second", "meters_per_second"),
        );
        check(
            "flow",
            "{request}/s",
            Gauge,
            ("flow_per_second", "per_second"),
        );
        check("odd", "foo", Gauge, ("odd_foo", "foo"));
        check("1st..two--three", "", Gauge, ("_1st_two_three", ""));
        check("a:b", "", Gauge, ("a:b", ""));
        check("total", "", Counter, ("total", ""));
        check("größe", "", Gauge, ("gr_e", ""));
    }

    #[test]
    fn labels_and_texts_are_as_prometheus_takes_them() {
        assert_eq!(label("http.request.method"), "http_request_method");
        assert_eq!(label("a:b"), "a_b");
        assert_eq!(label("2xx"), "_2xx");
        assert_eq!(label(""), "_");
        assert_eq!(quoted("a\\b\"c\nd"), "a\\\\b\\\"c\\nd");
        assert_eq!(help("say \"a\"\n", false), "say \"a\"\\n");
        assert_eq!(help("say \"a\"", true), "say \\\"a\\\"");
        assert!(matches!(quoted("plain"), Cow::Borrowed(_)));
    }
}
