//! What a panic said: for the status of the spans it unwinds, and as an exception in a log record.
//!
//! The log record is an event at level error of the target `panic`, with the attributes of the semantic conventions
//! for exceptions, in the span that the panic came up in. It goes the way of all events, to layers beside as well.

use std::backtrace::Backtrace;
use std::panic::{Location, PanicHookInfo};

use ringlight_collector::in_pipeline;
use tracing_core::callsite::DefaultCallsite;
use tracing_core::field::{FieldSet, Value};
use tracing_core::{Event, Kind, Level, Metadata};

use super::STATUS_MESSAGE_BYTES_MAX;
use super::thread::{Thread, with_thread};
use crate::filter::PANIC_TARGET;
use crate::uncounted::uncounted;

/// Bytes of a backtrace that are recorded, at most; it is cut at the end of a line.
const BACKTRACE_BYTES_MAX: usize = 16 * 1024;

static CALLSITE: DefaultCallsite = DefaultCallsite::new(&METADATA);
/// Without a place: that of the panic is in its fields.
static METADATA: Metadata<'static> = Metadata::new(
    "exception",
    PANIC_TARGET,
    Level::ERROR,
    None,
    None,
    None,
    FieldSet::new(
        &[
            "message",
            "exception.type",
            "exception.message",
            "exception.stacktrace",
            "thread.name",
            "code.file.path",
            "code.line.number",
        ],
        tracing_core::identify_callsite!(&CALLSITE),
    ),
    Kind::EVENT,
);

/// Makes the callsite of panics known: within the hook it might be too late, since a panic may come up while
/// others are registered.
pub(crate) fn prepare() {
    let _ = CALLSITE.register();
}

/// Whether an event is a panic.
pub(super) fn is_panic(metadata: &Metadata<'_>) -> bool {
    metadata.callsite() == tracing_core::identify_callsite!(&CALLSITE)
}

/// Records a panic as an exception, if anybody wants such events. To be called by the panic hook. Those of the
/// pipeline's own threads are not recorded.
pub(crate) fn record(info: &PanicHookInfo<'_>, wants_backtrace: impl FnOnce() -> bool) {
    if in_pipeline() || CALLSITE.interest().is_never() {
        return;
    }
    uncounted(|| {
        let backtrace = wants_backtrace().then(|| Backtrace::force_capture().to_string());
        let shown = match wants_all_frames() {
            true => bounded,
            false => shortened,
        };
        let stacktrace = backtrace.as_deref().map(shown);
        let (text, message) = (text(info), info.payload_as_str());
        let thread = std::thread::current();
        let name = thread.name();
        let file = info.location().map(Location::file);
        let line = info.location().map(Location::line);
        let values: [&dyn Value; 7] = [&text, &"panic", &message, &stacktrace, &name, &file, &line];
        dispatch(&values);
    });
}

/// Makes an event of the values of all fields.
fn dispatch(values: &[&dyn Value; 7]) {
    let mut fields = METADATA.fields().iter();
    // There are as many fields as values, so each finds one.
    let pairs = values.map(|value| fields.next().map(|field| (field, value)));
    let [
        Some(a),
        Some(b),
        Some(c),
        Some(d),
        Some(e),
        Some(f),
        Some(g),
    ] = pairs
    else {
        return;
    };
    let pairs = [&a, &b, &c, &d, &e, &f, &g].map(|(field, value)| (field, Some(*value)));
    Event::dispatch(&METADATA, &METADATA.fields().value_set(&pairs));
}

/// Whether somebody wants all frames of a backtrace, as the standard library has it.
fn wants_all_frames() -> bool {
    std::env::var_os("RUST_BACKTRACE").is_some_and(|wanted| wanted == "full")
}

/// The part of a backtrace that is the program's: without what leads from the panic to here, and without what
/// leads to `main` or to the beginning of the thread. It begins with a function of the program, or of a library it uses, not with
/// one of the standard library that panicked in its name.
fn shortened(backtrace: &str) -> &str {
    let mut start = 0;
    let mut end = backtrace.len();
    let mut is_before_program = false;
    // Where the machinery of panics is over: what comes then is kept if all of it is the standard library's.
    let mut after_panicking = 0;
    let mut is_panicking = false;
    for frame in frames(backtrace) {
        if frame.symbol.contains("__rust_begin_short_backtrace") {
            end = frame.start;
            break;
        }
        if frame.symbol.contains("rust_begin_unwind") {
            (is_before_program, is_panicking) = (true, true);
        } else {
            is_before_program &= frame.is_of_std();
            is_panicking &= is_of_panic(frame.symbol);
        }
        if is_before_program {
            start = frame.end;
        }
        if is_panicking {
            after_panicking = frame.end;
        }
    }
    if start >= end {
        start = after_panicking.min(end);
    }
    bounded(&backtrace[start..end])
}

/// As many whole lines as are recorded.
fn bounded(backtrace: &str) -> &str {
    if backtrace.len() <= BACKTRACE_BYTES_MAX {
        return backtrace;
    }
    let kept = &backtrace[..backtrace.floor_char_boundary(BACKTRACE_BYTES_MAX)];
    kept.rfind('\n').map_or(kept, |at| &kept[..=at])
}

/// One frame of a backtrace as the standard library writes it: a line such as `   3: core::panicking::panic_fmt`, and
/// mostly another one with the place, `at ./src/main.rs:3:8`.
struct Frame<'b> {
    symbol: &'b str,
    place: Option<&'b str>,
    /// Where its lines begin and end in the backtrace, in bytes.
    start: usize,
    end: usize,
}

impl Frame<'_> {
    /// Whether the function is the standard library's. Where debug information has lines only, a function that was inlined
    /// has no path in its name, but a place in the library's source.
    fn is_of_std(&self) -> bool {
        is_of_std(self.symbol) || self.place.is_some_and(is_in_std_source)
    }
}

/// The frames of a backtrace, in its order.
fn frames(backtrace: &str) -> impl Iterator<Item = Frame<'_>> {
    let mut lines = backtrace.split_inclusive('\n').peekable();
    let mut at = 0;
    std::iter::from_fn(move || {
        let line = lines.next()?;
        let mut frame = Frame {
            symbol: symbol(line).unwrap_or_default(),
            place: None,
            start: at,
            end: at + line.len(),
        };
        while let Some(line) = lines.next_if(|line| symbol(line).is_none()) {
            frame.end += line.len();
            let place = line.trim().strip_prefix("at ");
            frame.place = frame.place.or(place);
        }
        at = frame.end;
        Some(frame)
    })
}

/// The symbol in the first line of a frame; `None` in another one.
fn symbol(line: &str) -> Option<&str> {
    let (number, symbol) = line.trim_start().split_once(": ")?;
    number
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(symbol)
}

/// Whether a place is in the standard library's source: as it was where the compiler was built, or as it is where the
/// toolchain has it.
fn is_in_std_source(place: &str) -> bool {
    place.starts_with("/rustc/") || place.contains("/rustlib/src/rust/library/")
}

/// Whether a function is the standard library's: `core::option::expect_failed`, `<usize as core::slice::index::SliceIndex<[T]>>::index`.
/// One of a trait is whoever's type it is for, and a primitive type is nobody's.
fn is_of_std(symbol: &str) -> bool {
    let is_in_std = |path: &str| {
        let path = path.trim_start_matches(['<', '&', '*', '[', '(']);
        ["core::", "std::", "alloc::"]
            .iter()
            .any(|name| path.starts_with(name))
    };
    let Some((of_type, of_trait)) = symbol.strip_prefix('<').and_then(|s| s.split_once(" as "))
    else {
        return is_in_std(symbol);
    };
    is_in_std(of_type) || !of_type.contains("::") && is_in_std(of_trait)
}

/// Whether a function is one of those that code calls in order to panic.
fn is_of_panic(symbol: &str) -> bool {
    symbol.contains("core::panicking::")
        || symbol.contains("::unwrap_failed")
        || symbol.contains("::expect_failed")
        || symbol.contains("::slice_index_fail")
}

/// Runs `body`, whose panics are expected and caught within it: no span fails because of them, and
/// the panic hooks set before this crate's are not told.
#[cfg(feature = "otel")]
pub(super) fn quietly<R>(body: impl FnOnce() -> R) -> R {
    let was_quiet = with_thread(|thread| thread.set_quiet(true));
    let given = body();
    with_thread(|thread| thread.set_quiet(was_quiet));
    given
}

/// Whether nobody is to be told of a panic of this thread.
pub(crate) fn is_quiet() -> bool {
    with_thread(Thread::is_quiet)
}

/// Keeps place and message of a panic for the spans the thread is in. To be called by the panic
/// hook.
pub(crate) fn note(info: &PanicHookInfo<'_>) {
    with_thread(|thread| {
        if thread.entered.mark_all() {
            thread.set_panic(text(info));
        }
    });
}

/// Such as `panicked at src/main.rs:12: the pan fell`. What is too long is cut where it is used, as
/// any status message, so a little more than fits is enough.
fn text(info: &PanicHookInfo<'_>) -> String {
    let mut text = PANICKED.to_owned();
    if let Some(place) = info.location() {
        text += &format!(" at {}:{}", place.file(), place.line());
    }
    if let Some(message) = info.payload_as_str() {
        text += ": ";
        text += &message[..message.floor_char_boundary(STATUS_MESSAGE_BYTES_MAX)];
    }
    text
}

/// The status message of a span that a panic passes through which no hook saw, such as one that is
/// resumed, or which came before the span was entered. If a hook saw another one meanwhile, which
/// was caught, and nothing was recorded since, that one's text is used.
pub(super) const PANICKED: &str = "panicked";

impl Thread {
    /// Runs `read` with what the last panic said that a hook saw on this thread.
    pub(super) fn with_panic(&self, read: impl FnOnce(&str)) {
        let text = self.take_panic();
        read(text.as_deref().unwrap_or(PANICKED));
        if let Some(text) = text {
            self.set_panic(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backtrace_is_cut_to_what_is_the_programs() {
        let frames = [
            "   0: ringlight::subscriber::panics::record",
            "             at ./src/subscriber/panics.rs:70:1",
            "   1: std::panicking::panic_with_hook",
            "   2: __rustc::rust_begin_unwind",
            "             at /rustc/1/library/std/src/panicking.rs:1:1",
            "   3: core::panicking::panic_fmt",
            "   4: core::option::expect_failed",
            "             at /rustc/1/library/core/src/option.rs:1:1",
            "   5: core::option::Option<T>::expect",
            "   6: <usize as core::slice::index::SliceIndex<[T]>>::index",
            "   7: <alloc::vec::Vec<T,A> as core::ops::index::Index<I>>::index",
            "             at /rustc/1/library/alloc/src/vec/mod.rs:1:1",
            "   8: <shop::Pan as core::ops::drop::Drop>::drop",
            "             at ./src/pay.rs:7:9",
            "   9: core::ptr::drop_in_place<shop::Pan>",
            "  10: core::panicking::not_at_the_beginning",
            "  11: std::sys::backtrace::__rust_begin_short_backtrace",
            "  12: main",
            "",
        ];
        let whole = frames.join("\n");
        let expected = format!("{}\n", frames[12..16].join("\n"));
        assert_eq!(shortened(&whole), expected);
        // A function of the standard library that runs as a thread.
        let of_std_alone = [&frames[..6], &frames[8..9], &frames[16..]]
            .concat()
            .join("\n");
        assert_eq!(shortened(&of_std_alone), format!("{}\n", frames[8]));
        // As it is where debug information has lines only.
        let of_lines_only = [
            &frames[..6],
            &[
                "   5: expect<u32>",
                "             at /rustc/1/library/core/src/option.rs:965:21",
                "   6: index<u32, usize>",
                "             at /opt/rust/lib/rustlib/src/rust/library/alloc/src/vec/mod.rs:3:1",
                "   7: {closure#2}",
                "             at ./src/pay.rs:7:9",
                "   8: call_once<fn(), ()>",
                "             at /rustc/1/library/core/src/ops/function.rs:250:5",
                "   9: __rust_begin_short_backtrace<fn(), ()>",
                "             at /rustc/1/library/std/src/sys/backtrace.rs:166:18",
            ],
        ]
        .concat();
        let expected = format!("{}\n", of_lines_only[10..14].join("\n"));
        assert_eq!(shortened(&of_lines_only.join("\n")), expected);
        assert_eq!(shortened(frames[12]), frames[12]);
        let long = format!("{}\n", frames[12]).repeat(2_000);
        let cut = shortened(&long);
        let line_bytes = frames[12].len() + 1;
        assert_eq!(cut.len(), BACKTRACE_BYTES_MAX / line_bytes * line_bytes);
    }
}
