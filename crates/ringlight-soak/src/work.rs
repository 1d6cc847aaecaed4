//! What the threads of a round do.

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, yield_now};
use std::time::{Duration, SystemTime};

use fastrand::Rng;
use opentelemetry::KeyValue;
use opentelemetry::trace::{Span as _, SpanKind, TraceContextExt as _, Tracer as _};
use opentelemetry::trace::{Status, TracerProvider as _};
use ringlight::collector::{Span as NativeSpan, SpanId, SpanTemplate, SubmitError, TraceId};
use ringlight::otel::{Tracer, TracerProvider};
use ringlight::{Telemetry, TraceContext};
use tracing::{Dispatch, Instrument as _, Span, debug, error, info, info_span, warn};

use crate::plan::Plan;
use crate::round::unpoisoned;

/// Spans on their way from one thread to another.
const POOL_MAX: usize = 200;

static STEP: SpanTemplate<2> = SpanTemplate::new("soak", "native step", ["number", "text"]);

/// How many records were made, whatever became of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Made {
    pub(crate) spans: u64,
    pub(crate) logs: u64,
}

/// What the threads of a round share.
pub(crate) struct Shared {
    pub(crate) telemetry: Telemetry,
    pub(crate) is_steady: bool,
    is_beside: bool,
    dispatch: Dispatch,
    pool: Mutex<Vec<Span>>,
    // Relaxed: counts, read after the threads that count have been joined.
    spans: AtomicU64,
    logs: AtomicU64,
    // Relaxed: it says nothing about other memory.
    is_over: AtomicBool,
}

impl Shared {
    pub(crate) fn new(plan: &Plan, dispatch: Dispatch, telemetry: Telemetry) -> Self {
        Self {
            telemetry,
            is_steady: plan.is_steady,
            is_beside: plan.is_beside,
            dispatch,
            pool: Mutex::default(),
            spans: AtomicU64::new(0),
            logs: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// The threads are to end.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Drops what is in the pool.
    pub(crate) fn forget(&self) {
        unpoisoned(self.pool.lock()).clear();
    }

    pub(crate) fn made(&self) -> Made {
        Made {
            spans: self.spans.load(Ordering::Relaxed),
            logs: self.logs.load(Ordering::Relaxed),
        }
    }
}

thread_local! {
    /// Whether panics of this thread are on purpose.
    static IS_ON_PURPOSE: Cell<bool> = const { Cell::new(false) };
}

/// Says nothing of panics that are part of the plan.
pub(crate) fn quiet_panics() {
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !IS_ON_PURPOSE.get() {
            loud(info);
        }
    }));
}

/// A thread at work.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    tracer: Tracer,
    random: Rng,
}

impl Worker {
    #[expect(clippy::expect_used, reason = "the dispatcher is one of ours")]
    pub(crate) fn new(shared: &Arc<Shared>, random: Rng) -> Self {
        let provider = TracerProvider::of(&shared.dispatch).expect("it is one of ours");
        Self {
            shared: Arc::clone(shared),
            tracer: provider.tracer("soak"),
            random,
        }
    }

    /// Does so many things, unless the round ends before.
    pub(crate) fn work(mut self, units: u32) {
        let dispatch = self.shared.dispatch.clone();
        tracing::dispatcher::with_default(&dispatch, || {
            for _ in 0..units {
                if self.shared.is_over() {
                    break;
                }
                self.unit();
                if self.random.u32(..4) == 0 {
                    sleep(Duration::from_micros(self.random.u64(..2_000)));
                }
            }
        });
    }

    fn unit(&mut self) {
        match self.random.u32(..40) {
            0..10 => self.nested(3),
            10..14 => self.across_threads(),
            14..17 => self.panicking(),
            17..20 => self.tasks(),
            20..26 => self.api(),
            26..29 => self.out_of_order(),
            29..33 => self.native(),
            33..36 => self.burst(),
            36..39 => self.nested(40),
            // It may be too late, or the backend too slow: that is an answer as well.
            _ => drop(
                self.shared
                    .telemetry
                    .flush(Duration::from_millis(self.random.u64(..200))),
            ),
        }
    }

    /// Opens a span and counts it.
    fn span(&mut self) -> Span {
        self.shared.spans.fetch_add(1, Ordering::Relaxed);
        let number = self.random.u64(..);
        let late = tracing::field::Empty;
        match self.random.u32(..5) {
            0 => info_span!("plain"),
            1 => info_span!(
                "typed",
                number,
                half = 0.5,
                yes = true,
                text = "short",
                late
            ),
            2 => info_span!("formatted", took = %Took(number), debug = ?Some(number), late),
            3 => {
                let text = "long ".repeat(self.random.usize(..600));
                info_span!("long", text, late)
            }
            _ => info_span!(parent: None, "rootless", number, late),
        }
    }

    /// Logs something and counts it.
    fn event(&mut self) {
        self.shared.logs.fetch_add(1, Ordering::Relaxed);
        match self.random.u32(..8) {
            0 => error!(code = 7, "it broke"),
            1 => warn!(took = %Took(self.random.u64(..)), "slow"),
            2 => debug!("detail"),
            _ => info!(number = self.random.u64(..), "said"),
        }
    }

    /// A span within a span, down to a random depth.
    fn nested(&mut self, depth_max: u32) {
        let span = self.span();
        let _entered = span.enter();
        if self.random.bool() {
            self.event();
        }
        if depth_max > 0 && self.random.u32(..5) > 0 {
            self.nested(depth_max - 1);
        }
        span.record("late", self.random.u64(..));
    }

    /// Takes spans others have left, and leaves some.
    fn across_threads(&mut self) {
        let taken = {
            let mut pool = unpoisoned(self.shared.pool.lock());
            let some = self.random.usize(..=pool.len().min(8));
            let from = pool.len() - some;
            pool.split_off(from)
        };
        for span in taken {
            let _entered = span.enter();
            self.event();
            if self.random.bool() {
                yield_now();
            }
        }
        for _ in 0..self.random.usize(..8) {
            let span = self.span();
            let mut pool = unpoisoned(self.shared.pool.lock());
            if pool.len() < POOL_MAX {
                // Entered on this thread and on another, perhaps at once.
                pool.push(span.clone());
            }
            drop(pool);
            span.in_scope(|| self.event());
        }
    }

    /// A panic that passes through spans, or happens while one is made.
    fn panicking(&mut self) {
        IS_ON_PURPOSE.set(true);
        // What is not recorded is not formatted, and so does not panic.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let _outer = self.span().entered();
            let _inner = self.span().entered();
            self.event();
            match self.random.u32(..4) {
                0 => resume_unwind(Box::new("on purpose")),
                // Beside layers their registry would keep it, and what is around it, for good.
                1 if !self.shared.is_beside => drop(info_span!("never opened", bad = ?Panics)),
                2 => info!(bad = ?Panics, "never said"),
                _ => panic!("on purpose"),
            }
        }));
        IS_ON_PURPOSE.set(false);
    }

    /// Tasks on a runtime, some of which are cancelled at a place of their own.
    #[expect(
        clippy::expect_used,
        reason = "a system that gives threads gives a runtime"
    )]
    fn tasks(&mut self) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime starts");
        let mut tasks = Vec::new();
        for _ in 0..self.random.usize(1..10) {
            let outer = self.span();
            let inner = self.span();
            let yields = self.random.usize(..6);
            let task = async move {
                for _ in 0..yields {
                    tokio::task::yield_now().await;
                }
                tokio::task::yield_now().instrument(inner).await;
            };
            tasks.push(runtime.spawn(task.instrument(outer)));
        }
        let steps = self.random.usize(..10);
        runtime.block_on(async {
            for _ in 0..steps {
                tokio::task::yield_now().await;
            }
            for task in &tasks {
                if self.random.bool() {
                    task.abort();
                }
            }
            if self.random.bool() {
                for task in tasks {
                    // It may have been cancelled.
                    let _ = task.await;
                }
            }
            // What is left is cancelled with the runtime.
        });
    }

    /// Spans of the OpenTelemetry API, between those of `tracing`.
    fn api(&mut self) {
        let around = self.span().entered();
        let tracer = self.tracer.clone();
        let mut span = tracer.span_builder("api").with_kind(SpanKind::Client);
        if self.random.u32(..4) == 0 {
            span = span.with_start_time(self.any_time());
        }
        self.shared.spans.fetch_add(1, Ordering::Relaxed);
        let mut span = tracer.build(span);
        span.set_attribute(KeyValue::new("number", self.random.i64(..)));
        span.add_event("happened", vec![KeyValue::new("text", "short")]);
        match self.random.u32(..4) {
            0 => span.set_status(Status::error("it broke")),
            1 => span.end_with_timestamp(self.any_time()),
            _ => {}
        }
        drop(span);
        self.shared.spans.fetch_add(1, Ordering::Relaxed);
        tracer.in_span("api around", |context| {
            self.nested(2);
            if let Some(here) = TraceContext::current() {
                assert!(!self.shared.is_steady || here.is_sampled());
                assert!(context.span().span_context().is_valid());
            }
        });
        drop(around);
    }

    fn any_time(&mut self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.random.u64(..4_000_000_000))
    }

    /// Spans that are not left in the order they were entered.
    fn out_of_order(&mut self) {
        let mut entered: Vec<_> = (0..self.random.usize(2..6))
            .map(|_| self.span().entered())
            .collect();
        self.random.shuffle(&mut entered);
        for span in entered {
            self.event();
            drop(span);
        }
    }

    /// Spans without `tracing`, from a ring of their own if there is one left.
    fn native(&mut self) {
        let Ok(mut producer) = self.shared.telemetry.register_producer() else {
            return;
        };
        for number in 0..self.random.u64(..100) {
            let spans = &self.shared.spans;
            if self.random.bool() {
                let span = producer.start(&STEP);
                spans.fetch_add(1, Ordering::Relaxed);
                producer.end(span, [number.into(), "some text".into()]);
                continue;
            }
            let span = NativeSpan {
                trace_id: TraceId::new(self.random.u128(1..)),
                span_id: SpanId::new(self.random.u64(1..)),
                name: "native whole".into(),
                start_unix_nano: self.random.u64(..),
                end_unix_nano: self.random.u64(..),
                ..NativeSpan::default()
            };
            match producer.submit_span(span) {
                Ok(()) => {
                    spans.fetch_add(1, Ordering::Relaxed);
                }
                // It is not in the ledger.
                Err(SubmitError::Full(_) | SubmitError::Closed(_)) => {}
                Err(other) => panic!("a good span is refused: {other}"),
            }
        }
    }

    /// More at once than small rings hold.
    fn burst(&mut self) {
        for _ in 0..self.random.usize(..3_000) {
            match self.random.bool() {
                true => self.event(),
                false => drop(self.span()),
            }
        }
    }
}

/// A value that is formatted.
struct Took(u64);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}us", self.0 % 1_000)
    }
}

/// A value that cannot be formatted.
struct Panics;

impl fmt::Debug for Panics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("half of it")?;
        panic!("on purpose")
    }
}
