//! What a round is like.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use ringlight::collector::{CollectorConfig, RetryConfig};
use ringlight::{Builder, Clock, LogFormat, ManualTime, OverflowPolicy, Protocol, TailSampling};
use tracing_subscriber::layer::SubscriberExt as _;

/// How long a round's threads work.
pub(crate) const ROUND: Duration = Duration::from_secs(5);

/// How a round ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// After the work, with a backend that takes everything and all the time it wants.
    Orderly,
    /// In the middle of the work, with no time to speak of.
    Abrupt,
}

/// The settings of a round, all of which follow from its seed.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) ending: Ending,
    /// Whether filter and sampler stay as they are, so that it is known what is recorded.
    pub(crate) is_steady: bool,
    pub(crate) protocol: Protocol,
    pub(crate) stations: u32,
    policy: OverflowPolicy,
    ring_bits: u8,
    producers_max: usize,
    batch_records_max: usize,
    batch_bytes_max: usize,
    queue_bytes_max: usize,
    batch_delay: Duration,
    judges_traces: bool,
    pub(crate) is_beside: bool,
    has_span_events: bool,
}

impl Plan {
    pub(crate) fn of(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let batch_bytes_max = 1024 << random.u32(..9);
        Self {
            seed,
            ending: match random.u32(..4) {
                0 => Ending::Abrupt,
                _ => Ending::Orderly,
            },
            is_steady: random.bool(),
            protocol: match random.bool() {
                true => Protocol::Grpc,
                false => Protocol::HttpProtobuf,
            },
            stations: random.u32(2..=6),
            policy: match random.u32(..4) {
                0 | 1 => OverflowPolicy::Drop,
                2 => OverflowPolicy::Block,
                _ => OverflowPolicy::BlockFor(Duration::from_millis(random.u64(..20))),
            },
            ring_bits: random.u8(6..=11),
            producers_max: random.usize(1..=12),
            batch_records_max: random.usize(1..2_000),
            batch_bytes_max,
            queue_bytes_max: batch_bytes_max * random.usize(1..=4),
            batch_delay: Duration::from_millis(random.u64(1..=200)),
            judges_traces: random.u32(..4) == 0,
            is_beside: random.u32(..4) == 0,
            has_span_events: random.u32(..4) == 0,
        }
    }

    /// Telemetry as planned, to this address, on this clock.
    pub(crate) fn builder(&self, url: String, times: ManualTime) -> Builder {
        let plan = self.clone();
        let builder = ringlight::builder()
            .environment([("RUST_LOG", "trace")])
            .service_name("soak")
            .otlp_endpoint(url)
            .otlp_protocol(self.protocol)
            .log_format(LogFormat::Off)
            .clock(Clock::manual(times))
            .overflow(self.policy)
            .batch_delay(self.batch_delay)
            .span_events(self.has_span_events)
            .pipeline(move |config| plan.set(config));
        let builder = if self.judges_traces {
            builder.tail_sampling(TailSampling {
                otherwise_ratio: 0.5,
                wait_max: Duration::from_millis(500),
                bytes_max: 256 * 1024,
                ..TailSampling::default()
            })
        } else {
            builder
        };
        if self.is_beside {
            let lines = tracing_subscriber::fmt::layer().with_writer(std::io::sink);
            return builder.beside(|registry| registry.with(lines));
        }
        builder
    }

    fn set(&self, config: &mut CollectorConfig) {
        config.ring_bits = self.ring_bits;
        config.producers_max = self.producers_max;
        config.batch_records_max = self.batch_records_max;
        config.batch_bytes_max = self.batch_bytes_max;
        config.queue_bytes_max = self.queue_bytes_max;
        config.report_interval = Duration::from_millis(100);
        // Soon enough that a request which is never answered is sent again many times a round.
        config.export_timeout = Duration::from_millis(500);
        config.retry = RetryConfig {
            delay_first: Duration::from_millis(1),
            delay_max: Duration::from_millis(50),
            ..RetryConfig::default()
        };
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} end, {:?}, {:?}, rings of {} KiB for {}, batches of {} or {} KiB, queue of {} KiB",
            self.ending,
            self.protocol,
            self.policy,
            (128 << self.ring_bits) / 1024,
            self.producers_max,
            self.batch_records_max,
            self.batch_bytes_max / 1024,
            self.queue_bytes_max / 1024,
        )?;
        for (is, what) in [
            (!self.is_steady, "filter and sampler change"),
            (self.judges_traces, "traces are judged"),
            (self.is_beside, "beside a layer"),
            (self.has_span_events, "span events"),
        ] {
            if is {
                write!(f, ", {what}")?;
            }
        }
        Ok(())
    }
}
