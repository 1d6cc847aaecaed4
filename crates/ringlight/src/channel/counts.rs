//! What is counted of channels, by name: sums that outlive the channels, so that nothing is lost with one.

use std::panic::Location;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::numbers::Number;
use super::sources::{Counted, Sources};
use super::spans::SpansOfOne;
use super::table::Table;
use crate::sync::{IS_MODEL, Mutex, MutexGuard, unpoisoned};
use crate::uncounted::uncounted;

/// Names that are counted apart. What comes beyond is counted together, by the type of the channel.
const GROUPS_MAX: usize = if IS_MODEL { 3 } else { 256 };

/// Groups there may be, with those that count what comes beyond.
pub(super) const GROUPS_COUNT: usize = GROUPS_MAX + Kind::COUNT;

/// What a channel beyond these is called.
const BEYOND: &str = "(other)";

/// The most of a name that is kept.
const NAME_BYTES_MAX: usize = 128;

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

    #[cfg(any(feature = "otel", all(test, not(ringlight_loom))))]
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
    const COUNT: usize = 5;

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

/// Channels of one name and type.
#[derive(Debug)]
pub(crate) struct Group {
    /// Where it is among all groups.
    index: usize,
    kind: Kind,
    name: Box<str>,
    /// `None` if the name was given.
    place: Option<&'static Location<'static>>,
    dropped: [AtomicU64; DropReason::ALL.len()],
    sources: Mutex<Sources>,
    pub(super) events: super::wait::Events,
    spans: OnceLock<SpansOfOne>,
}

/// All groups there are, and where they are found.
#[derive(Debug)]
#[cfg_attr(all(test, ringlight_loom), derive(Default))]
pub(super) struct Groups {
    /// In the order in which they came. They are never removed.
    all: [OnceLock<Group>; GROUPS_COUNT],
    /// How many there are. Held while one is looked for and made.
    count: Mutex<usize>,
    /// By the place where their channels are opened.
    places: Table,
    /// By a hash of their names.
    names: Table,
}

#[cfg(not(all(test, ringlight_loom)))]
static GROUPS: Groups = Groups::new();
#[cfg(all(test, ringlight_loom))]
static GROUPS: std::sync::LazyLock<Groups> = std::sync::LazyLock::new(Groups::default);

/// All groups there are.
pub(crate) fn groups() -> impl Iterator<Item = &'static Group> {
    GROUPS.iter()
}

impl Groups {
    #[cfg(not(all(test, ringlight_loom)))]
    const fn new() -> Self {
        Self {
            all: [const { OnceLock::new() }; GROUPS_COUNT],
            count: Mutex::new(0),
            places: Table::new(),
            names: Table::new(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Group> {
        self.all.iter().map_while(OnceLock::get)
    }

    /// Where the group of this name is among all groups.
    #[inline]
    pub(super) fn index_of(&self, kind: Kind, origin: Origin<'_>) -> usize {
        match origin {
            Origin::Place(place) => match self.places.index_at_home(place_key(kind, place)) {
                Some(index) => index,
                None => self.index_of_place(kind, place),
            },
            Origin::Name(name) => self.index_of_name(kind, name),
        }
    }

    #[cold]
    fn index_of_place(&self, kind: Kind, place: &'static Location<'static>) -> usize {
        match self.places.get(place_key(kind, place)) {
            Some(index) => index,
            None => self.find_or_make(kind, Origin::Place(place)).index,
        }
    }

    #[inline(never)]
    fn index_of_name(&self, kind: Kind, name: &str) -> usize {
        let origin = Origin::Name(name);
        let index = self.names.get(name_key(kind, name));
        let group = index.and_then(|index| self.all[index].get());
        // Another name may have the same key.
        match group.filter(|group| group.is(kind, origin)) {
            Some(group) => group.index,
            None => self.find_or_make(kind, origin).index,
        }
    }

    #[cold]
    fn find_or_make(&self, kind: Kind, origin: Origin<'_>) -> &Group {
        let mut count = unpoisoned(self.count.lock());
        let find = |origin| self.iter().find(|group| group.is(kind, origin));
        let named = || self.iter().filter(|group| !group.is_beyond()).count();
        if let Some(group) = find(origin) {
            self.remember(group, origin);
            return group;
        }
        if named() < GROUPS_MAX {
            let group = self.make(&mut count, kind, origin);
            self.remember(group, origin);
            return group;
        }
        let beyond = Origin::Name(BEYOND);
        if let Some(group) = find(beyond) {
            return group;
        }
        let group = self.make(&mut count, kind, beyond);
        drop(count);
        crate::notice::say(format_args!(
            "more than {GROUPS_MAX} names of channels: others are counted together as `{BEYOND}`"
        ));
        group
    }

    /// Makes a group be found at once the next time. The caller has the lock.
    fn remember(&self, group: &Group, origin: Origin<'_>) {
        let (table, key) = match origin {
            Origin::Place(place) => (&self.places, place_key(group.kind, place)),
            Origin::Name(name) => (&self.names, name_key(group.kind, name)),
        };
        if table.get(key).is_none() {
            table.insert(key, group.index);
        }
    }

    fn make(&self, count: &mut usize, kind: Kind, origin: Origin<'_>) -> &Group {
        let (name, place) = match origin {
            Origin::Name(name) => (uncounted(|| shortened(name).into()), None),
            Origin::Place(place) => {
                let name = || format!("{}:{}", place.file(), place.line()).into();
                (uncounted(name), Some(place))
            }
        };
        let index = *count;
        *count += 1;
        self.all[index].get_or_init(|| Group {
            index,
            kind,
            name,
            place,
            dropped: Default::default(),
            sources: Mutex::default(),
            events: super::wait::Events::default(),
            spans: OnceLock::new(),
        })
    }
}

impl Group {
    /// The group of this name.
    #[inline]
    pub(super) fn of(kind: Kind, origin: Origin<'_>) -> &'static Self {
        match Self::at(Self::index_of(kind, origin)) {
            Some(group) => group,
            None => GROUPS.find_or_make(kind, origin),
        }
    }

    /// Where the group of this name is among all groups.
    #[inline]
    pub(super) fn index_of(kind: Kind, origin: Origin<'_>) -> usize {
        GROUPS.index_of(kind, origin)
    }

    fn is(&self, kind: Kind, origin: Origin<'_>) -> bool {
        let is_origin = match (origin, self.place) {
            (Origin::Name(name), None) => *self.name == *shortened(name),
            // Those of one line have one name.
            (Origin::Place(asked), Some(place)) => {
                (asked.file(), asked.line()) == (place.file(), place.line())
            }
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

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    /// Where messages sent are counted, unless sources do.
    #[inline]
    pub(super) const fn sent_number(&self) -> Number {
        sent_number(self.index)
    }

    /// Where messages received are counted, unless sources do.
    #[inline]
    pub(super) const fn received_number(&self) -> Number {
        received_number(self.index)
    }

    /// The group of an [index](Self::index_of).
    #[inline]
    pub(super) fn at(index: usize) -> Option<&'static Self> {
        GROUPS.all[index].get()
    }

    /// Of channels of a single value that have spans.
    pub(super) fn spans(&self) -> &SpansOfOne {
        let new = || uncounted(|| SpansOfOne::new(&self.name));
        self.spans.get_or_init(new)
    }

    pub(super) fn count_dropped(&self, reason: DropReason, count: u64) {
        self.dropped[reason as usize].fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn sources(&self) -> MutexGuard<'_, Sources> {
        unpoisoned(self.sources.lock())
    }

    fn counted(&self) -> Counted {
        self.sources().counted()
    }

    /// Messages that were taken by a channel.
    pub(crate) fn sent(&self) -> u64 {
        self.sent_number().sum() + self.counted().sent
    }

    /// Messages that were received.
    pub(crate) fn received(&self) -> u64 {
        self.received_number().sum() + self.counted().received
    }

    /// Messages that were never received, for this reason.
    pub(crate) fn dropped(&self, reason: DropReason) -> u64 {
        let dropped = self.dropped[reason as usize].load(Ordering::Relaxed);
        match reason {
            DropReason::Overwritten => dropped + self.counted().overwritten,
            _ => dropped,
        }
    }

    /// Messages that wait in the channels now.
    pub(crate) fn queue_depth(&self) -> u64 {
        match self.kind {
            Kind::Broadcast | Kind::Watch => self.counted().depth,
            Kind::Mpsc | Kind::MpscUnbounded | Kind::Oneshot => {
                // What takes away is read first, so that what is under way meanwhile is not missing.
                let gone = self.dropped(DropReason::Unread) + self.received();
                self.sent().saturating_sub(gone)
            }
        }
    }
}

/// Where messages sent are counted of the group of an index.
#[inline]
pub(super) const fn sent_number(group_index: usize) -> Number {
    Number::new(2 * group_index)
}

/// Where messages received are counted of the group of an index.
#[inline]
pub(super) const fn received_number(group_index: usize) -> Number {
    Number::new(2 * group_index + 1)
}

/// Where the group of a number is.
pub(super) const fn group_index(number: Number) -> usize {
    number.index() / 2
}

fn shortened(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_BYTES_MAX)]
}

/// What no other place or kind has: within the place, which is larger than there are kinds.
#[inline]
fn place_key(kind: Kind, place: &'static Location<'static>) -> usize {
    std::ptr::from_ref(place).addr() + kind as usize
}

/// A hash.
fn name_key(kind: Kind, name: &str) -> usize {
    let mut hash = kind as u64;
    for chunk in shortened(name).as_bytes().chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = (hash.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
    (hash ^ (hash >> 32)) as usize
}
