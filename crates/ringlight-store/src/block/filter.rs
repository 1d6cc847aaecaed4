//! Bloom filters: what a block certainly does not hold.

use twox_hash::XxHash3_64;

use ringlight_model::TraceId;

use super::Ranges;
use crate::query::EqualityForm;

/// Where a key belongs; part of what is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FilterScope {
    Intrinsic = 0,
    Span = 1,
    Resource = 2,
    Event = 3,
    Log = 4,
}

/// The hash of a key: XXH3 of the scope's byte and the key.
pub(crate) fn key_hash(scope: FilterScope, key: &str) -> u64 {
    XxHash3_64::oneshot_with_seed(scope as u64, key.as_bytes())
}

/// The hash of a key with a value: XXH3 of a byte for the form's kind and its bytes, seeded with
/// the hash of the key.
pub(crate) fn form_hash(key: u64, form: &EqualityForm<'_>) -> u64 {
    let fixed = |kind: u8, bits: u64| {
        let mut bytes = [kind; 9];
        bytes[1..].copy_from_slice(&bits.to_le_bytes());
        XxHash3_64::oneshot_with_seed(key, &bytes)
    };
    match form {
        EqualityForm::Str(text) => XxHash3_64::oneshot_with_seed(key, text.as_bytes()),
        EqualityForm::Int(value) => fixed(1, value.cast_unsigned()),
        EqualityForm::Double(bits) => fixed(2, *bits),
        EqualityForm::Bool(value) => fixed(3, u64::from(*value)),
    }
}

/// The hash of a trace id: XXH3 of its bytes on the wire.
pub(crate) fn trace_hash(trace_id: TraceId) -> u64 {
    XxHash3_64::oneshot(&trace_id.to_bytes())
}

/// The hash of three bytes in sequence.
pub(crate) fn trigram_hash(trigram: u32) -> u64 {
    XxHash3_64::oneshot(&trigram.to_le_bytes())
}

/// Every three bytes in sequence of a text, as integers.
pub(crate) fn trigrams(text: &str) -> impl Iterator<Item = u32> {
    text.as_bytes()
        .windows(3)
        .map(|bytes| u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]))
}

/// The smallest filter. Small blocks are read for nothing less often, at the cost of a few bytes.
const BITS_MIN: usize = 2048;

/// Collects the hashes a filter is made of, and the ranges of the numbers among the values.
#[derive(Debug, Default)]
pub(crate) struct FilterBuilder {
    hashes: Vec<u64>,
    ranges: Ranges,
}

impl FilterBuilder {
    /// Adds a key and gives its hash, for adding values with it.
    pub(crate) fn key(&mut self, scope: FilterScope, key: &str) -> u64 {
        let hash = key_hash(scope, key);
        self.hashes.push(hash);
        hash
    }

    /// Adds a key with a value.
    pub(crate) fn form(&mut self, key: u64, form: &EqualityForm<'_>) {
        self.hashes.push(form_hash(key, form));
        if let Some(number) = form.number() {
            self.ranges.add(key, number);
        }
    }

    /// The ranges of the numbers among the values added so far.
    pub(crate) fn take_ranges(&mut self) -> Ranges {
        std::mem::take(&mut self.ranges)
    }

    /// Adds a hash.
    pub(crate) fn hash(&mut self, hash: u64) {
        self.hashes.push(hash);
    }

    /// The filter: so many bits for each distinct hash, up to `bytes_max` in all. A filter that
    /// would need more answers "maybe" more often.
    pub(crate) fn build(mut self, bits_per_hash: usize, bytes_max: usize) -> Vec<u8> {
        self.hashes.sort_unstable();
        self.hashes.dedup();
        let bits = (self.hashes.len() * bits_per_hash)
            .next_multiple_of(64)
            .max(BITS_MIN)
            .min(bytes_max * 8);
        let probes = (bits / self.hashes.len().max(1)) * 7 / 10;
        let probes = probes.clamp(1, 12) as u8;
        let mut filter = vec![0_u8; 1 + bits / 8];
        filter[0] = probes;
        for hash in self.hashes {
            for bit in positions(hash, probes, bits as u64) {
                filter[1 + (bit / 8) as usize] |= 1 << (bit % 8);
            }
        }
        filter
    }
}

/// Whether a filter may hold a hash. One that is empty or damaged may hold anything.
pub(crate) fn may_contain(filter: &[u8], hash: u64) -> bool {
    let Some((&probes, bytes)) = filter.split_first() else {
        return true;
    };
    let bits = bytes.len() as u64 * 8;
    bits == 0
        || positions(hash, probes, bits)
            .all(|bit| bytes[(bit / 8) as usize] & (1 << (bit % 8)) != 0)
}

// Kirsch and Mitzenmacher: the n-th position is h1 + n * h2, brought into range by multiplication.
fn positions(hash: u64, probes: u8, bits: u64) -> impl Iterator<Item = u64> {
    let step = (hash >> 32) | 1;
    (0..u64::from(probes)).map(move |probe| {
        let mixed = hash.wrapping_add(probe.wrapping_mul(step)) & 0xffff_ffff;
        (mixed * bits) >> 32
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_found_and_little_else() {
        let mut builder = FilterBuilder::default();
        for n in 0..10_000 {
            builder.hash(trace_hash(TraceId::new(n)));
        }
        let filter = builder.build(10, 1 << 20);
        assert!((0..10_000).all(|n| may_contain(&filter, trace_hash(TraceId::new(n)))));
        let wrong = (10_000..110_000)
            .filter(|&n| may_contain(&filter, trace_hash(TraceId::new(n))))
            .count();
        assert!(wrong < 2_000, "{wrong} of 100000");
    }

    #[test]
    fn a_value_belongs_to_its_key_and_kind() {
        let mut builder = FilterBuilder::default();
        let key = builder.key(FilterScope::Span, "http.status");
        builder.form(key, &EqualityForm::Int(500));
        let filter = builder.build(64, 1 << 20);
        let check = |scope, key: &str, form: &EqualityForm<'_>| {
            may_contain(&filter, form_hash(key_hash(scope, key), form))
        };
        assert!(check(
            FilterScope::Span,
            "http.status",
            &EqualityForm::Int(500)
        ));
        assert!(!check(
            FilterScope::Span,
            "http.status",
            &EqualityForm::Int(501)
        ));
        assert!(!check(
            FilterScope::Span,
            "http.status",
            &EqualityForm::text("500")
        ));
        assert!(!check(
            FilterScope::Log,
            "http.status",
            &EqualityForm::Int(500)
        ));
    }

    #[test]
    fn a_filter_has_a_largest_size() {
        let mut builder = FilterBuilder::default();
        (0..100_000).for_each(|n| builder.hash(trace_hash(TraceId::new(n))));
        assert_eq!(builder.build(10, 1024).len(), 1025);
        assert!(may_contain(&FilterBuilder::default().build(10, 64)[..1], 7));
    }
}
