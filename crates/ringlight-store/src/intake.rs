//! From the bytes of a request to columns.

use ringlight_model::{
    DecodeError, Decoder, LogRecord, Metric, MetricPoint, RecordVisitor, RejectReason, Resource,
    Scope, Signal, Span,
};

use crate::table::{LogTable, MetricTable, PointOwners, SpanTable};

/// The records of a request, before they have a place in the store.
#[derive(Debug)]
pub(crate) enum Records {
    Spans(Box<SpanTable>),
    Logs(Box<LogTable>),
    Metrics(Box<MetricTable>),
}

impl Records {
    pub(crate) fn rows(&self) -> usize {
        match self {
            Self::Spans(table) => table.rows(),
            Self::Logs(table) => table.rows(),
            Self::Metrics(table) => table.rows(),
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Self::Spans(table) => table.memory_bytes(),
            Self::Logs(table) => table.memory_bytes(),
            Self::Metrics(table) => table.memory_bytes(),
        }
    }
}

/// Decodes a request of spans, log records or metric points that was received at a time. Also gives what was
/// refused.
pub(crate) fn decode(
    decoder: &dyn Decoder,
    signal: Signal,
    request: &[u8],
    received_unix_nano: u64,
) -> Result<(Records, Vec<(RejectReason, u64)>), DecodeError> {
    let records = match signal {
        Signal::Logs => Records::Logs(Box::default()),
        Signal::Metrics => Records::Metrics(Box::default()),
        _ => Records::Spans(Box::default()),
    };
    let mut collector = Collector {
        records,
        received_unix_nano,
        resource: None,
        scope: None,
        point_owners: None,
        rejected: Vec::new(),
    };
    decoder.decode(signal, request, &mut collector)?;
    Ok((collector.records, collector.rejected))
}

struct Collector {
    records: Records,
    received_unix_nano: u64,
    // Numbers among the owners; none until announced.
    resource: Option<u32>,
    scope: Option<u32>,
    // The same for points; made when the first one comes.
    point_owners: Option<PointOwners>,
    rejected: Vec<(RejectReason, u64)>,
}

impl RecordVisitor for Collector {
    fn resource(&mut self, resource: &Resource<'_>) {
        self.scope = None;
        self.point_owners = None;
        self.resource = Some(match &mut self.records {
            Records::Spans(table) => table.owners.resource(resource),
            Records::Logs(table) => table.owners.resource(resource),
            Records::Metrics(table) => table.owners.resource(resource),
        });
    }

    fn scope(&mut self, scope: &Scope<'_>) {
        self.point_owners = None;
        self.scope = Some(match &mut self.records {
            Records::Spans(table) => table.owners.scope(scope),
            Records::Logs(table) => table.owners.scope(scope),
            Records::Metrics(table) => table.owners.scope(scope),
        });
    }

    fn span(&mut self, span: &Span<'_>) {
        let Records::Spans(table) = &mut self.records else {
            return;
        };
        let resource = *self
            .resource
            .get_or_insert_with(|| table.owners.resource(&Resource::default()));
        let scope = *self
            .scope
            .get_or_insert_with(|| table.owners.scope(&Scope::default()));
        table.push(span, resource, scope);
    }

    fn log(&mut self, record: &LogRecord<'_>) {
        let Records::Logs(table) = &mut self.records else {
            return;
        };
        let resource = *self
            .resource
            .get_or_insert_with(|| table.owners.resource(&Resource::default()));
        let scope = *self
            .scope
            .get_or_insert_with(|| table.owners.scope(&Scope::default()));
        table.push(record, self.received_unix_nano, resource, scope);
    }

    fn point(&mut self, metric: &Metric<'_>, point: &MetricPoint<'_>) {
        let Records::Metrics(table) = &mut self.records else {
            return;
        };
        let resource = *self
            .resource
            .get_or_insert_with(|| table.owners.resource(&Resource::default()));
        let scope = *self
            .scope
            .get_or_insert_with(|| table.owners.scope(&Scope::default()));
        let owners = self
            .point_owners
            .get_or_insert_with(|| PointOwners::new(resource, scope, &table.owners));
        table.push(metric, point, self.received_unix_nano, owners);
    }

    fn rejected(&mut self, reason: RejectReason) {
        match self.rejected.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.rejected.push((reason, 1)),
        }
    }
}
