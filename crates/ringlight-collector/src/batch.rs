//! Open batches: encoded records by scope, until they become one request.

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use ringlight_otlp::encode::{self, proto};
use tokio::time::Instant;

use crate::encode::Encoder;
use crate::sync::unpoisoned;

/// Field numbers of `Export*ServiceRequest` and `Resource*`, which are the same for every
/// signal.
mod field {
    pub(super) const RESOURCES: u32 = 1;
    pub(super) const RESOURCE: u32 = 1;
    pub(super) const SCOPES: u32 = 2;
}

/// The batch of one signal that is being filled.
pub(crate) struct OpenBatch {
    /// Encoded items, indexed as the encoder's scopes.
    scopes: Vec<Vec<u8>>,
    /// The scopes that hold something, in the order they were met.
    used: Vec<usize>,
    records: u32,
    bytes: usize,
    oldest: Option<Instant>,
}

impl OpenBatch {
    pub(crate) const fn new() -> Self {
        Self {
            scopes: Vec::new(),
            used: Vec::new(),
            records: 0,
            bytes: 0,
            oldest: None,
        }
    }

    pub(crate) const fn records(&self) -> u32 {
        self.records
    }

    /// Encoded bytes of the items so far.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of its buffers.
    pub(crate) fn held_bytes(&self) -> usize {
        self.scopes.iter().map(Vec::capacity).sum()
    }

    /// When the first record came in.
    pub(crate) const fn oldest(&self) -> Option<Instant> {
        self.oldest
    }

    /// Adds one record, made after `since`, which `write` appends to the items of its scope.
    #[inline]
    pub(crate) fn add(&mut self, scope: usize, since: Instant, write: impl FnOnce(&mut Vec<u8>)) {
        if scope >= self.scopes.len() {
            self.scopes.resize_with(scope + 1, Vec::new);
        }
        let items = &mut self.scopes[scope];
        let before = items.len();
        if before == 0 {
            self.used.push(scope);
        }
        write(items);
        self.bytes += items.len() - before;
        self.records += 1;
        self.oldest.get_or_insert(since);
    }

    /// Makes the request and starts over. `resource` is an encoded `Resource` message.
    pub(crate) fn seal(&mut self, resource: &[u8], encoder: &Encoder, spare: &Spare) -> Bytes {
        let scope_len = |scope: usize| encoder.scope(scope).len() + self.scopes[scope].len();
        let scopes_len: usize = self.used.iter().map(|&s| field_len(scope_len(s))).sum();
        let resource_len = field_len(resource.len()) + scopes_len;

        let mut request = spare.take(field_len(resource_len));
        proto::delimited(&mut request, field::RESOURCES, resource_len);
        proto::bytes_field(&mut request, field::RESOURCE, resource);
        for &scope in &self.used {
            proto::delimited(&mut request, field::SCOPES, scope_len(scope));
            request.extend_from_slice(encoder.scope(scope));
            request.extend_from_slice(&self.scopes[scope]);
        }
        self.start_over();
        spare.lend(request)
    }

    fn start_over(&mut self) {
        // What the busiest scopes needed is kept, as long as all of them together stay near one
        // batch.
        let held: usize = self.scopes.iter().map(Vec::capacity).sum();
        let shrink = held > 2 * self.bytes.max(4096);
        for &scope in &self.used {
            self.scopes[scope].clear();
        }
        if shrink {
            self.scopes.iter_mut().for_each(|items| *items = Vec::new());
        }
        self.used.clear();
        self.records = 0;
        self.bytes = 0;
        self.oldest = None;
    }
}

/// Bytes of a length-delimited field with a one-byte tag.
const fn field_len(content: usize) -> usize {
    1 + encode::proto::varint_size(content as u64) + content
}

/// Buffers of requests that have been answered, for the requests to come.
///
/// Spare buffers and buffers in use together keep to the bound of a destination's queue, unless the
/// queue alone is over it.
#[derive(Clone)]
pub(crate) struct Spare {
    shared: Arc<Mutex<Buffers>>,
}

struct Buffers {
    spare: Vec<Vec<u8>>,
    /// Capacity of all buffers, spare and lent.
    bytes: usize,
    bytes_max: usize,
}

impl Spare {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            shared: Arc::new(Mutex::new(Buffers {
                spare: Vec::new(),
                bytes: 0,
                bytes_max,
            })),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Buffers> {
        unpoisoned(self.shared.lock())
    }

    /// An empty buffer with room for at least `capacity` bytes.
    fn take(&self, capacity: usize) -> Vec<u8> {
        let mut buffers = self.lock();
        let mut buffer = buffers.spare.pop().unwrap_or_default();
        let before = buffer.capacity();
        buffer.clear();
        buffer.reserve_exact(capacity);
        buffers.bytes += buffer.capacity() - before;
        buffer
    }

    /// Bytes of all buffers, spare and lent.
    pub(crate) fn held_bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lend(&self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent {
            buffer,
            home: self.clone(),
        })
    }
}

/// A buffer that comes home when the last reference to it goes.
struct Lent {
    buffer: Vec<u8>,
    home: Spare,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut buffers = self.home.lock();
        if buffers.bytes <= buffers.bytes_max {
            buffers.spare.push(std::mem::take(&mut self.buffer));
        } else {
            buffers.bytes -= self.buffer.capacity();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_used_again_and_keep_to_their_bound() {
        let spare = Spare::new(4096);
        let lend = || {
            let mut buffer = spare.take(1500);
            buffer.push(7);
            spare.lend(buffer)
        };
        let lent: Vec<_> = (0..4).map(|_| lend()).collect();
        let places: Vec<_> = lent.iter().map(|bytes| bytes.as_ptr()).collect();
        assert_eq!(spare.lock().bytes, 6000);
        drop(lent);
        assert!(spare.lock().bytes <= 4096);
        assert!(places.contains(&lend().as_ptr()));
        // Over and over, nothing grows.
        for _ in 0..100 {
            drop((lend(), lend()));
        }
        assert!(spare.lock().bytes <= 4096);
        let held: usize = spare.lock().spare.iter().map(Vec::capacity).sum();
        assert_eq!(held, spare.lock().bytes);
    }
}
