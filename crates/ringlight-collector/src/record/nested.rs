//! Copying items that have items within them.

use super::read::Word;
use super::{ItemHead, WORD_BYTES};

/// An item that is being copied, up to the items within it.
pub(crate) struct Nested {
    /// Where it begins.
    head_at: usize,
    /// Where its value begins.
    value_at: usize,
}

/// Copies the beginning of an item that has items within it, up to these.
pub(crate) fn open_nested(copy: &mut Vec<u64>, item: &[Word]) -> Nested {
    let head_at = copy.len();
    let word = item.first().map_or(0, |word| u64::from_le_bytes(*word));
    let head = ItemHead(word);
    let value_at = head_at + 1 + head.key_words();
    let before = 1 + head.key_words() + head.nested_at().unwrap_or(0);
    let words = item.iter().take(before);
    copy.extend(words.map(|word| u64::from_le_bytes(*word)));
    debug_assert!(item.len() * WORD_BYTES >= before);
    Nested { head_at, value_at }
}

/// Ends it after the items within it have been appended; what is in place of its key.
pub(crate) fn close_nested(copy: &mut [u64], nested: Nested, key: u16) {
    let len = copy.len().saturating_sub(nested.value_at);
    if let Some(word) = copy.get_mut(nested.head_at) {
        let head = ItemHead(*word);
        *word = ItemHead::new(head.tag(), head.flags(), key, len as u32).0;
    }
}
