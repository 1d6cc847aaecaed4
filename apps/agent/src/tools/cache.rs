//! Results of tools that only look, kept until something changes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::Span;

/// Results kept; the one used least recently goes first.
const RESULTS_MAX: usize = 64;

/// A result, and what it is of.
#[derive(Debug)]
struct Entry {
    tool: String,
    arguments: String,
    /// How many writes there had been.
    writes: u64,
    result: String,
}

/// The results, the one used last at the end. Cheap to clone; all clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Cache {
    entries: Arc<Mutex<VecDeque<Entry>>>,
}

impl Cache {
    /// The result that the tool gave for the same arguments, if nothing was written since; `writes`
    /// tells how often something was.
    #[tracing::instrument(
        name = "tool.cache",
        skip_all,
        fields(gen_ai.tool.name = tool, cache.entries, cache.hit)
    )]
    pub(super) async fn look_up(&self, tool: &str, arguments: &str, writes: u64) -> Option<String> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| entry.writes == writes);
        let place = entries
            .iter()
            .position(|entry| entry.tool == tool && entry.arguments == arguments);
        let found = place.and_then(|place| entries.remove(place));
        let span = Span::current();
        span.record("cache.hit", found.is_some());
        let result = found.map(|entry| {
            let result = entry.result.clone();
            entries.push_back(entry);
            result
        });
        span.record("cache.entries", entries.len());
        result
    }

    /// Keeps a result.
    pub(super) fn keep(&self, tool: &str, arguments: &str, writes: u64, result: &str) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| entry.tool != tool || entry.arguments != arguments);
        entries.push_back(Entry {
            tool: tool.to_owned(),
            arguments: arguments.to_owned(),
            writes,
            result: result.to_owned(),
        });
        if entries.len() > RESULTS_MAX {
            entries.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_result_is_found_until_something_is_written() {
        let cache = Cache::default();
        assert_eq!(cache.look_up("wc", "a", 0).await, None);
        cache.keep("wc", "a", 0, "7");
        assert_eq!(cache.look_up("wc", "a", 0).await.as_deref(), Some("7"));
        assert_eq!(cache.look_up("wc", "b", 0).await, None);
        assert_eq!(cache.look_up("wc", "a", 1).await, None);
    }

    #[tokio::test]
    async fn what_is_used_least_goes_first() {
        let cache = Cache::default();
        for number in 0..RESULTS_MAX {
            cache.keep("wc", &number.to_string(), 0, "x");
        }
        assert!(cache.look_up("wc", "0", 0).await.is_some());
        cache.keep("wc", "one more", 0, "x");
        assert!(cache.look_up("wc", "0", 0).await.is_some());
        assert!(cache.look_up("wc", "1", 0).await.is_none());
    }
}
