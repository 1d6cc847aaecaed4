//! The beginning of items that are longer.

use super::{FLAG_CUT, ItemHead, TAG_NAME, TAG_STATUS_MESSAGE, TAG_TEXT, WORD_BYTES};

/// Makes whole items of those from word `at` on, of which the last one may end too early: what is left
/// of it is cut if it is a text, and dropped otherwise. How many words are left, with those before.
#[must_use]
pub fn trim_items(words: &mut [u64], mut at: usize) -> usize {
    while let Some(&word) = words.get(at) {
        let head = ItemHead(word);
        let Some(value_words) = head.value_words() else {
            break;
        };
        let value_at = at + 1 + head.key_words();
        let end = value_at + value_words;
        if end <= words.len() {
            at = end;
            continue;
        }
        if matches!(head.tag(), TAG_TEXT | TAG_NAME | TAG_STATUS_MESSAGE)
            && let Some(value) = words.get_mut(value_at..)
            && let Some((last, before)) = value.split_last_mut()
        {
            let len_bytes = before.len() * WORD_BYTES + cut(last);
            words[at] = ItemHead::new(
                head.tag(),
                head.flags() | FLAG_CUT,
                head.key(),
                len_bytes as u32,
            )
            .0;
            return value_at + len_bytes.div_ceil(WORD_BYTES);
        }
        break;
    }
    at
}

/// Ends a text with its last whole character, by its last word; how many bytes of that are left.
fn cut(last: &mut u64) -> usize {
    let mut bytes = last.to_le_bytes();
    let is_start = |byte: &u8| byte & 0xc0 != 0x80;
    let whole = match bytes.iter().rposition(is_start) {
        Some(at) if at + char_len(bytes[at]) > WORD_BYTES => at,
        _ => WORD_BYTES,
    };
    bytes[whole..].fill(0);
    *last = u64::from_le_bytes(bytes);
    whole
}

/// How many bytes a character has that begins with this one.
const fn char_len(first: u8) -> usize {
    match first.leading_ones() {
        0 => 1,
        ones => ones as usize,
    }
}
