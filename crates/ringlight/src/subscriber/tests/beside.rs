//! What layers beside us see of spans and events, and what they do not.

use std::sync::atomic::AtomicUsize;

use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use super::super::beside::is_on;
use super::*;

/// Remembers what it is told, spans by name.
#[derive(Debug, Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn write(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl<S> Layer<S> for Diary
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let span = ctx.span(id).unwrap();
        let parent = span.parent().map_or("-", |parent| parent.name());
        self.write(format!("open {} in {parent}", attributes.metadata().name()));
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, ctx: Context<'_, S>) {
        let name = |id| ctx.span(id).unwrap().name();
        self.write(format!("{} follows {}", name(id), name(follows)));
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let span = ctx.event_span(event);
        let span = span.map_or("-", |span| span.name());
        self.write(format!("{} in {span}", event.metadata().name()));
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        self.write(format!("close {}", ctx.span(&id).unwrap().name()));
    }
}

/// Beside a diary that is for what is named in capitals.
fn beside_capitals(diary: &Diary) -> RecordingIn<Alone> {
    let diary = diary.clone();
    RecordingIn::made(|subscriber| {
        let capitals = filter_fn(|of| of.name().starts_with(char::is_uppercase));
        beside(subscriber, |registry| {
            registry.with(diary.with_filter(capitals))
        })
    })
}

fn is_own(span: &Span) -> bool {
    SlotId::is_own(span.id().unwrap().into_u64())
}

#[test]
fn ids_of_slots_and_of_the_registry_are_never_the_same() {
    let slab = Slab::new(Clock::monotonic());
    let mut indices = vec![0; OPEN_SPANS_MAX];
    let mut taken = 0;
    while taken < OPEN_SPANS_MAX {
        taken += slab.take(&mut indices[taken..]);
    }
    let start = ringlight_clock::Clock::system().now();
    let id = |index: u32| {
        let slot = slab.slot_at(index).unwrap();
        slot.open(1, SlotId::NO_PARENT, SpanContext::NONE);
        slot.publish_unsampled(index, start.unix_nano).get()
    };
    for index in [0, 1, 77, OPEN_SPANS_MAX as u32 - 1] {
        for _ in 0..10_000 {
            assert!(SlotId::is_own(id(index)));
            slab.slot_at(index).unwrap().retire();
        }
    }
    assert!(SlotId::is_own(SlotId::NONE.get()));
    assert!(SlotId::is_own(SlotId::NONE.guest().get()));

    // The registry's consist of a thread's number, an address and a generation.
    let registry = Dispatch::new(tracing_subscriber::registry());
    let spans = || {
        let span = || {
            let id = info_span!("span").id().unwrap().into_u64();
            assert!(!SlotId::is_own(id), "{id:#x}");
        };
        tracing::dispatcher::with_default(&registry, || {
            (0..10_000).for_each(|_| span());
            let open: Vec<_> = (0..500).map(|_| info_span!("open")).collect();
            let ids = open.iter().map(|span| span.id().unwrap().into_u64());
            assert!(ids.into_iter().all(|id| !SlotId::is_own(id)));
        });
    };
    std::thread::scope(|scope| {
        // Numbers of threads are given again once they have ended.
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(spans)).collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn a_generation_is_counted_past_the_bit_that_tells_ids_apart() {
    let slab = Slab::new(Clock::monotonic());
    let mut index = [0];
    slab.take(&mut index);
    let slot = slab.slot_at(index[0]).unwrap();
    slot.set_generation(1 << 50 | ((1 << 26) - 1) << 24);
    let id = || {
        slot.open(1, SlotId::NO_PARENT, SpanContext::NONE);
        slot.publish_unsampled(index[0], 1)
    };
    let before = id();
    slot.retire();
    let after = id();
    assert!(SlotId::is_own(before.get()) && SlotId::is_own(after.get()));
    assert_eq!(after.get() & ((1 << 50) - 1), 1);
    assert_eq!((after.get() ^ before.get()) >> 50, 1 << 1);
    assert!(slab.slot(before).is_none() && slab.slot(after).is_some());
}

#[test]
fn layers_hear_only_of_what_they_want_and_we_of_everything() {
    let diary = Diary::default();
    let got = beside_capitals(&diary).records(|_| {
        let outer = info_span!("Outer").entered();
        let between = info_span!("between").entered();
        assert!(!is_own(&outer) && is_own(&between));
        let inner = info_span!("Inner").entered();
        info!(name: "Log", "hello");
        info!(name: "log", "hello");
        drop((inner, between, outer));
    });
    assert_eq!(
        diary.take(),
        [
            "open Outer in -",
            "open Inner in Outer",
            "Log in Inner",
            "close Inner",
            "close Outer"
        ]
    );
    assert_eq!(got.span("between").parent, got.span("Outer").id);
    assert_eq!(got.span("Inner").parent, got.span("between").id);
    assert_eq!(got.logs.len(), 2);
    assert!(
        got.logs
            .iter()
            .all(|log| log.path == ["Outer", "between", "Inner"])
    );
}

#[test]
fn what_is_more_verbose_than_all_layers_goes_past_them() {
    // A layer that is not there says that it wants everything, and nothing of any level.
    let recording = RecordingIn::<Alone>::made(|subscriber| {
        beside(subscriber, |registry| registry.with(None::<Diary>))
    });
    let got = recording.records(|_| assert!(is_own(&info_span!("ours"))));
    assert_eq!(got.spans.len(), 1);
}

#[test]
fn layers_that_are_elsewhere_are_noticed() {
    let recording = RecordingIn::<Alone>::made(|subscriber| {
        let layer = RinglightLayer::beside(subscriber);
        let ours = registry::registry(&layer).with(Diary::default());
        let theirs = tracing_subscriber::registry().with(Diary::default());
        assert!(is_on(&ours, &layer));
        assert!(!is_on(&theirs, &layer));
        assert!(!is_on(&theirs.with(other_layer()), &layer));
        Dispatch::new(ours)
    });
    recording.records(|_| ());
}

/// A layer of another subscriber.
fn other_layer() -> RinglightLayer {
    let dispatch = RecordingIn::<AsLayer>::new().dispatch;
    dispatch.downcast_ref::<RinglightLayer>().unwrap().clone()
}

#[test]
fn explicit_parents_and_causes_lead_from_one_side_to_the_other() {
    let diary = Diary::default();
    let got = beside_capitals(&diary).records(|_| {
        let outer = info_span!("Outer");
        let (ours, far) = outer.in_scope(|| {
            let ours = info_span!("ours");
            // In the span the thread is in, for layers.
            drop(info_span!(parent: &ours, "Near"));
            (ours, info_span!("far"))
        });
        // In none: nobody says that the one around the parent stays open.
        drop(info_span!(parent: &far, "Far"));
        drop(info_span!(parent: &outer, "child"));
        info!(name: "Log", parent: &ours, "hello");
        info!(name: "log", parent: &outer, "hello");
        let effect = info_span!("Effect");
        effect.follows_from(&ours);
        effect.follows_from(&outer);
        ours.follows_from(&outer);
        drop(outer);
        info!(name: "Log", parent: &ours, "nobody they know is around it");
    });
    assert_eq!(
        diary.take(),
        [
            "open Outer in -",
            "open Near in Outer",
            "close Near",
            "open Far in -",
            "close Far",
            "Log in Outer",
            "open Effect in -",
            "Effect follows Outer",
            "close Outer",
            "Log in -",
            "close Effect"
        ]
    );
    let id = |name: &str| got.span(name).id;
    for (name, parent) in [
        ("ours", "Outer"),
        ("Near", "ours"),
        ("Far", "far"),
        ("child", "Outer"),
    ] {
        assert_eq!(got.span(name).parent, id(parent), "{name}");
    }
    let logs: Vec<_> = got.logs.iter().map(|log| log.span).collect();
    assert_eq!(logs, [id("ours"), id("Outer"), id("ours")]);
    assert_eq!(got.span("Effect").links, [id("ours"), id("Outer")]);
    assert_eq!(got.span("ours").links, [id("Outer")]);
}

#[test]
fn the_current_span_is_the_innermost_of_both_sides() {
    let diary = Diary::default();
    let recording = beside_capitals(&diary);
    recording.records(|_| {
        let name = || Span::current().metadata().map(Metadata::name);
        assert_eq!(name(), None);
        let outer = info_span!("Outer").entered();
        assert_eq!(name(), Some("Outer"));
        let ours = info_span!("ours").entered();
        assert_eq!(name(), Some("ours"));
        let inner = info_span!("Inner").entered();
        assert_eq!(name(), Some("Inner"));
        // As a guard it is of use on either side.
        let held = [&inner, &ours].map(|span| span.in_scope(Span::current));
        assert_eq!(held.each_ref().map(is_own), [false, true]);
        // Entered twice, of which the registry takes no notice.
        outer.in_scope(|| {
            assert_eq!(name(), Some("Outer"));
            assert!(!is_own(&Span::current()));
        });
        drop((inner, ours, outer));
        assert_eq!(name(), None);
    });
}

#[test]
fn what_only_layers_want_is_for_us_not_there() {
    let diary = Diary::default();
    let layer = diary.clone();
    let recording = RecordingIn::<Alone>::filtered("off,ours=info", |subscriber| {
        beside(subscriber, |registry| registry.with(layer))
    });
    let got = recording.records(|_| {
        let outer = info_span!(target: "ours", "outer").entered();
        let theirs = info_span!("theirs").entered();
        assert_eq!(Span::current().id(), theirs.id());
        assert!(!is_own(&theirs));
        drop(info_span!(target: "ours", "inner"));
        info!(name: "log", target: "ours", "hello");
        drop(info_span!(target: "ours", parent: &theirs, "explicit"));
        info!(name: "their log", "hello");
        drop((theirs, outer));
    });
    for name in ["inner", "explicit"] {
        assert_eq!(got.span(name).parent, got.span("outer").id);
    }
    assert_eq!((got.spans.len(), got.logs.len()), (3, 1));
    assert_eq!(got.logs[0].span, got.span("outer").id);
    assert_eq!(
        diary.take(),
        [
            "open outer in -",
            "open theirs in outer",
            "open inner in theirs",
            "close inner",
            "log in theirs",
            "open explicit in theirs",
            "close explicit",
            "their log in theirs",
            "close theirs",
            "close outer"
        ]
    );
}

#[test]
fn a_parent_that_layers_do_not_know_is_that_of_one_span_only() {
    let layer = Diary::default().with_filter(filter_fn(|of| of.target() != "ours"));
    let recording = RecordingIn::<Alone>::filtered("info,theirs=off", |subscriber| {
        beside(subscriber, |registry| registry.with(layer))
    });
    let got = recording.records(|_| {
        let parent = info_span!(target: "ours", "parent");
        drop(info_span!(target: "theirs", parent: &parent, "theirs"));
        drop(info_span!("next"));
        drop(info_span!(parent: &parent, "child"));
    });
    assert_eq!(got.span("next").parent, SpanId::INVALID);
    assert_eq!(got.span("child").parent, got.span("parent").id);
    assert_eq!(got.spans.len(), 3);
}

#[test]
fn nobody_is_asked_again_about_what_is_wanted_always_or_never() {
    /// Counts how often it is asked.
    #[derive(Clone, Default)]
    struct Asked(Arc<AtomicUsize>);
    impl<S: Subscriber> Layer<S> for Asked {
        fn enabled(&self, _: &Metadata<'_>, _: Context<'_, S>) -> bool {
            self.0.fetch_add(1, Ordering::Relaxed);
            true
        }

        fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
            match metadata.name() {
                "never" => Interest::never(),
                "always" => Interest::always(),
                _ => Interest::sometimes(),
            }
        }
    }
    let asked = Asked::default();
    let layer = asked.clone();
    let diary = Diary::default();
    let below = diary.clone();
    let recording = RecordingIn::<Alone>::made(|subscriber| {
        beside(subscriber, |registry| registry.with(below).with(layer))
    });
    let got = recording.records(|_| {
        for (name, times, lines) in [("never", 0, 0), ("always", 0, 20), ("sometimes", 10, 20)] {
            asked.0.store(0, Ordering::Relaxed);
            diary.take();
            for _ in 0..10 {
                drop(match name {
                    "never" => info_span!("never"),
                    "always" => info_span!("always"),
                    _ => info_span!("sometimes"),
                });
            }
            assert_eq!(asked.0.load(Ordering::Relaxed), times, "{name}");
            assert_eq!(diary.take().len(), lines, "{name}");
        }
    });
    assert_eq!(got.spans.len(), 30);
}

#[test]
fn layers_may_change_their_mind_while_spans_are_open_on_any_thread() {
    const THREADS: u64 = 4;
    const ROUNDS: u64 = 200;
    let (filter, handle) = tracing_subscriber::reload::Layer::new(LevelFilter::OFF);
    let diary = Diary::default();
    let layer = diary.clone().with_filter(filter);
    let recording = RecordingIn::<Alone>::made(|subscriber| {
        beside(subscriber, |registry| registry.with(layer))
    });
    let dispatch = recording.dispatch.clone();
    let work = |n: u64| {
        let root = info_span!("root", n);
        let moved = root.in_scope(|| {
            let inner = info_span!("inner", n).entered();
            info!(name: "log", n, "hello");
            drop(info_span!(parent: &root, "explicit", n));
            drop(inner);
            info_span!("moved", n)
        });
        drop(root);
        moved
    };
    let got = recording.records(|_| {
        let (send, receive) = std::sync::mpsc::channel::<Span>();
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (send, dispatch, handle) = (send.clone(), &dispatch, &handle);
                scope.spawn(move || {
                    tracing::dispatcher::with_default(dispatch, || {
                        for round in 0..ROUNDS {
                            let _ = send.send(work(thread * ROUNDS + round));
                            if round % 16 == thread {
                                let levels = [LevelFilter::OFF, LevelFilter::INFO];
                                handle.reload(levels[usize::from(round % 32 < 16)]).unwrap();
                            }
                        }
                    });
                });
            }
            drop(send);
            for moved in receive {
                moved.in_scope(|| drop(info_span!("below")));
            }
        });
    });
    let n = |span: &RecordedSpan| span.field("n").cloned().unwrap();
    let by_id: HashMap<SpanId, &RecordedSpan> = got.spans.iter().map(|s| (s.id, s)).collect();
    for span in &got.spans {
        let parent = by_id.get(&span.parent);
        let expected = match span.name.as_str() {
            "root" => None,
            "below" => Some("moved"),
            _ => Some("root"),
        };
        assert_eq!(parent.map(|p| p.name.as_str()), expected, "{}", span.name);
        if let Some(parent) = parent.filter(|_| span.name != "below") {
            assert_eq!(n(span), n(parent));
        }
    }
    assert_eq!(got.spans.len() as u64, 5 * THREADS * ROUNDS);
    assert_eq!(got.logs.len() as u64, THREADS * ROUNDS);
    for log in &got.logs {
        let span = by_id[&log.span];
        assert_eq!(
            (span.name.as_str(), Some(&n(span))),
            ("inner", log.field("n"))
        );
    }
    // Layers were told of some, and of the end of each of them.
    let lines = diary.take();
    let count = |of: &str| lines.iter().filter(|line| line.starts_with(of)).count();
    assert!(count("open") > 0);
    assert_eq!(count("open"), count("close"));
}
