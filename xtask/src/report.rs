//! Reads the closing lines of test runners and adds them up.

/// Tests counted so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed.
    pub(crate) failed: u64,
}

impl Count {
    /// Adds what a line of a test runner's output reports, if it reports anything.
    ///
    /// Understood are the closing lines of `cargo test` (`test result: ok. 3 passed; 0 failed; ..`),
    /// Vitest (`Tests  3 passed (3)`), Playwright (`  3 passed (2.1s)`), Python's `unittest`
    /// (`Ran 3 tests in 0.1s`, then `FAILED (failures=1, errors=1)` where some of them did) and Node's
    /// test runner where it writes TAP (`# pass 3`, then `# fail 0`).
    pub(crate) fn read_line(&mut self, line: &str) {
        let plain = without_escapes(line);
        let text = plain.trim();
        let is_cargo = text.starts_with("test result:");
        let is_vitest = text.starts_with("Tests ");
        let is_playwright = text.starts_with(|c: char| c.is_ascii_digit())
            && (text.contains(" passed (")
                || text.ends_with(" failed")
                || text.ends_with(" flaky"));
        if is_cargo || is_vitest || is_playwright {
            self.passed += number_before(text, "passed");
            self.failed += number_before(text, "failed") + number_before(text, "flaky");
        } else if let Some(rest) = text.strip_prefix("# pass ") {
            self.passed += rest.parse::<u64>().unwrap_or_default();
        } else if let Some(rest) = text.strip_prefix("# fail ") {
            self.failed += rest.parse::<u64>().unwrap_or_default();
        } else if let Some(rest) = text.strip_prefix("Ran ") {
            self.passed += number_before(rest, "test").max(number_before(rest, "tests"));
        } else if let Some(rest) = text.strip_prefix("FAILED (") {
            let failed: u64 = rest
                .trim_end_matches(')')
                .split(", ")
                .filter_map(|part| part.split_once('='))
                .filter(|(what, _)| matches!(*what, "failures" | "errors"))
                .filter_map(|(_, count)| count.parse::<u64>().ok())
                .sum();
            self.failed += failed;
            self.passed = self.passed.saturating_sub(failed);
        }
    }
}

fn number_before(text: &str, word: &str) -> u64 {
    let words: Vec<&str> = text
        .split([' ', ';', ',', '|'])
        .filter(|w| !w.is_empty())
        .collect();
    words
        .windows(2)
        .filter(|pair| pair[1] == word)
        .filter_map(|pair| pair[0].parse::<u64>().ok())
        .sum()
}

fn without_escapes(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            for c in chars.by_ref() {
                if c.is_ascii_alphabetic() {
                    break;
                }
            }
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_understood() {
        let check = |line: &str, passed: u64, failed: u64| {
            let mut count = Count::default();
            count.read_line(line);
            assert_eq!(count, Count { passed, failed }, "{line}");
        };
        check(
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; finished",
            12,
            0,
        );
        check("test result: FAILED. 3 passed; 2 failed; 0 ignored", 3, 2);
        check(
            "\u{1b}[2m      Tests \u{1b}[22m \u{1b}[32m31 passed\u{1b}[39m (31)",
            31,
            0,
        );
        check("      Tests  1 failed | 30 passed (31)", 30, 1);
        check("  9 passed (14.2s)", 9, 0);
        check("  2 failed", 0, 2);
        check("Ran 4 tests in 2.112s", 4, 0);
        check("Ran 1 test in 2.112s", 1, 0);
        check("# pass 6", 6, 0);
        check("# fail 2", 0, 2);
        check("# pass the salt", 0, 0);
        let mut count = Count::default();
        count.read_line("Ran 9 tests in 2.112s");
        count.read_line("FAILED (failures=2, errors=1, skipped=1)");
        assert_eq!((count.passed, count.failed), (6, 3));
        check("12 files changed", 0, 0);
        check("all tests passed (or so one says)", 0, 0);
    }
}
