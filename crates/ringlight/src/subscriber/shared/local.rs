//! The contexts a thread has attached for the spans it is in.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};

use opentelemetry::{Context, ContextGuard};

use super::super::panics::quietly;
use super::super::slab::{SlotId, SpanContext};
use super::Named;

/// Entered spans a thread keeps track of at most, as many as its stack of spans does. OpenTelemetry
/// has room for four times as many contexts, and makes noise beyond.
const ENTERED_MAX: usize = 16 * ENTERED_CHECKED;
/// Entered spans after which those that have closed are looked for. They are there only if a guard was
/// leaked.
const ENTERED_CHECKED: usize = 1024;

/// A `tracing` span the thread is in.
struct Entered {
    subscriber: u64,
    id: SlotId,
    /// What the current context names as long as nobody has attached another one since the span was
    /// entered: the span itself, or where its context could not be attached, what it named before.
    named: Option<SpanContext>,
    /// Detaches the span's context; `None` where that could not be attached.
    guard: Option<ContextGuard>,
    /// Whether the span was left where its context could not be detached, which is done later.
    is_left: bool,
}

/// What a thread has attached.
pub(super) struct Local {
    /// In the order they were entered, those of all subscribers.
    entered: RefCell<Vec<Entered>>,
    /// Whether some of them were left.
    has_left: Cell<bool>,
    /// What the current context named when this thread began to share contexts for the process.
    before: Cell<Option<SpanContext>>,
    /// Whether OpenTelemetry's own thread-local is there, which outlives this one then.
    is_usable: bool,
}

thread_local! {
    static LOCAL: Local = Local::new();
}

impl Local {
    fn new() -> Self {
        // Thread-locals go in the opposite order of their first use, so that OpenTelemetry's, used
        // here, outlives this one. If it is gone already, using it panics, now and later.
        Self {
            entered: RefCell::default(),
            has_left: Cell::new(false),
            before: Cell::new(None),
            is_usable: without_panic(|| Context::map_current(|_| ())).is_some(),
        }
    }

    /// Runs `body` where contexts can be used.
    pub(super) fn with<R>(body: impl FnOnce(&Self) -> R) -> Option<R> {
        let run = |local: &Self| local.is_usable.then(|| body(local));
        LOCAL.try_with(run).ok().flatten()
    }

    /// What `read` finds in the current context.
    ///
    /// It cannot be had while OpenTelemetry attaches or detaches one, in which it may log.
    pub(super) fn read_current<R>(read: impl FnOnce(&Context) -> R) -> Option<R> {
        Self::with(|_| without_panic(|| Context::map_current(read)))?
    }

    /// Attaches a context, unless that cannot be done here.
    pub(super) fn attach(context: Context) -> Option<ContextGuard> {
        Self::with(|_| without_panic(|| context.attach()))?
    }

    /// Notes which context is current when contexts begin to be shared.
    pub(super) fn note_before() {
        if let Some(named) = Self::read_current(Named::context_of) {
            Self::with(|local| local.before.set(named));
        }
    }

    /// Whether the context that names `named` has been current since before contexts were shared.
    pub(super) fn was_before(&self, named: SpanContext) -> bool {
        self.before.get() == Some(named)
    }

    /// What the current context names while `subscriber`'s innermost span is the innermost of all;
    /// `None` if it has none that was entered since contexts are shared.
    pub(super) fn named(&self, subscriber: u64) -> Option<Option<SpanContext>> {
        let entered = self.entered.borrow();
        let innermost = entered.iter().rfind(|e| e.subscriber == subscriber)?;
        Some(innermost.named)
    }

    /// Enters a span, and attaches its context except where telemetry is suppressed, which that would
    /// end.
    pub(super) fn enter(
        &self,
        subscriber: u64,
        id: SlotId,
        is_open: impl Fn(SlotId) -> bool,
        context: impl FnOnce() -> Context,
    ) {
        if !self.has_room(subscriber, is_open) {
            return;
        }
        let is_suppressed = Self::read_current(Context::is_telemetry_suppressed);
        let guard = if is_suppressed == Some(false) {
            Self::attach(context())
        } else {
            None
        };
        let left = self.take_left(guard.is_some());
        self.entered.borrow_mut().push(Entered {
            subscriber,
            id,
            named: Self::read_current(Named::context_of).flatten(),
            guard,
            is_left: false,
        });
        drop_outside(left);
    }

    /// Leaves a span and detaches its context.
    pub(super) fn exit(&self, subscriber: u64, id: SlotId) {
        let is_it = |e: &Entered| e.subscriber == subscriber && e.id == id && !e.is_left;
        let found = self.entered.borrow().iter().rposition(is_it);
        let Some(at) = found else {
            return;
        };
        let is_attached = self.entered.borrow()[at].guard.is_some();
        if is_attached && !may_detach() {
            self.entered.borrow_mut()[at].is_left = true;
            self.has_left.set(true);
            return;
        }
        let entry = self.entered.borrow_mut().remove(at);
        let left = self.take_left(is_attached);
        drop_outside((entry, left));
    }

    /// The spans that were left and whose contexts are still attached, if they may be detached here.
    fn take_left(&self, may_detach: bool) -> Vec<Entered> {
        if !may_detach || !self.has_left.take() {
            return Vec::new();
        }
        let mut entered = self.entered.borrow_mut();
        entered.extract_if(.., |entry| entry.is_left).collect()
    }

    /// Whether one more span can be kept track of.
    fn has_room(&self, subscriber: u64, is_open: impl Fn(SlotId) -> bool) -> bool {
        let count = self.entered.borrow().len();
        if count == 0 || !count.is_multiple_of(ENTERED_CHECKED) {
            return true;
        }
        let has_closed = |e: &mut Entered| e.subscriber == subscriber && !is_open(e.id);
        if may_detach() {
            let closed: Vec<_> = self
                .entered
                .borrow_mut()
                .extract_if(.., has_closed)
                .collect();
            drop_outside(closed);
        }
        self.entered.borrow().len() < ENTERED_MAX
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let entered = self.entered.get_mut();
        while let Some(entry) = entered.pop() {
            drop_outside(entry);
        }
    }
}

/// Runs what makes OpenTelemetry panic in some places; `None` if it did. Nobody's panic hook hears of
/// that, so nothing of the application's may run in it.
///
/// OpenTelemetry borrows its stack of contexts while `Context::map_current` and `get_active_span` run
/// what they are given, and does not say so.
fn without_panic<R>(body: impl FnOnce() -> R) -> Option<R> {
    quietly(|| catch_unwind(AssertUnwindSafe(body)).ok())
}

/// Whether contexts can be detached here. Trying it with one that matters would leave it attached for
/// good.
fn may_detach() -> bool {
    without_panic(|| drop(Context::new().attach())).is_some()
}

/// Drops contexts, with all that was put into them, outside of any borrow: it may record in turn.
fn drop_outside<T>(contexts: T) {
    // A destructor of somebody's that panics must not leave spans entered.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(contexts)));
}
