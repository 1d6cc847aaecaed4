//! What counts for itself as long as it lives: channels and receivers whose numbers would take more on a thread's sheet.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::counts::Group;
use crate::uncounted::uncounted;

/// What is read of a source.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counted {
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) overwritten: u64,
    /// Messages that wait now.
    pub(super) depth: u64,
}

impl Counted {
    fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.received += other.received;
        self.overwritten += other.overwritten;
        self.depth += other.depth;
    }
}

/// Something that counts for itself.
pub(super) trait Source: fmt::Debug + Send + Sync + 'static {
    fn counted(&self) -> Counted;
}

/// Those of one group.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// As many places as there ever were sources at one time.
    places: Vec<Option<Arc<dyn Source>>>,
    free: Vec<usize>,
    /// What those have counted that are gone.
    gone: Counted,
}

impl Sources {
    /// Returns where it is.
    fn insert(&mut self, source: Arc<dyn Source>) -> usize {
        let Some(place) = self.free.pop() else {
            self.places.push(Some(source));
            return self.places.len() - 1;
        };
        self.places[place] = Some(source);
        place
    }

    /// Removes the one at this place, and keeps what it has counted.
    fn remove(&mut self, place: usize) {
        if let Some(source) = self.places[place].take() {
            self.free.push(place);
            let counted = source.counted();
            self.gone.add(Counted {
                depth: 0,
                ..counted
            });
        }
    }

    pub(super) fn counted(&self) -> Counted {
        let mut counted = self.gone;
        for source in self.places.iter().flatten() {
            counted.add(source.counted());
        }
        counted
    }
}

/// A source among those of its group, which keeps what it has counted when this is dropped.
#[derive(Debug)]
pub(super) struct Registered<S: Source> {
    pub(super) group: &'static Group,
    source: Arc<S>,
    place: usize,
}

impl<S: Source> Registered<S> {
    pub(super) fn new(group: &'static Group, source: S) -> Self {
        let source = Arc::new(source);
        let shared: Arc<dyn Source> = Arc::clone(&source) as _;
        let place = uncounted(|| group.sources().insert(shared));
        Self {
            group,
            source,
            place,
        }
    }

    pub(super) const fn source(&self) -> &Arc<S> {
        &self.source
    }
}

impl<S: Source> Deref for Registered<S> {
    type Target = S;

    #[inline]
    fn deref(&self) -> &S {
        &self.source
    }
}

impl<S: Source> Drop for Registered<S> {
    fn drop(&mut self) {
        // In one piece, so that nobody reads that there was less than before.
        self.group.sources().remove(self.place);
    }
}
