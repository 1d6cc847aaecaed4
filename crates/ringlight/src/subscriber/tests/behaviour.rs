//! One behaviour a test.

use super::*;

#[test]
fn fields_keep_their_types() {
    let got = Recording::new().records(|_| {
        let _span = info_span!(
            "typed",
            yes = true,
            small = -7_i8,
            large = u64::MAX,
            huge = i128::MAX,
            half = 0.5,
            text = "plain",
            display = %format_args!("{}-{}", 1, 2),
            debug = ?Some("x"),
            bytes = &b"\x00\xff"[..],
            empty = tracing::field::Empty,
            none = None::<u64>,
        );
    });
    let span = got.span("typed");
    let text = |text: &str| Got::Text(text.to_owned());
    assert_eq!(
        span.fields,
        [
            ("yes".to_owned(), Got::Bool(true)),
            ("small".to_owned(), Got::Int(-7)),
            ("large".to_owned(), Got::Int(u64::MAX.into())),
            ("huge".to_owned(), text(&i128::MAX.to_string())),
            ("half".to_owned(), Got::Float(0.5)),
            ("text".to_owned(), text("plain")),
            ("display".to_owned(), text("1-2")),
            ("debug".to_owned(), text("Some(\"x\")")),
            ("bytes".to_owned(), Got::Bytes(vec![0, 255])),
        ]
    );
    assert!(span.trace.is_valid() && span.id.is_valid());
    assert_eq!(span.parent, SpanId::INVALID);
}

#[test]
fn children_follow_the_current_span_an_explicit_parent_or_nobody() {
    let got = Recording::new().records(|_| {
        let root = info_span!("root");
        let other = info_span!("other");
        let _entered = root.enter();
        drop(info_span!("contextual"));
        drop(info_span!(parent: &other, "explicit"));
        drop(info_span!(parent: None, "rootless"));
        info!("in root");
        info!(parent: &other, "in other");
        info!(parent: None, "in none");
    });
    let (root, other) = (got.span("root"), got.span("other"));
    assert_ne!(root.trace, other.trace);
    assert_eq!(got.span("contextual").parent, root.id);
    assert_eq!(got.span("contextual").trace, root.trace);
    assert_eq!(got.span("explicit").parent, other.id);
    assert_eq!(got.span("explicit").trace, other.trace);
    assert_eq!(got.span("rootless").parent, SpanId::INVALID);
    assert_ne!(got.span("rootless").trace, root.trace);
    let contexts: Vec<_> = got.logs.iter().map(|log| (log.trace, log.span)).collect();
    assert_eq!(
        contexts,
        [
            (root.trace, root.id),
            (other.trace, other.id),
            (TraceId::INVALID, SpanId::INVALID)
        ]
    );
}

#[test]
fn a_later_value_of_a_field_wins() {
    let got = Recording::new().records(|_| {
        let span = info_span!(
            "recorded",
            first = 1,
            late = tracing::field::Empty,
            text = "short"
        );
        span.record("late", "here");
        span.record("text", "much longer than it was before");
        for round in 0..10_000_u64 {
            span.record("first", round);
        }
    });
    let span = got.span("recorded");
    assert_eq!(span.fields.len(), 3);
    assert_eq!(span.field("first"), Some(&Got::Int(9999)));
    assert_eq!(span.field("late"), Some(&Got::Text("here".into())));
    assert_eq!(
        span.field("text"),
        Some(&Got::Text("much longer than it was before".into()))
    );
}

#[test]
fn long_values_spill_and_come_back_whole() {
    let long = "0123456789ä".repeat(100);
    let got = Recording::new().records(|_| {
        let span = info_span!(
            "long",
            before = 1,
            long = long.as_str(),
            after = 2,
            again = %long,
            last = tracing::field::Empty
        );
        span.record("before", long.as_str());
        span.record("last", 3);
        // A second span in the same slot must not see the first one's text.
        drop(span);
        drop(info_span!("short", x = 1));
    });
    let span = got.span("long");
    let text = Got::Text(long);
    for name in ["long", "again", "before"] {
        assert_eq!(span.field(name), Some(&text));
    }
    assert_eq!(span.field("after"), Some(&Got::Int(2)));
    assert_eq!(span.field("last"), Some(&Got::Int(3)));
    assert_eq!(got.span("short").fields.len(), 1);
}

#[test]
fn what_is_over_a_limit_is_cut_or_dropped_and_counted() {
    let limits = Limits {
        attributes_max: 2,
        text_bytes_max: 8,
        ..Limits::default()
    };
    let got = Recording::with("trace", &limits).records(|_| {
        let span = info_span!("limited", a = "0123456789", b = 2, c = 3, d = 4);
        span.record("d", 5);
        span.record("b", 6);
    });
    let span = got.span("limited");
    assert_eq!(
        span.fields,
        [
            ("a".to_owned(), Got::CutText("01234567".into())),
            ("b".to_owned(), Got::Int(6))
        ]
    );
    assert_eq!(span.dropped, 3);
}

#[test]
fn a_message_is_no_attribute_of_its_log() {
    let of = |attributes_max| {
        let limits = Limits {
            attributes_max,
            ..Limits::default()
        };
        let got = Recording::with("trace", &limits).records(|_| {
            tracing::info!(a = 1, b = 2, c = 3, "said");
            tracing::info!(a = 1, b = 2, "said");
            tracing::info!(a = 1, b = 2, c = 3);
        });
        got.logs
            .iter()
            .map(|log| (log.fields.len(), log.dropped))
            .collect::<Vec<_>>()
    };
    // The message is one of the fields here.
    assert_eq!(of(0), [(1, 3), (1, 2), (0, 3)]);
    assert_eq!(of(2), [(3, 1), (3, 0), (2, 1)]);
    assert_eq!(of(3), [(4, 0), (3, 0), (3, 0)]);
}

#[test]
fn an_error_event_fails_its_span_with_its_first_message() {
    let got = Recording::new().records(|_| {
        let parent = info_span!("parent");
        let _parent = parent.enter();
        info_span!("child").in_scope(|| {
            error!(code = 7, "it broke");
            error!("and again");
        });
    });
    assert_eq!(got.span("child").status, StatusCode::Error);
    assert_eq!(
        got.span("child").status_message.as_deref(),
        Some("it broke")
    );
    assert_eq!(got.span("parent").status, StatusCode::Unset);
    assert_eq!(got.logs[0].severity, Severity::ERROR);
    assert_eq!(
        got.logs[0].field("message"),
        Some(&Got::Text("it broke".into()))
    );
    assert_eq!(got.logs[0].field("code"), Some(&Got::Int(7)));
    assert_eq!(got.logs[0].path, ["parent", "child"]);
}

#[test]
fn a_log_has_what_the_spans_around_it_were_recorded_with_by_then() {
    let got = Recording::new().records(|_| {
        let outer = info_span!("outer", id = 7, user = tracing::field::Empty, long = "x".repeat(2000));
        let _outer = outer.enter();
        info!("before");
        outer.record("user", "Ada");
        let inner = info_span!("inner", query = "y".repeat(100));
        let _inner = inner.enter();
        inner.record("query", "z");
        info!("after");
    });
    let of = |log: usize| -> Vec<_> {
        let around = got.logs[log].around.iter();
        around.map(|(name, text)| (name.as_str(), text.as_str())).collect()
    };
    let id = ("id", "I64(7)");
    let before = of(0);
    let [first, ("long", long)] = before[..] else {
        panic!("{before:?}");
    };
    assert_eq!(first, id);
    // The rest is on the heap, where it is not read.
    assert!(long.len() > 300 && long.len() < 400 && long.ends_with("xx..."));
    // What was recorded later lies there, too.
    assert_eq!(of(1), [("query", "z"), id, ("long", long)]);
    assert_eq!(got.logs[1].path, ["outer", "inner"]);
}

#[test]
fn only_what_lines_want_has_the_spans_around_it() {
    let recording = Recording::new();
    let lines = Output::Lines;
    recording.controls.set_filter_for(lines, "warn").unwrap();
    let got = recording.records(|_| {
        info_span!("around", id = 7).in_scope(|| {
            info!("for the backend only");
            error!("for people, too");
        });
    });
    let [sent, shown] = &got.logs[..] else {
        panic!("{:?}", got.logs);
    };
    assert_eq!(sent.path, [""; 0]);
    assert_eq!(shown.path, ["around"]);
    assert_eq!((sent.trace, sent.span), (shown.trace, shown.span));
}

#[test]
fn the_status_message_says_what_failed_and_why() {
    let message = |log: &dyn Fn()| {
        let got = Recording::new().records(|_| info_span!("failing").in_scope(log));
        got.span("failing").status_message.clone()
    };
    let cause = fmt::Error;
    let check = |log: &dyn Fn(), expected: Option<&str>| {
        assert_eq!(message(log).as_deref(), expected);
    };
    check(
        &|| error!(error = %"declined", "cannot charge"),
        Some("cannot charge: declined"),
    );
    check(&|| error!(error = %cause), Some(&cause.to_string()));
    check(&|| error!("cannot charge"), Some("cannot charge"));
    check(&|| error!(code = 7), None);
}

#[test]
fn fault_5_a_panic_closes_the_spans_it_passes_with_an_error() {
    let got = Recording::new().records(|_| {
        let outer = info_span!("outer");
        outer.in_scope(|| {
            let result = catch_unwind(|| {
                let _entered = info_span!("panics").entered();
                let _cleanup = Cleanup;
                std::panic::resume_unwind(Box::new("on purpose"));
            });
            assert!(result.is_err());
        });
    });
    struct Cleanup;
    impl Drop for Cleanup {
        fn drop(&mut self) {
            info_span!("cleanup").in_scope(|| info!("cleaning up"));
        }
    }
    assert_eq!(got.span("panics").status, StatusCode::Error);
    assert_eq!(
        got.span("panics").status_message.as_deref(),
        Some("panicked")
    );
    // Opened while unwinding, and ended well.
    assert_eq!(got.span("cleanup").status, StatusCode::Unset);
    assert_eq!(got.span("cleanup").parent, got.span("panics").id);
    assert_eq!(got.span("outer").status, StatusCode::Unset);
}

#[test]
fn fault_3_a_span_may_close_on_another_thread_than_it_opened_on() {
    let recording = Recording::new();
    let dispatch = recording.dispatch.clone();
    let got = recording.records(|_| {
        let parent = info_span!("parent");
        let spans: Vec<_> =
            parent.in_scope(|| (0..300_u64).map(|n| info_span!("moved", n)).collect());
        let thread = std::thread::spawn(move || {
            tracing::dispatcher::with_default(&dispatch, || {
                for span in spans {
                    span.in_scope(|| debug!("elsewhere"));
                }
            });
        });
        thread.join().unwrap();
    });
    let parent = got.span("parent");
    let mut seen: Vec<_> = got
        .spans
        .iter()
        .filter(|span| span.name == "moved")
        .map(|span| {
            assert_eq!((span.trace, span.parent), (parent.trace, parent.id));
            match span.field("n") {
                Some(Got::Int(n)) => *n,
                other => panic!("{other:?}"),
            }
        })
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..300).collect::<Vec<_>>());
    assert!(got.logs.iter().all(|log| log.path == ["parent", "moved"]));
}

#[test]
fn fault_3_a_span_entered_on_two_threads_is_the_parent_on_both() {
    let recording = Recording::new();
    let dispatch = recording.dispatch.clone();
    let got = recording.records(|_| {
        let span = info_span!("shared");
        let _here = span.enter();
        let there = span.clone();
        let thread = std::thread::spawn(move || {
            tracing::dispatcher::with_default(&dispatch, || {
                let _there = there.enter();
                drop(info_span!("there"));
            });
        });
        drop(info_span!("here"));
        thread.join().unwrap();
    });
    let shared = got.span("shared").id;
    assert_eq!(got.span("here").parent, shared);
    assert_eq!(got.span("there").parent, shared);
}

#[test]
fn leaving_a_span_that_was_not_entered_is_counted_and_told_once() {
    let got = Recording::new().records(|recording| {
        let exits = || recording.pipeline.ledger().unmatched_exits();
        let span = info_span!("never entered");
        let leave = |span: &Span| {
            span.with_subscriber(|(id, dispatch)| dispatch.exit(id));
        };
        let warned = || {
            let warnings = &recording.subscriber().warnings;
            warnings.left_unentered.load(Ordering::Relaxed)
        };
        let around = info_span!("around").entered();
        drop(info_span!("as it should be").entered());
        assert_eq!((exits(), warned()), (0, false));
        leave(&span);
        leave(&span);
        assert_eq!((exits(), warned()), (2, true));
        // One that was left already.
        let entered = info_span!("entered once").entered();
        let exited = entered.exit();
        leave(&exited);
        assert_eq!(exits(), 3);
        assert_eq!(Span::current().id(), around.id());
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        std::thread::scope(|scope| {
            let there = || tracing::dispatcher::with_default(&dispatch, || leave(&around));
            scope.spawn(there);
        });
        assert_eq!(exits(), 4);
        drop(info_span!("inside"));
    });
    assert_eq!(got.span("inside").parent, got.span("around").id);
}

#[test]
fn fault_3_spans_left_out_of_order_are_reported_once_and_nothing_is_mixed_up() {
    let got = Recording::new().records(|recording| {
        for _ in 0..3 {
            let (first, second) = (
                info_span!("first").entered(),
                info_span!("second").entered(),
            );
            drop(first);
            drop(info_span!("inside second"));
            drop(second);
            assert!(Span::current().is_none());
        }
        let subscriber = recording.subscriber();
        assert!(
            subscriber
                .warnings
                .left_out_of_order
                .load(Ordering::Relaxed)
        );
    });
    for inside in got.spans.iter().filter(|s| s.name == "inside second") {
        let parent = got
            .spans
            .iter()
            .find(|span| span.id == inside.parent)
            .unwrap();
        assert_eq!(parent.name, "second");
    }
}

#[test]
fn a_field_whose_debug_panics_leaves_no_slot_behind() {
    struct Panics(&'static str);
    impl fmt::Debug for Panics {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)?;
            std::panic::resume_unwind(Box::new("on purpose"))
        }
    }
    let long: &'static str = "x".repeat(2000).leak();
    let got = Recording::new().records(|_| {
        for _ in 0..200 {
            let result = catch_unwind(|| info_span!("never", a = 1, bad = ?Panics(long)));
            assert!(result.is_err());
            let result = catch_unwind(|| info!(bad = ?Panics(long), "never"));
            assert!(result.is_err());
        }
        let span = info_span!("still", works = tracing::field::Empty);
        let result = catch_unwind(AssertUnwindSafe(|| {
            span.record("works", tracing::field::debug(Panics("x")));
        }));
        assert!(result.is_err());
        span.record("works", true);
    });
    assert_eq!(got.spans.len(), 1);
    assert_eq!(got.span("still").field("works"), Some(&Got::Bool(true)));
    assert!(got.logs.is_empty());
}

#[test]
fn formatting_that_unwraps_survives_a_limit() {
    struct Unwraps;
    impl fmt::Display for Unwraps {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            for _ in 0..100 {
                f.write_str("0123456789").unwrap();
            }
            Ok(())
        }
    }
    let limits = Limits {
        text_bytes_max: 16,
        ..Limits::default()
    };
    let got = Recording::with("trace", &limits).records(|_| {
        drop(info_span!("cut", value = %Unwraps));
    });
    assert_eq!(
        got.span("cut").field("value"),
        Some(&Got::CutText("0123456789012345".into()))
    );
}

#[test]
fn fault_8_a_wall_clock_that_jumps_back_leaves_durations_right() {
    let got = Recording::new().records(|recording| {
        let span = info_span!("jumped");
        recording.times.pass(2 * SECOND);
        recording.times.set_wall(999 * HOUR);
        drop(info_span!("inside"));
        recording.times.pass(3 * SECOND);
        drop(span);
    });
    let span = got.span("jumped");
    assert_eq!(span.start, 1000 * HOUR);
    assert_eq!(span.end - span.start, 5 * SECOND);
    assert_eq!(got.span("inside").start, 999 * HOUR);
}

#[test]
fn following_becomes_a_link() {
    let got = Recording::new().records(|_| {
        let (cause, effect) = (info_span!("cause"), info_span!("effect", x = 1));
        effect.follows_from(&cause);
        effect.record("x", 2);
    });
    assert_eq!(got.span("effect").links, [got.span("cause").id]);
    assert_eq!(got.span("effect").field("x"), Some(&Got::Int(2)));
}

#[test]
fn current_span_names_the_innermost_and_can_be_kept() {
    let got = Recording::new().records(|_| {
        assert!(Span::current().is_none());
        let kept = info_span!("outer").in_scope(|| {
            let current = Span::current();
            assert_eq!(current.metadata().unwrap().name(), "outer");
            current
        });
        // The clone alone keeps the span open.
        drop(info_span!(parent: &kept, "child"));
    });
    assert_eq!(got.span("child").parent, got.span("outer").id);
    assert_eq!(got.spans.last().unwrap().name, "outer");
}

#[test]
fn a_span_that_closed_without_being_left_is_passed_over() {
    let got = Recording::new().records(|_| {
        let outer = info_span!("outer").entered();
        let gone = info_span!("gone");
        std::mem::forget(gone.enter());
        drop(gone);
        drop(info_span!("child"));
        info!("said");
        drop(outer);
        drop(info_span!("next"));
    });
    assert_eq!(got.span("child").parent, got.span("outer").id);
    assert_eq!(got.logs.last().unwrap().span, got.span("outer").id);
    assert_eq!(got.span("next").parent, SpanId::INVALID);
}

#[test]
fn filtered_callsites_are_off_and_children_skip_them() {
    let got = Recording::with("info", &Limits::default()).records(|_| {
        let _outer = info_span!("outer").entered();
        let hidden = tracing::debug_span!("hidden");
        assert!(hidden.is_disabled() || !Recording::HAS_OWN_IDS);
        let _hidden = hidden.entered();
        drop(info_span!("inner"));
        debug!("unheard");
    });
    assert_eq!(got.span("inner").parent, got.span("outer").id);
    assert_eq!((got.spans.len(), got.logs.len()), (2, 0));
}

#[test]
fn many_threads_share_one_span_without_losing_it() {
    let recording = Recording::new();
    let dispatch = recording.dispatch.clone();
    let got = recording.records(|_| {
        let span = info_span!("shared", n = 0);
        let threads: Vec<_> = (0..4_u64)
            .map(|thread| {
                let (span, dispatch) = (span.clone(), dispatch.clone());
                std::thread::spawn(move || {
                    tracing::dispatcher::with_default(&dispatch, || {
                        for round in 0..500 {
                            let clone = span.clone();
                            clone.record("n", thread * 1000 + round);
                            drop(clone);
                        }
                    });
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
    let Some(Got::Int(n)) = got.span("shared").field("n") else {
        panic!("no n");
    };
    assert_eq!(n % 1000, 499);
}

/// Runs `body` while no slot is free, here or elsewhere.
fn without_slots<R>(recording: &Recording, body: impl FnOnce() -> R) -> R {
    let number = recording.subscriber().number;
    let take = || with_thread(|thread| thread.take_slot(number, &recording.slab));
    let taken: Vec<u32> = std::iter::from_fn(take).collect();
    let given = body();
    recording.slab.give(&taken);
    given
}

#[test]
fn a_span_too_many_is_not_recorded_and_counted() {
    let recording = Recording::new();
    recording.run(|| {
        without_slots(&recording, || {
            let span = info_span!("too many", x = 1);
            span.record("x", 2);
            span.in_scope(|| info!("outside"));
            let clone = span.clone();
            drop(span);
            drop(clone);
        });
        drop(info_span!("fits again"));
    });
    let ledger = recording.pipeline.shutdown(LONG);
    assert!(ledger.balances());
    let account = ledger.account(Signal::Traces);
    assert_eq!((account.submitted, account.exported), (2, 1));
    assert_eq!(account.dropped[DropReason::TooManyOpen], 1);
    let kept = recording.kept.lock().unwrap();
    assert_eq!((kept.spans.len(), kept.logs.len()), (1, 1));
    assert!(!kept.logs[0].trace.is_valid());
}

#[test]
fn what_is_within_a_span_too_many_begins_no_trace() {
    let recording = Recording::new();
    recording.run(|| {
        let lost = without_slots(&recording, || info_span!("too many"));
        // There is room again.
        drop(info_span!(parent: &lost, "lost, too"));
        let within = lost.in_scope(|| {
            let told = crate::TraceContext::current().unwrap();
            assert!(!told.is_sampled());
            info_span!("within")
        });
        drop(within.in_scope(|| info_span!("below")));
        // Within one that is recorded its children are that one's.
        let around = info_span!("around").entered();
        let inner = lost.clone().entered();
        let of_around = without_slots(&recording, || info_span!("too many").entered());
        drop(info_span!("child"));
        info!("in around");
        drop(of_around);
        drop(inner);
        drop(around);
        lost.in_scope(|| drop(info_span!(parent: None, "another")));
    });
    let ledger = recording.pipeline.shutdown(LONG);
    assert!(ledger.balances());
    let account = ledger.account(Signal::Traces);
    assert_eq!(account.dropped[DropReason::TooManyOpen], 5);
    let kept = recording.kept.lock().unwrap();
    let names: Vec<_> = kept.spans.iter().map(|span| &*span.name).collect();
    assert_eq!(names, ["child", "around", "another"]);
    assert_eq!(kept.span("child").parent, kept.span("around").id);
    assert_eq!(kept.logs[0].span, kept.span("around").id);
}

#[test]
fn what_is_within_a_span_that_is_not_recorded_begins_no_trace_when_slots_have_run_out() {
    let sampler = Sampler::always_off();
    let recording = Recording::sampled("trace", &Limits::default(), sampler);
    recording.run(|| {
        let root = without_slots(&recording, || info_span!("root"));
        // What is decided from here on is decided otherwise, and there is room again.
        recording.controls.set_sampler(Sampler::always_on());
        let around = info_span!("around").entered();
        let root = root.entered();
        let child = info_span!("child");
        let told = child.in_scope(crate::TraceContext::current);
        assert!(told.is_some_and(|told| !told.is_sampled()));
        drop(info_span!(parent: &child, "below"));
        info!("of nobody");
        drop((child, root, around));
    });
    let ledger = recording.pipeline.shutdown(LONG);
    assert_eq!(ledger.account(Signal::Traces).dropped_total(), 0);
    assert_eq!(recording.slab.open_count(), 0);
    let kept = recording.kept.lock().unwrap();
    assert_eq!((kept.spans.len(), kept.logs.len()), (1, 1));
    assert_eq!(kept.spans[0].name, "around");
    assert!(!kept.logs[0].trace.is_valid());
}
