//! Whose ring it is, and what of its counters is whose.
//!
//! Counters go on from one owner of a ring to the next, so that their totals never lose anything. What
//! they showed when a ring was handed on is kept beside it: the difference is the present owner's.

use crate::{
    spsc::{COUNTERS, Ring},
    sync::Arc,
};

/// Characters of a thread's name that are kept.
const NAME_CHARS_MAX: usize = 64;

/// A thread that registered for a ring.
///
/// A producer may be taken to another thread: this is the one that asked for the ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerThread {
    /// Its name: up to 64 characters, `thread` and its id if it has none.
    pub name: String,
    /// The number the standard library gives it, which is never that of another thread of the process:
    /// the one in `ThreadId(1)`.
    pub id: u64,
}

impl OwnerThread {
    /// Also where `std::thread::current` panics, since the thread's own handle is gone: in destructors of
    /// POSIX keys. A scope can be had there all the same, with a handle that has the number but not the
    /// name, and it shows what it has.
    fn current() -> Self {
        let shown = std::thread::scope(|scope| format!("{scope:?}"));
        // Its number has no method of its own; zero is the number of no thread.
        let number = shown.split_once("ThreadId(").map_or("", |(_, rest)| rest);
        let number = number.split(')').next().unwrap_or_default();
        let id = number.parse().unwrap_or(0);
        // The main thread has its name without a handle. Any other name is that of the thread's own
        // handle. Names are shown with their quotes escaped, so that none looks like either.
        let name = if shown.contains("name: Some(\"main\")") {
            "main".to_owned()
        } else if shown.contains("name: Some(\"") {
            let thread = std::thread::current();
            let name = thread.name().unwrap_or_default();
            name.chars().take(NAME_CHARS_MAX).collect()
        } else {
            format!("thread {id}")
        };
        Self { name, id }
    }
}

/// Whose a ring is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner<'a> {
    /// Of a thread.
    Thread(&'a OwnerThread),
    /// Of every thread that has none.
    Shared,
    /// The last owner is gone.
    Nobody,
}

/// One ring at one moment.
#[derive(Debug, Clone, Copy)]
pub struct RingUse<'a> {
    /// Whose it is.
    pub owner: Owner<'a>,
    /// What this owner counted; zeros without one.
    pub counted: [u64; COUNTERS],
    /// What owners before it counted.
    pub counted_before: [u64; COUNTERS],
    /// Bytes in it that wait to be drained, framing included, as they were a moment ago.
    pub fill_bytes: usize,
}

/// A ring and its owner, as the registry keeps them.
pub(crate) struct Entry {
    pub(crate) ring: Arc<Ring>,
    /// The thread that owns it, or owned it last; `None` for the overflow ring.
    owner: Option<OwnerThread>,
    /// What the counters showed when that thread got it.
    before: [u64; COUNTERS],
}

impl Entry {
    /// The overflow ring.
    pub(crate) const fn shared(ring: Arc<Ring>) -> Self {
        Self {
            ring,
            owner: None,
            before: [0; COUNTERS],
        }
    }

    /// A new ring of the calling thread.
    pub(crate) fn owned(ring: Arc<Ring>) -> Self {
        Self {
            ring,
            owner: Some(OwnerThread::current()),
            before: [0; COUNTERS],
        }
    }

    /// Makes the calling thread the owner. It has the producer already, so that nobody else counts.
    pub(crate) fn hand_over(&mut self) {
        self.before = self.counters();
        self.owner = Some(OwnerThread::current());
    }

    /// From the last to the first: see [`RingSender::visit_rings`](crate::RingSender::visit_rings).
    fn counters(&self) -> [u64; COUNTERS] {
        let mut counters = [0; COUNTERS];
        for (index, counter) in counters.iter_mut().enumerate().rev() {
            *counter = self.ring.counter(index);
        }
        counters
    }

    pub(crate) fn view(&self) -> RingUse<'_> {
        let counters = self.counters();
        let owner = match &self.owner {
            None => Owner::Shared,
            Some(thread) if self.ring.has_producer() => Owner::Thread(thread),
            Some(_) => Owner::Nobody,
        };
        let before = match owner {
            Owner::Nobody => counters,
            Owner::Thread(_) | Owner::Shared => self.before,
        };
        let counted = std::array::from_fn(|at| counters[at].wrapping_sub(before[at]));
        RingUse {
            owner,
            counted,
            counted_before: before,
            fill_bytes: self.ring.fill_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_called_as_the_standard_library_calls_it() {
        let check = |name: Option<&str>, expected: &str| {
            let thread = std::thread::Builder::new();
            let thread = match name {
                Some(name) => thread.name(name.to_owned()),
                None => thread,
            };
            let owner = || (OwnerThread::current(), std::thread::current().id());
            let (owner, id) = thread.spawn(owner).unwrap().join().unwrap();
            assert_eq!(format!("ThreadId({})", owner.id), format!("{id:?}"));
            let expected = expected.replace("{id}", &owner.id.to_string());
            assert_eq!(owner.name, expected);
        };
        check(None, "thread {id}");
        for name in [
            "worker-1",
            "main",
            "",
            "a \"b\" ThreadId(7), name: Some(\"main\")",
        ] {
            check(Some(name), name);
        }
        check(Some(&"é".repeat(65)), &"é".repeat(64));
    }
}
