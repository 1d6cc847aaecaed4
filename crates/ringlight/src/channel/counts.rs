//! What is counted of channels, by name: sums that outlive the channels, so that nothing is lost with one.

use std::cell::Cell;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};

use super::numbers::Number;
use super::sources::{Counted, Sources};
use crate::sync::unpoisoned;
use crate::uncounted::uncounted;

/// Names that are counted apart. What comes beyond is counted together, by the type of the channel.
const GROUPS_MAX: usize = 256;

/// Groups there may be, with those that count what comes beyond.
pub(super) const GROUPS_COUNT: usize = GROUPS_MAX + Kind::COUNT;

/// What a channel beyond these is called.
const BEYOND: &str = "(other)";

/// The most of a name that is kept.
const NAME_BYTES_MAX: usize = 128;

/// Groups a thread keeps in mind, by either way to look for them.
const RECENT_COUNT: usize = 32;

thread_local! {
    /// Groups of which this thread has opened channels without a name, by what [`Origin::key`] says of place and kind.
    static RECENT_PLACES: [Cell<(usize, Option<&'static Group>)>; RECENT_COUNT] =
        const { [const { Cell::new((0, None)) }; RECENT_COUNT] };
    /// Groups of which this thread has opened channels by name, by where the name was.
    static RECENT_NAMES: [Cell<Option<&'static Group>>; RECENT_COUNT] =
        const { [const { Cell::new(None) }; RECENT_COUNT] };
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
    const COUNT: usize = 5;

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
}

/// All groups, in the order in which they came. They are never removed.
static GROUPS: [OnceLock<Group>; GROUPS_COUNT] = [const { OnceLock::new() }; GROUPS_COUNT];

/// How many groups there are. Held while one is looked for and made.
static COUNT: Mutex<usize> = Mutex::new(0);

/// All groups there are.
pub(crate) fn groups() -> impl Iterator<Item = &'static Group> {
    GROUPS.iter().map_while(OnceLock::get)
}

impl Group {
    /// The group of this name.
    #[inline]
    pub(super) fn of(kind: Kind, origin: Origin<'_>) -> &'static Self {
        match origin {
            Origin::Place(place) => Self::at(kind, place),
            Origin::Name(name) => Self::named(kind, name),
        }
    }

    #[inline]
    fn at(kind: Kind, place: &'static Location<'static>) -> &'static Self {
        // Within the place, which is larger than there are kinds, so that no other has the same.
        let key = std::ptr::from_ref(place).addr() + kind as usize;
        let index = key / align_of::<Location<'_>>() % RECENT_COUNT;
        match RECENT_PLACES.with(|recent| recent[index].get()) {
            (found, Some(group)) if found == key => group,
            _ => Self::find_place(kind, place, key, index),
        }
    }

    #[cold]
    fn find_place(
        kind: Kind,
        place: &'static Location<'static>,
        key: usize,
        index: usize,
    ) -> &'static Self {
        let group = Self::find_or_make(kind, Origin::Place(place));
        RECENT_PLACES.with(|recent| recent[index].set((key, Some(group))));
        group
    }

    fn named(kind: Kind, name: &str) -> &'static Self {
        let address = name.as_ptr().addr() ^ name.len() ^ kind as usize;
        let index = (address ^ (address >> 4) ^ (address >> 8)) % RECENT_COUNT;
        // Another name may have come to lie there since.
        let recent = RECENT_NAMES.with(|recent| recent[index].get());
        if let Some(group) = recent
            && group.is(kind, Origin::Name(name))
        {
            return group;
        }
        let group = Self::find_or_make(kind, Origin::Name(name));
        RECENT_NAMES.with(|recent| recent[index].set(Some(group)));
        group
    }

    #[cold]
    fn find_or_make(kind: Kind, origin: Origin<'_>) -> &'static Self {
        let mut count = unpoisoned(COUNT.lock());
        let find = |origin| groups().find(|group| group.is(kind, origin));
        if let Some(group) = find(origin) {
            return group;
        }
        let named = groups().filter(|group| !group.is_beyond()).count();
        if named < GROUPS_MAX {
            return Self::make(&mut count, kind, origin);
        }
        let beyond = Origin::Name(BEYOND);
        if let Some(group) = find(beyond) {
            return group;
        }
        let group = Self::make(&mut count, kind, beyond);
        drop(count);
        crate::notice::say(format_args!(
            "more than {GROUPS_MAX} names of channels: others are counted together as `{BEYOND}`"
        ));
        group
    }

    fn make(count: &mut usize, kind: Kind, origin: Origin<'_>) -> &'static Self {
        let (name, place) = match origin {
            Origin::Name(name) => (uncounted(|| shortened(name).into()), None),
            Origin::Place(place) => {
                let name = || format!("{}:{}", place.file(), place.line()).into();
                (uncounted(name), Some(place))
            }
        };
        let index = *count;
        *count += 1;
        GROUPS[index].get_or_init(|| Self {
            index,
            kind,
            name,
            place,
            dropped: Default::default(),
            sources: Mutex::default(),
            events: super::wait::Events::default(),
        })
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

    /// Where messages sent are counted, unless sources do.
    #[inline]
    pub(super) const fn sent_number(&self) -> Number {
        Number::new(2 * self.index)
    }

    /// Where messages received are counted, unless sources do.
    #[inline]
    pub(super) const fn received_number(&self) -> Number {
        Number::new(2 * self.index + 1)
    }

    /// The group that has this number.
    pub(super) fn of_number(number: Number) -> Option<&'static Self> {
        GROUPS[number.index() / 2].get()
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

fn shortened(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_BYTES_MAX)]
}
