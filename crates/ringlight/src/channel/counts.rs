//! What is counted of channels, by name: sums that outlive the channels, so that nothing is lost with one.

use std::cell::Cell;
use std::collections::HashMap;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::sync::unpoisoned;

/// Threads that count where nobody else writes; the others share one place.
const THREADS_MAX: usize = 32;

/// Names that are counted apart. What comes beyond is counted together, by the type of the channel.
const GROUPS_MAX: usize = 256;

/// What a channel beyond these is called.
const BEYOND: &str = "(other)";

/// The most of a name that is kept.
const NAME_BYTES_MAX: usize = 128;

/// What the place of a thread is before it is looked for.
const UNKNOWN: usize = usize::MAX;

/// The place of a thread that shares one.
const NONE: usize = usize::MAX - 1;

thread_local! {
    /// Where this thread counts: below [`THREADS_MAX`], or none of its own.
    static PLACE: Cell<usize> = const { Cell::new(UNKNOWN) };
    /// Gives the place back when the thread ends.
    static LEASE: Lease = Lease::take();
    /// Groups this thread has opened channels of, by a hash of what they are called.
    static RECENT: [Cell<Option<&'static Group>>; RECENT_COUNT] =
        const { [const { Cell::new(None) }; RECENT_COUNT] };
}

const RECENT_COUNT: usize = 16;

/// A bit for each place that is taken. The lock hands what a thread has counted over to the next one in its place.
static TAKEN: Mutex<u32> = Mutex::new(0);
const _: () = assert!(THREADS_MAX == u32::BITS as usize);

struct Lease(usize);

impl Lease {
    fn take() -> Self {
        let mut taken = unpoisoned(TAKEN.lock());
        let free = taken.trailing_ones() as usize;
        if free >= THREADS_MAX {
            return Self(NONE);
        }
        *taken |= 1 << free;
        Self(free)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        PLACE.set(NONE);
        if self.0 != NONE {
            *unpoisoned(TAKEN.lock()) &= !(1 << self.0);
        }
    }
}

/// The place of a thread that does not know it yet.
#[cold]
fn find_place() -> usize {
    if PLACE.get() == UNKNOWN {
        PLACE.set(LEASE.try_with(|lease| lease.0).unwrap_or(NONE));
    }
    PLACE.get()
}

/// What one thread has counted, on a cache line of its own. Written by that thread alone, without a locked
/// instruction, and read by whoever reads metrics; a value may be some sends old. All of it `Relaxed`: numbers
/// that nothing else depends on.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard {
    sent: AtomicU64,
    received: AtomicU64,
    /// Values of watch channels that somebody has seen, whoever it was.
    seen: AtomicU64,
}

/// Why a message was never received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DropReason {
    /// The channel was full, and the message was given back.
    Full,
    /// The receiver left, and the message was still in the channel.
    Unread,
    /// A receiver of a broadcast was too slow for it.
    Lagged,
    /// The next value of a watch came before anybody had seen it.
    Overwritten,
}

impl DropReason {
    pub(crate) const ALL: [Self; 4] = [Self::Full, Self::Unread, Self::Lagged, Self::Overwritten];

    #[cfg(any(feature = "otel", test))]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Unread => "unread",
            Self::Lagged => "lagged",
            Self::Overwritten => "overwritten",
        }
    }
}

/// What a channel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Mpsc,
    MpscUnbounded,
    Oneshot,
    Watch,
    Broadcast,
}

impl Kind {
    #[cfg(feature = "otel")]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Mpsc => "mpsc",
            Self::MpscUnbounded => "mpsc_unbounded",
            Self::Oneshot => "oneshot",
            Self::Watch => "watch",
            Self::Broadcast => "broadcast",
        }
    }
}

/// How a channel came to its name.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Origin<'n> {
    Name(&'n str),
    /// Where it was opened, as `file:line`.
    Place(&'static Location<'static>),
}

impl Origin<'_> {
    /// Where in the list of recent groups it is looked for.
    fn recent_index(self) -> usize {
        let address = match self {
            Self::Name(name) => name.as_ptr().addr() ^ name.len(),
            Self::Place(place) => std::ptr::from_ref(place).addr(),
        };
        (address ^ (address >> 4) ^ (address >> 8)) % RECENT_COUNT
    }
}

/// Channels of one name and type.
#[derive(Debug)]
pub(crate) struct Group {
    kind: Kind,
    name: Box<str>,
    /// `None` if the name was given.
    place: Option<&'static Location<'static>>,
    shards: [Shard; THREADS_MAX],
    /// Of all threads without a place, which add by locked instructions.
    shared: Shard,
    dropped: [AtomicU64; DropReason::ALL.len()],
    /// Receivers of broadcasts, by address.
    readers: Mutex<HashMap<usize, Arc<Reader>>>,
    pub(super) events: super::wait::Events,
}

/// Groups are never removed, so there are at most [`GROUPS_MAX`] and one more of each kind.
static GROUPS: Mutex<Vec<&'static Group>> = Mutex::new(Vec::new());

/// All groups there are.
pub(crate) fn groups() -> Vec<&'static Group> {
    unpoisoned(GROUPS.lock()).clone()
}

impl Group {
    /// The group of this name.
    #[inline]
    pub(super) fn of(kind: Kind, origin: Origin<'_>) -> &'static Self {
        let recent = |cells: &[Cell<Option<&'static Self>>; RECENT_COUNT]| {
            cells[origin.recent_index()]
                .get()
                .filter(|group| group.is(kind, origin))
        };
        match RECENT.try_with(recent) {
            Ok(Some(group)) => group,
            _ => Self::find(kind, origin),
        }
    }

    #[cold]
    fn find(kind: Kind, origin: Origin<'_>) -> &'static Self {
        let group = Self::find_or_make(kind, origin);
        let _ = RECENT.try_with(|cells| cells[origin.recent_index()].set(Some(group)));
        group
    }

    fn find_or_make(kind: Kind, origin: Origin<'_>) -> &'static Self {
        let mut groups = unpoisoned(GROUPS.lock());
        if let Some(group) = groups.iter().find(|group| group.is(kind, origin)) {
            return group;
        }
        let named = groups.iter().filter(|group| !group.is_beyond()).count();
        if named < GROUPS_MAX {
            let group = Self::new(kind, origin);
            groups.push(group);
            return group;
        }
        let beyond = Origin::Name(BEYOND);
        if let Some(group) = groups.iter().find(|group| group.is(kind, beyond)) {
            return group;
        }
        let group = Self::new(kind, beyond);
        groups.push(group);
        drop(groups);
        crate::notice::say(format_args!(
            "more than {GROUPS_MAX} names of channels: others are counted together as `{BEYOND}`"
        ));
        group
    }

    /// It is never freed: how many there may be is bounded, and what points to it counts nothing.
    fn new(kind: Kind, origin: Origin<'_>) -> &'static Self {
        let (name, place) = match origin {
            Origin::Name(name) => (shortened(name).into(), None),
            Origin::Place(place) => {
                let name = format!("{}:{}", place.file(), place.line());
                (name.into(), Some(place))
            }
        };
        Box::leak(Box::new(Self {
            kind,
            name,
            place,
            shards: std::array::from_fn(|_| Shard::default()),
            shared: Shard::default(),
            dropped: Default::default(),
            readers: Mutex::default(),
            events: super::wait::Events::default(),
        }))
    }

    fn is(&self, kind: Kind, origin: Origin<'_>) -> bool {
        let is_origin = match (origin, self.place) {
            (Origin::Name(name), None) => *self.name == *shortened(name),
            (Origin::Place(asked), Some(place)) => std::ptr::eq(asked, place) || asked == place,
            _ => false,
        };
        self.kind == kind && is_origin
    }

    fn is_beyond(&self) -> bool {
        self.is(self.kind, Origin::Name(BEYOND))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    #[cfg(feature = "otel")]
    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    #[inline]
    pub(super) fn count_sent(&self, count: u64) {
        self.add(|shard| &shard.sent, count);
    }

    #[inline]
    pub(super) fn count_received(&self, count: u64) {
        self.add(|shard| &shard.received, count);
    }

    /// A value of a watch channel was seen for the first time.
    #[inline]
    pub(super) fn count_seen(&self) {
        self.add(|shard| &shard.seen, 1);
    }

    pub(super) fn count_dropped(&self, reason: DropReason, count: u64) {
        self.dropped[reason as usize].fetch_add(count, Ordering::Relaxed);
    }

    #[inline]
    fn add(&self, counter: impl Fn(&Shard) -> &AtomicU64, count: u64) {
        match self.shards.get(PLACE.get()) {
            Some(shard) => add_alone(counter(shard), count),
            None => self.add_elsewhere(counter, count),
        }
    }

    #[cold]
    fn add_elsewhere(&self, counter: impl Fn(&Shard) -> &AtomicU64, count: u64) {
        match self.shards.get(find_place()) {
            Some(shard) => add_alone(counter(shard), count),
            None => {
                counter(&self.shared).fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    fn sum(&self, counter: impl Fn(&Shard) -> &AtomicU64) -> u64 {
        let shards = self.shards.iter().chain([&self.shared]);
        shards
            .map(|shard| counter(shard).load(Ordering::Relaxed))
            .sum()
    }

    /// Messages that were taken by a channel.
    pub(crate) fn sent(&self) -> u64 {
        self.sum(|shard| &shard.sent)
    }

    /// Messages that were received.
    pub(crate) fn received(&self) -> u64 {
        self.sum(|shard| &shard.received)
    }

    /// Messages that were never received, for this reason.
    pub(crate) fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize].load(Ordering::Relaxed)
    }

    /// Messages that wait in the channels now.
    pub(crate) fn queue_depth(&self) -> u64 {
        let dropped = |reason| self.dropped(reason);
        // What takes away is read first, so that what is under way meanwhile is not missing.
        match self.kind {
            Kind::Broadcast => {
                let readers = unpoisoned(self.readers.lock());
                readers.values().map(|reader| reader.backlog()).sum()
            }
            Kind::Watch => {
                let gone = dropped(DropReason::Unread) + dropped(DropReason::Overwritten);
                let gone = gone + self.sum(|shard| &shard.seen);
                self.sent().saturating_sub(gone)
            }
            Kind::Mpsc | Kind::MpscUnbounded | Kind::Oneshot => {
                let gone = dropped(DropReason::Unread) + self.received();
                self.sent().saturating_sub(gone)
            }
        }
    }

    pub(super) fn add_reader(&self, reader: &Arc<Reader>) {
        let address = Arc::as_ptr(reader).addr();
        unpoisoned(self.readers.lock()).insert(address, Arc::clone(reader));
    }

    pub(super) fn remove_reader(&self, reader: &Arc<Reader>) {
        unpoisoned(self.readers.lock()).remove(&Arc::as_ptr(reader).addr());
    }
}

/// Adds to a number that this thread alone writes.
#[inline]
fn add_alone(counter: &AtomicU64, count: u64) {
    let before = counter.load(Ordering::Relaxed);
    counter.store(before.wrapping_add(count), Ordering::Relaxed);
}

fn shortened(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_BYTES_MAX)]
}

/// How far a receiver of a broadcast is behind.
#[derive(Debug)]
pub(super) struct Reader {
    /// Messages sent on its channel, by all senders.
    sent: Arc<AtomicU64>,
    /// How many of them it has behind it. Written by the receiver, which is in one place at a time.
    position: AtomicU64,
}

impl Reader {
    pub(super) fn new(sent: &Arc<AtomicU64>) -> Arc<Self> {
        Arc::new(Self {
            sent: Arc::clone(sent),
            position: AtomicU64::new(sent.load(Ordering::Relaxed)),
        })
    }

    /// The receiver has so many more behind it. Returns how many there are.
    pub(super) fn advance(&self, count: u64) -> u64 {
        add_alone(&self.position, count);
        self.position.load(Ordering::Relaxed)
    }

    /// What the channel itself says is ahead.
    pub(super) fn correct(&self, backlog: usize) {
        let sent = self.sent.load(Ordering::Relaxed);
        let position = sent.saturating_sub(backlog as u64);
        self.position.store(position, Ordering::Relaxed);
    }

    fn backlog(&self) -> u64 {
        let position = self.position.load(Ordering::Relaxed);
        self.sent.load(Ordering::Relaxed).saturating_sub(position)
    }
}
