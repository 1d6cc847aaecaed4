//! The beginning of items that are longer.

use super::{FLAG_CUT, ItemHead, TAG_NAME, TAG_STATUS_MESSAGE, TAG_TEXT, WORD_BYTES};

/// Makes whole items of those from word `at` on, of which the last one may end too early: what is left
/// of it is cut if it is a text, and dropped otherwise.
pub fn trim_items(words: &mut Vec<u64>, mut at: usize) {
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
        if matches!(head.tag(), TAG_TEXT | TAG_NAME | TAG_STATUS_MESSAGE) && value_at < words.len()
        {
            let len_bytes = cut(&mut words[value_at..]);
            words[at] = ItemHead::new(head.tag(), head.flags() | FLAG_CUT, head.key(), len_bytes).0;
            words.truncate(value_at + (len_bytes as usize).div_ceil(WORD_BYTES));
            return;
        }
        break;
    }
    words.truncate(at);
}

/// Ends a text with its last whole character; its length in bytes.
fn cut(words: &mut [u64]) -> u32 {
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let whole = bytes
        .utf8_chunks()
        .next()
        .map_or(0, |chunk| chunk.valid().len());
    bytes[whole..].fill(0);
    let (chunks, _) = bytes.as_chunks::<WORD_BYTES>();
    for (word, chunk) in words.iter_mut().zip(chunks) {
        *word = u64::from_le_bytes(*chunk);
    }
    whole as u32
}
