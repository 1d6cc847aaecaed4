//! Attributes that are numbers, under names that are always the same, which a record gets when its span closes.

use ringlight_collector::record::{ItemWriter, Key, copy_words};

/// The attributes as items of a record, but for their values.
#[derive(Debug)]
pub(super) struct Numbers {
    words: Vec<u64>,
    /// Where in the words the values go.
    places: Vec<usize>,
}

impl Numbers {
    /// Integers of these names.
    pub(super) fn new(names: &[&str]) -> Self {
        let mut words = Vec::new();
        let place = |name: &&str| {
            let _ = ItemWriter::new(&mut words, usize::MAX).i64(Key::Name(name), 0);
            // A number is the last word of its item.
            words.len() - 1
        };
        let places = names.iter().map(place).collect();
        Self { words, places }
    }

    pub(super) fn len_bytes(&self) -> usize {
        self.words.len() * 8
    }

    /// Writes them with these values, in the order of their names, where there is room for
    /// [`len_bytes`](Self::len_bytes).
    pub(super) fn write(&self, values: &[i64], buffer: &mut [u8]) {
        copy_words(self.words.iter().copied(), buffer);
        let (words, _) = buffer.as_chunks_mut();
        for (place, value) in self.places.iter().zip(values) {
            if let Some(word) = words.get_mut(*place) {
                *word = value.to_le_bytes();
            }
        }
    }
}
