//! Records of the crate `log`, as `tracing-log` makes events of them.
//!
//! Their callsites are five, one a level, and what a callsite is to say (target, module, file and line) is in fields.
//! Each record is given a callsite of its own here, as if it came from a macro of `tracing`, and loses the fields.

use std::collections::HashMap;
use std::sync::RwLock;

use ringlight_collector::record::{
    Item, KeyRef, LOG_HEADER_WORDS, Record as RecordBytes, ValueRef, item_field, item_words,
};
use ringlight_model::{Callsite, CallsiteId, CallsiteKind, CallsiteRegistry, Severity};
use tracing_core::Metadata;

use crate::filter::LOG_TARGET;
use crate::sync::unpoisoned;
use crate::uncounted::uncounted;

use super::thread::Thread;

/// Places that are known, at most; their texts are kept for as long as the process lives. What comes from further ones
/// keeps its fields.
const PLACES_MAX: usize = 4096;
/// The number of the first of their callsites, behind those of scopes of the OpenTelemetry API.
const FIRST_NUMBER: u64 = 1 << 40;
/// Bytes of such a text, at most.
const TEXT_BYTES_MAX: usize = 512;

/// Where a record comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Place<'a> {
    severity: u8,
    target: &'a str,
    module_path: Option<&'a str>,
    file: Option<&'a str>,
    line: Option<u32>,
}

/// The callsites of records of `log` that were met.
#[derive(Debug, Default)]
pub(super) struct LogCallsites {
    known: RwLock<HashMap<Place<'static>, (CallsiteId, &'static str)>>,
}

impl LogCallsites {
    /// The callsite of a record's place, and its target.
    fn of(
        &self,
        place: Place<'_>,
        severity: Severity,
        callsites: &CallsiteRegistry,
    ) -> Option<(CallsiteId, &'static str)> {
        if let Some(known) = unpoisoned(self.known.read()).get(&place) {
            return Some(*known);
        }
        let texts = [Some(place.target), place.module_path, place.file];
        if texts
            .into_iter()
            .flatten()
            .any(|text| text.len() > TEXT_BYTES_MAX)
        {
            return None;
        }
        uncounted(|| {
            let mut known = unpoisoned(self.known.write());
            if let Some(known) = known.get(&place) {
                return Some(*known);
            }
            if known.len() >= PLACES_MAX {
                return None;
            }
            let keep = |text: &str| -> &'static str { Box::leak(Box::from(text)) };
            let place = Place {
                target: keep(place.target),
                module_path: place.module_path.map(keep),
                file: place.file.map(keep),
                ..place
            };
            let id = CallsiteId::numbered(FIRST_NUMBER + known.len() as u64);
            callsites.register(id, || describe(&place, severity));
            known.insert(place, (id, place.target));
            Some((id, place.target))
        })
    }

    /// Gives a record the callsite of its place, and takes the fields about that away, which are its last ones.
    #[cold]
    pub(super) fn settle(
        &self,
        thread: &Thread,
        words: &mut Vec<u64>,
        metadata: &Metadata<'_>,
        severity: Severity,
        callsites: &CallsiteRegistry,
    ) -> Option<(CallsiteId, &'static str)> {
        let target_field = metadata.fields().field(LOG_TARGET)?.index();
        let found = thread.with_bytes(words, |bytes| {
            let record = RecordBytes::parse(bytes).ok()?;
            let mut place = Place {
                severity: severity.number(),
                target: "",
                module_path: None,
                file: None,
                line: None,
            };
            for item in record.items() {
                let Item::Attribute(KeyRef::Field(index), value) = item else {
                    continue;
                };
                let name = metadata.fields().iter().nth(index.into())?.name();
                match (name, value) {
                    (LOG_TARGET, ValueRef::Text(text)) => place.target = whole(text.bytes)?,
                    ("log.module_path", ValueRef::Text(text)) => {
                        place.module_path = Some(whole(text.bytes)?);
                    }
                    ("log.file", ValueRef::Text(text)) => place.file = Some(whole(text.bytes)?),
                    ("log.line", ValueRef::U64(line)) => place.line = u32::try_from(line).ok(),
                    _ => {}
                }
            }
            self.of(place, severity, callsites)
        })?;
        let mut at = LOG_HEADER_WORDS;
        while let Some(word) = words.get(at)
            && item_field(*word).map(usize::from) != Some(target_field)
        {
            at += item_words(*word)?;
        }
        words.truncate(at);
        Some(found)
    }
}

fn whole(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn describe(place: &Place<'static>, severity: Severity) -> Callsite {
    Callsite {
        kind: CallsiteKind::Event,
        name: "log event",
        target: place.target,
        scope: None,
        severity,
        module_path: place.module_path,
        file: place.file,
        line: place.line,
        fields: vec!["message"],
    }
}
