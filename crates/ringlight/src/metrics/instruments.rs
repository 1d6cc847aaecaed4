//! The SDK's instruments, with exemplars kept beside them, and with callbacks that may panic.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::metrics::{
    AsyncInstrument, AsyncInstrumentBuilder, Callback, Counter, Gauge, Histogram, HistogramBuilder,
    InstrumentBuilder, InstrumentProvider, Meter, ObservableCounter, ObservableGauge,
    ObservableUpDownCounter, SyncInstrument, UpDownCounter,
};
use opentelemetry::{InstrumentationScope, KeyValue};

use super::exemplars::{Number, Reservoir, Reservoirs};
use super::overflows::Overflows;

thread_local! {
    /// The SDK asks views while it makes an instrument, and does not tell them of its boundaries.
    static IS_MADE_WITH_BOUNDARIES: Cell<bool> = const { Cell::new(false) };
}

/// Whether the histogram that this thread is making has boundaries of its own.
pub(super) fn is_made_with_boundaries() -> bool {
    IS_MADE_WITH_BOUNDARIES.get()
}

/// Makes the instruments of one meter.
pub(super) struct Instruments {
    inner: Meter,
    scope: InstrumentationScope,
    reservoirs: Arc<Reservoirs>,
    overflows: Arc<Overflows>,
}

impl Instruments {
    pub(super) const fn new(
        inner: Meter,
        scope: InstrumentationScope,
        reservoirs: Arc<Reservoirs>,
        overflows: Arc<Overflows>,
    ) -> Self {
        Self {
            inner,
            scope,
            reservoirs,
            overflows,
        }
    }
}

/// An instrument of the SDK and how it is measured with.
struct Watched<I, T> {
    inner: I,
    measure: fn(&I, T, &[KeyValue]),
    reservoirs: Arc<Reservoirs>,
    reservoir: Arc<Reservoir>,
}

impl<I: Send + Sync, T: Copy + Into<Number>> SyncInstrument<T> for Watched<I, T> {
    fn measure(&self, measurement: T, attributes: &[KeyValue]) {
        (self.measure)(&self.inner, measurement, attributes);
        self.reservoirs
            .offer(&self.reservoir, measurement.into(), attributes);
    }
}

/// Calls a callback until it panics.
fn guarded<T: 'static>(
    name: String,
    callback: Callback<T>,
    overflows: Arc<Overflows>,
) -> impl Fn(&dyn AsyncInstrument<T>) + Send + Sync + 'static {
    // Relaxed: callbacks are called by one thread.
    let is_broken = AtomicBool::new(false);
    move |instrument| {
        if is_broken.load(Ordering::Relaxed) {
            return;
        }
        if catch_unwind(AssertUnwindSafe(|| callback(instrument))).is_err() {
            is_broken.store(true, Ordering::Relaxed);
            overflows.tell(
                &name,
                "has a callback that panicked, which is not called again",
            );
        }
    }
}

macro_rules! watched {
    ($method:ident, $instrument:ident<$number:ty>, $measure:ident) => {
        fn $method(
            &self,
            builder: InstrumentBuilder<'_, $instrument<$number>>,
        ) -> $instrument<$number> {
            let reservoir = self.reservoirs.of(&self.scope, &builder.name);
            let mut inner = self.inner.$method(builder.name);
            if let Some(description) = builder.description {
                inner = inner.with_description(description);
            }
            if let Some(unit) = builder.unit {
                inner = inner.with_unit(unit);
            }
            let inner = inner.build();
            match reservoir {
                None => inner,
                Some(reservoir) => $instrument::new(Arc::new(Watched {
                    inner,
                    measure: |inner: &$instrument<$number>, value, attributes| {
                        inner.$measure(value, attributes);
                    },
                    reservoirs: Arc::clone(&self.reservoirs),
                    reservoir,
                })),
            }
        }
    };
}

macro_rules! histogram {
    ($method:ident, $number:ty) => {
        fn $method(&self, builder: HistogramBuilder<'_, Histogram<$number>>) -> Histogram<$number> {
            let reservoir = self.reservoirs.of(&self.scope, &builder.name);
            let mut inner = self.inner.$method(builder.name);
            if let Some(description) = builder.description {
                inner = inner.with_description(description);
            }
            if let Some(unit) = builder.unit {
                inner = inner.with_unit(unit);
            }
            let has_boundaries = builder.boundaries.is_some();
            if let Some(boundaries) = builder.boundaries {
                inner = inner.with_boundaries(boundaries);
            }
            IS_MADE_WITH_BOUNDARIES.set(has_boundaries);
            let inner = inner.build();
            IS_MADE_WITH_BOUNDARIES.set(false);
            match reservoir {
                None => inner,
                Some(reservoir) => Histogram::new(Arc::new(Watched {
                    inner,
                    measure: |inner: &Histogram<$number>, value, attributes| {
                        inner.record(value, attributes);
                    },
                    reservoirs: Arc::clone(&self.reservoirs),
                    reservoir,
                })),
            }
        }
    };
}

macro_rules! observed {
    ($method:ident, $instrument:ident<$number:ty>) => {
        fn $method(
            &self,
            builder: AsyncInstrumentBuilder<'_, $instrument<$number>, $number>,
        ) -> $instrument<$number> {
            let name = builder.name.to_string();
            let mut inner = self.inner.$method(builder.name);
            if let Some(description) = builder.description {
                inner = inner.with_description(description);
            }
            if let Some(unit) = builder.unit {
                inner = inner.with_unit(unit);
            }
            for callback in builder.callbacks {
                inner = inner.with_callback(guarded(
                    name.clone(),
                    callback,
                    Arc::clone(&self.overflows),
                ));
            }
            inner.build()
        }
    };
}

impl InstrumentProvider for Instruments {
    watched!(u64_counter, Counter<u64>, add);
    watched!(f64_counter, Counter<f64>, add);
    watched!(i64_up_down_counter, UpDownCounter<i64>, add);
    watched!(f64_up_down_counter, UpDownCounter<f64>, add);
    watched!(u64_gauge, Gauge<u64>, record);
    watched!(i64_gauge, Gauge<i64>, record);
    watched!(f64_gauge, Gauge<f64>, record);
    histogram!(u64_histogram, u64);
    histogram!(f64_histogram, f64);
    observed!(u64_observable_counter, ObservableCounter<u64>);
    observed!(f64_observable_counter, ObservableCounter<f64>);
    observed!(i64_observable_up_down_counter, ObservableUpDownCounter<i64>);
    observed!(f64_observable_up_down_counter, ObservableUpDownCounter<f64>);
    observed!(u64_observable_gauge, ObservableGauge<u64>);
    observed!(i64_observable_gauge, ObservableGauge<i64>);
    observed!(f64_observable_gauge, ObservableGauge<f64>);
}
