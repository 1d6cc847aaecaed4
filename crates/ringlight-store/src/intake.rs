//! From the bytes of a request to columns.

use ringlight_model::{
    DecodeError, Decoder, LogRecord, RecordVisitor, RejectReason, Resource, Scope, Signal, Span,
};

use crate::table::{LogTable, SpanTable};

/// The records of a request, before they have a place in the store.
#[derive(Debug)]
pub(crate) enum Records {
    Spans(Box<SpanTable>),
    Logs(Box<LogTable>),
}

impl Records {
    pub(crate) fn rows(&self) -> usize {
        match self {
            Self::Spans(table) => table.rows(),
            Self::Logs(table) => table.rows(),
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Self::Spans(table) => table.memory_bytes(),
            Self::Logs(table) => table.memory_bytes(),
        }
    }
}

/// Decodes a request of spans or log records that was received at a time. Also gives what was
/// refused.
pub(crate) fn decode(
    decoder: &dyn Decoder,
    signal: Signal,
    request: &[u8],
    received_unix_nano: u64,
) -> Result<(Records, Vec<(RejectReason, u64)>), DecodeError> {
    let records = match signal {
        Signal::Logs => Records::Logs(Box::default()),
        _ => Records::Spans(Box::default()),
    };
    let mut collector = Collector {
        records,
        received_unix_nano,
        resource: None,
        scope: None,
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
    rejected: Vec<(RejectReason, u64)>,
}

impl RecordVisitor for Collector {
    fn resource(&mut self, resource: &Resource<'_>) {
        self.scope = None;
        self.resource = Some(match &mut self.records {
            Records::Spans(table) => table.owners.resource(resource),
            Records::Logs(table) => table.owners.resource(resource),
        });
    }

    fn scope(&mut self, scope: &Scope<'_>) {
        self.scope = Some(match &mut self.records {
            Records::Spans(table) => table.owners.scope(scope),
            Records::Logs(table) => table.owners.scope(scope),
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

    fn rejected(&mut self, reason: RejectReason) {
        match self.rejected.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.rejected.push((reason, 1)),
        }
    }
}
