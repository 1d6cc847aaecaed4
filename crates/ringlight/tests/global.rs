//! What only a global subscriber shows: `tracing` keeps scoped ones from seeing what is recorded
//! while they record, and takes them away before a thread's locals are gone. The faults are number
//! 4 of the fault catalogue.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kept;

use std::cell::Cell;
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use kept::{Kept, KeptRecord};
use ringlight::{InitError, LogFormat, OverflowPolicy, Telemetry};
use tracing::{Span, info, info_span};

static TELEMETRY: OnceLock<(Telemetry, Kept)> = OnceLock::new();

/// The one subscriber of this process.
fn telemetry() -> &'static (Telemetry, Kept) {
    TELEMETRY.get_or_init(|| {
        let kept = Kept::default();
        let telemetry = ringlight::builder()
            .environment([("RUST_LOG", "trace")])
            .log_format(LogFormat::Off)
            .sink(kept.clone())
            .overflow(OverflowPolicy::Block)
            .init()
            .unwrap();
        (telemetry, kept)
    })
}

/// Everything recorded so far by callsites of that name.
fn recorded(name: &str) -> Vec<KeptRecord> {
    let (telemetry, kept) = telemetry();
    telemetry.flush(Duration::from_secs(20)).unwrap();
    // Other tests of this process go on recording: it balances at every moment.
    assert!(telemetry.ledger().balances());
    kept.named(name)
}

#[test]
fn a_second_init_is_a_clear_error() {
    telemetry();
    let error = ringlight::init().unwrap_err();
    assert!(matches!(error, InitError::AlreadyInitialized));
    let text = "Ringlight is initialized already";
    let hint = "hint: call `ringlight::init` or `Builder::init` once, at the start of `main`";
    assert!(error.to_string().starts_with(&format!("{text}; {hint}")));
    // As a `main` that returns it prints it.
    assert!(format!("{error:?}").starts_with(&format!("{text}\n{hint}")));
}

struct Talks(Span);

impl fmt::Debug for Talks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = info_span!("inner", x = 1);
        let _entered = inner.enter();
        info!(name: "inner event", y = 2, "from inside");
        self.0.record("value", "changed from inside");
        f.write_str("talked")
    }
}

#[test]
fn fault_4_a_field_whose_debug_records_is_harmless() {
    telemetry();
    {
        let outer = info_span!("outer", value = "unchanged");
        let _entered = outer.enter();
        drop(info_span!("with talker", a = 1, talks = ?Talks(outer.clone()), b = 2));
        info!(name: "outer event", talks = ?Talks(outer.clone()), "event");
        outer.record("value", tracing::field::debug(Talks(outer.clone())));
    }
    let outer = &recorded("outer")[0];
    assert_eq!(outer.fields, ["value=talked"]);
    let talker = &recorded("with talker")[0];
    assert_eq!(talker.fields, ["a=1", "talks=talked", "b=2"]);
    assert_eq!(talker.parent, outer.span);
    assert_eq!(
        recorded("outer event")[0].fields,
        ["message=event", "talks=talked"]
    );
    let inner = recorded("inner");
    assert_eq!(inner.len(), 3);
    assert!(inner.iter().all(|span| span.parent == outer.span));
    let events = recorded("inner event");
    assert_eq!(events.len(), 3);
    for (event, span) in events.iter().zip(&inner) {
        assert_eq!(event.span, span.span);
    }
}

#[test]
fn fault_4_spans_made_while_a_thread_ends_are_recorded() {
    struct Late;
    impl Drop for Late {
        fn drop(&mut self) {
            let span = info_span!("late", x = 1);
            span.in_scope(|| info!(name: "late event", "late"));
            span.record("x", 2);
        }
    }
    thread_local! {
        static BEFORE: Cell<Option<Late>> = const { Cell::new(None) };
        static AFTER: Cell<Option<Late>> = const { Cell::new(None) };
    }
    telemetry();
    let thread = std::thread::spawn(|| {
        // Locals go in no promised order: one of these goes after the subscriber's own.
        BEFORE.with(|place| place.set(Some(Late)));
        drop(info_span!("early"));
        AFTER.with(|place| place.set(Some(Late)));
    });
    thread.join().unwrap();
    assert_eq!(recorded("early").len(), 1);
    let late = recorded("late");
    assert_eq!(late.len(), 2);
    assert!(late.iter().all(|span| span.fields == ["x=2"]));
    assert_eq!(recorded("late event").len(), 2);
}

#[test]
fn fault_4_spans_made_in_a_drop_are_recorded_also_while_a_panic_unwinds() {
    struct Cleanup(&'static str);
    impl Drop for Cleanup {
        fn drop(&mut self) {
            let span = info_span!("in a drop", of = self.0);
            span.in_scope(|| info!(name: "event in a drop", "cleaning up"));
        }
    }
    telemetry();
    let around = info_span!("around drops").entered();
    drop(Cleanup("quiet"));
    let unwinds = std::panic::catch_unwind(|| {
        let _span = info_span!("unwinds").entered();
        let _cleanup = Cleanup("unwinding");
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(unwinds.is_err());
    drop(around);
    let (around, unwinds) = (&recorded("around drops")[0], &recorded("unwinds")[0]);
    assert!(unwinds.failed && !around.failed);
    let spans = recorded("in a drop");
    let made: Vec<_> = spans.iter().map(|s| (&*s.fields[0], s.parent)).collect();
    let expected = [("of=quiet", around.span), ("of=unwinding", unwinds.span)];
    assert_eq!(made, expected);
    assert!(spans.iter().all(|span| !span.failed));
    let events: Vec<_> = recorded("event in a drop").iter().map(|e| e.span).collect();
    assert_eq!(events, [spans[0].span, spans[1].span]);
}

#[test]
fn fault_4_a_panic_hook_may_record_whatever_was_being_recorded() {
    struct Panics;
    impl fmt::Debug for Panics {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("half of it")?;
            panic!("in a field")
        }
    }
    thread_local! {
        static RECORDS: Cell<bool> = const { Cell::new(false) };
    }
    telemetry();
    // Around ours, as one that an application sets later is.
    let ours = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if RECORDS.get() {
            let span = info_span!("in the hook");
            span.in_scope(|| info!(name: "event in the hook", "it panicked"));
        }
        ours(info);
    }));
    RECORDS.set(true);
    let panics = |body: &mut dyn FnMut()| {
        let body = std::panic::AssertUnwindSafe(body);
        assert!(std::panic::catch_unwind(body).is_err());
    };
    let late = tracing::field::Empty;
    let around = info_span!("around hooks", late).entered();
    panics(&mut || panic!("in a function"));
    panics(&mut || drop(info_span!("never opened", bad = ?Panics)));
    panics(&mut || info!(name: "never said", bad = ?Panics, "event"));
    panics(&mut || {
        around.record("late", tracing::field::debug(Panics));
    });
    RECORDS.set(false);
    drop(around);
    let around = &recorded("around hooks")[0];
    let spans = recorded("in the hook");
    assert_eq!(spans.len(), 4);
    assert!(spans.iter().all(|s| s.parent == around.span && !s.failed));
    let events: Vec<_> = recorded("event in the hook")
        .iter()
        .map(|e| e.span)
        .collect();
    assert!(events.iter().eq(spans.iter().map(|span| &span.span)));
    assert!(recorded("never opened").is_empty());
    assert!(recorded("never said").is_empty());
}

#[test]
fn fault_2_ten_thousand_short_lived_threads_lose_nothing() {
    telemetry();
    for _ in 0..100 {
        let threads: Vec<_> = (0..100)
            .map(|_| std::thread::spawn(|| drop(info_span!("short-lived", x = 1))))
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    }
    assert_eq!(recorded("short-lived").len(), 10_000);
}

#[tokio::test]
async fn fault_3_an_enter_guard_held_across_await_mixes_up_parents_and_nothing_else() {
    telemetry();
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            let tasks: Vec<_> = (0..10_u64)
                .map(|n| {
                    tokio::task::spawn_local(async move {
                        let span = info_span!("held", n);
                        let _guard = span.enter();
                        for _ in 0..5 {
                            tokio::task::yield_now().await;
                            drop(info_span!("within", n));
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        })
        .await;
    assert!(Span::current().is_none());
    let held = recorded("held");
    assert_eq!(held.len(), 10);
    let within = recorded("within");
    assert_eq!(within.len(), 50);
    for span in within {
        assert!(held.iter().any(|held| held.span == span.parent));
    }
}

#[tokio::test]
async fn fault_5_a_cancelled_future_closes_its_span() {
    use tracing::Instrument as _;
    telemetry();
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    let task = tokio::spawn(
        async move {
            let _ = receiver.await;
        }
        .instrument(info_span!("cancelled")),
    );
    tokio::task::yield_now().await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    drop(sender);
    let span = &recorded("cancelled")[0];
    assert!(!span.failed);
}

#[cfg(any(feature = "otel", feature = "profiling"))]
#[tokio::test]
async fn fault_5_a_cancelled_future_of_ours_says_so_in_its_span() {
    use ringlight::FutureExt as _;
    telemetry();
    let span = |how: &str| info_span!("of ours", how);
    let pending = std::future::pending::<()>;
    // Aborted while it waits.
    let task = tokio::spawn(pending().in_span(span("aborted")));
    tokio::task::yield_now().await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    // Slower than another.
    tokio::select! {
        biased;
        () = pending().in_span(span("slower")) => unreachable!("it never ends"),
        () = async {} => {}
    }
    drop(pending().in_span(span("never polled")));
    // These are not: one is done, one panics.
    async {}.in_span(span("done")).await;
    let panics = async { std::panic::resume_unwind(Box::new("on purpose")) };
    let task = tokio::spawn(panics.in_span(span("panicked")));
    assert!(task.await.unwrap_err().is_panic());

    let spans = recorded("of ours");
    let find = |how: &str| {
        let how = format!("how={how}");
        let span = spans.iter().find(|span| span.fields[0] == how).unwrap();
        let cancelled = "ringlight.span.cancelled=true";
        (span.fields[1..] == [cancelled], span.failed)
    };
    for how in ["aborted", "slower", "never polled"] {
        assert_eq!(find(how), (true, false), "{how}");
    }
    assert_eq!(find("done"), (false, false));
    assert_eq!(find("panicked"), (false, true));
    assert_eq!(spans.len(), 5, "each once");
}

#[tokio::test]
async fn fault_5_a_panic_in_an_instrumented_future_fails_its_span() {
    use tracing::Instrument as _;
    telemetry();
    let task = tokio::spawn(
        async {
            tokio::task::yield_now().await;
            std::panic::resume_unwind(Box::new("on purpose"));
        }
        .instrument(info_span!("panicked")),
    );
    assert!(task.await.unwrap_err().is_panic());
    assert!(recorded("panicked")[0].failed);
}

#[test]
fn fault_5_what_a_panic_said_is_the_status_of_the_spans_it_passes_through() {
    telemetry();
    let status = |name| recorded(name)[0].status_message.clone().unwrap();
    let panics = |body: &mut dyn FnMut()| {
        let body = std::panic::AssertUnwindSafe(body);
        assert!(std::panic::catch_unwind(body).is_err());
    };
    let _around = info_span!("around a panic").entered();
    let mut line = 0;
    panics(&mut || {
        let _outer = info_span!("panics outside").entered();
        let _inner = info_span!("panics").entered();
        line = line!() + 1;
        panic!("the pan fell: {}", 42);
    });
    let expected = format!("panicked at {}:{line}: the pan fell: 42", file!());
    assert_eq!(status("panics"), expected);
    assert_eq!(status("panics outside"), expected);

    // No hook sees this one, and what was said before is not about it.
    panics(&mut || {
        let _resumed = info_span!("resumed").entered();
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert_eq!(status("resumed"), "panicked");

    // Nor is one that was caught before, inside the same span.
    panics(&mut || {
        let _resumed = info_span!("resumed after another").entered();
        panics(&mut || panic!("was caught"));
        info!("went on");
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert_eq!(status("resumed after another"), "panicked");

    panics(&mut || {
        let _other = info_span!("panics with no text").entered();
        line = line!() + 1;
        std::panic::panic_any(42);
    });
    let expected = format!("panicked at {}:{line}", file!());
    assert_eq!(status("panics with no text"), expected);

    panics(&mut || {
        let _long = info_span!("panics at length").entered();
        panic!("{}", "ä".repeat(2_000));
    });
    let long = status("panics at length");
    assert!(long.ends_with("ää") && (500..=512).contains(&long.len()));

    drop(_around);
    assert!(!recorded("around a panic")[0].failed);
}
