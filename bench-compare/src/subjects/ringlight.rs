//! The product.

use std::time::Duration;

use anyhow::{Result, bail};
use ringlight::otel::Interop;
use ringlight::{
    Builder, Compression, DropReason, LedgerSnapshot, LogFormat, OverflowPolicy, Sampler, Signal,
    SpoolConfig, SpoolMode, Telemetry,
};

use super::{Account, Ending, OwnCost, Producer, Recording, Settings, macros::Macros};
use crate::plan::{Keeping, Packing, Room, Sampling, Shipping};
use crate::ship::Scratch;

/// As `init` sets it up, except that log lines go nowhere: the peers print none.
pub(super) struct Ringlight {
    telemetry: Telemetry,
}

pub(super) fn start(settings: &Settings<'_>, interop: Interop) -> Result<Ringlight> {
    let builder = ringlight::builder()
        .service_name("bench-compare")
        .otlp_endpoint(settings.endpoint)
        .log_format(LogFormat::Off)
        .otel_interop(interop);
    let builder = match settings.sampling {
        Sampling::AlwaysOn => builder,
        Sampling::AlwaysOff => builder.sampler(Sampler::always_off()),
    };
    let builder = shipped(builder, &settings.shipping)?;
    let telemetry = match settings.room {
        // A burst fits its rings as they are.
        Room::Default | Room::Burst => builder.init()?,
        Room::Lossless => builder.overflow(OverflowPolicy::Block).init()?,
    };
    Ok(Ringlight { telemetry })
}

fn shipped(builder: Builder, shipping: &Shipping) -> Result<Builder> {
    let builder = builder.otlp_compression(match shipping.packing {
        Packing::None => Compression::None,
        Packing::Gzip => Compression::Gzip,
        Packing::Zstd => Compression::Zstd,
    });
    let batch_spans = shipping.batch_spans;
    let builder = builder.pipeline(move |pipeline| {
        if let Some(spans) = batch_spans {
            pipeline.batch_records_max = spans;
            // The number alone is to make a batch full.
            pipeline.batch_bytes_max = 4 << 20;
            pipeline.queue_bytes_max = 16 << 20;
        }
    });
    let (mode, sync) = match shipping.keeping {
        Keeping::Off => return Ok(builder),
        Keeping::Overflow => (SpoolMode::Overflow, true),
        Keeping::Always => (SpoolMode::Always, true),
        Keeping::AlwaysUnsynced => (SpoolMode::Always, false),
    };
    Ok(builder.spool(SpoolConfig {
        mode,
        sync,
        ..SpoolConfig::new(Scratch::dir()?.join("spool"))
    }))
}

impl Recording for Ringlight {
    fn producer(&self) -> Result<Box<dyn Producer + '_>> {
        Ok(Box::new(Macros))
    }

    fn finish(self: Box<Self>) -> Result<Ending> {
        let account = account(&self.telemetry.shutdown(Duration::from_secs(120)))?;
        let cost = self.telemetry.cost();
        let deliveries = self.telemetry.deliveries();
        let wire_bytes = deliveries.first();
        let wire_bytes = wire_bytes.map(|(_, to)| to.signal(Signal::Traces).wire_bytes);
        Ok(Ending {
            wire_bytes,
            account: Some(account),
            cost: Some(OwnCost {
                span_ns: cost.span_nano,
                process_ns: u64::try_from(cost.overhead_time().as_nanos())?,
            }),
        })
    }
}

/// What a ledger says was dropped.
pub(super) fn account(ledger: &LedgerSnapshot) -> Result<Account> {
    if !ledger.balances() {
        bail!("the ledger does not balance: {ledger:?}");
    }
    let spans = ledger.account(Signal::Traces);
    let mut account = Account::new();
    for reason in DropReason::ALL {
        account.insert(reason.as_str().to_owned(), spans.dropped[reason]);
    }
    account.insert("rejected".to_owned(), spans.rejected);
    account.retain(|_, count| *count > 0);
    Ok(account)
}
