//! Cursors: where a page ended, and the moment the first page was asked for.

use ringlight_model::TraceId;

use crate::SearchError;

/// Behind which trace the next page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceCursor {
    /// Only requests up to this one count.
    pub(crate) last_seq: u64,
    pub(crate) start_unix_nano: u64,
    pub(crate) trace_id: TraceId,
}

/// Behind which log record the next page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogCursor {
    /// Only requests up to this one count.
    pub(crate) last_seq: u64,
    pub(crate) timestamp_unix_nano: u64,
    pub(crate) seq: u64,
    pub(crate) row: u32,
}

impl TraceCursor {
    pub(crate) fn write(self) -> String {
        format!(
            "t{:x}-{:x}-{}",
            self.last_seq, self.start_unix_nano, self.trace_id
        )
    }

    pub(crate) fn read(text: &str) -> Result<Self, SearchError> {
        let parse = || {
            let mut parts = text.strip_prefix('t')?.split('-');
            let cursor = Self {
                last_seq: u64::from_str_radix(parts.next()?, 16).ok()?,
                start_unix_nano: u64::from_str_radix(parts.next()?, 16).ok()?,
                trace_id: parts.next()?.parse().ok()?,
            };
            parts.next().is_none().then_some(cursor)
        };
        parse().ok_or_else(|| unknown(text))
    }
}

impl LogCursor {
    pub(crate) fn write(self) -> String {
        format!(
            "l{:x}-{:x}-{:x}-{:x}",
            self.last_seq, self.timestamp_unix_nano, self.seq, self.row
        )
    }

    pub(crate) fn read(text: &str) -> Result<Self, SearchError> {
        let parse = || {
            let mut parts = text.strip_prefix('l')?.split('-');
            let cursor = Self {
                last_seq: u64::from_str_radix(parts.next()?, 16).ok()?,
                timestamp_unix_nano: u64::from_str_radix(parts.next()?, 16).ok()?,
                seq: u64::from_str_radix(parts.next()?, 16).ok()?,
                row: u32::from_str_radix(parts.next()?, 16).ok()?,
            };
            parts.next().is_none().then_some(cursor)
        };
        parse().ok_or_else(|| unknown(text))
    }
}

fn unknown(text: &str) -> SearchError {
    SearchError::Cursor {
        cursor: text.chars().take(100).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back() {
        let cursor = TraceCursor {
            last_seq: 17,
            start_unix_nano: u64::MAX,
            trace_id: TraceId::new(0xabc),
        };
        assert_eq!(TraceCursor::read(&cursor.write()).unwrap(), cursor);
        let cursor = LogCursor {
            last_seq: 17,
            timestamp_unix_nano: 5,
            seq: 3,
            row: u32::MAX,
        };
        assert_eq!(LogCursor::read(&cursor.write()).unwrap(), cursor);
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "", "t", "l1-2-3-4", "t1-2", "t1-2-3", "t1-2-0-0", "tx-2-", "\u{0}",
        ] {
            assert!(TraceCursor::read(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "l1-2-3", "l1-2-3-100000000", "t1-2-3-4", "l1-2-3-4-5"] {
            assert!(LogCursor::read(bad).is_err(), "{bad:?}");
        }
    }
}
