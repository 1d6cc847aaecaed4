//! What is known about a block without reading it.

use ringlight_model::Signal;

use super::section::{pack, unpack};
use super::{Ranges, ServiceRows};
use crate::codec::{Corrupt, Reader, put_bytes, put_varint};
use crate::{AttributeKey, KeyScope, ValueType};

/// Version of the form below and of the sections.
const VERSION: u8 = 3;
/// Without the times of services.
const VERSION_WITHOUT_TIMES: u8 = 2;
/// Without ranges, too.
const VERSION_WITHOUT_RANGES: u8 = 1;

/// Keys a block's info lists; those beyond can still be searched for but are not offered.
pub(super) const KEYS_MAX: usize = 512;
/// Bytes of a key that is listed.
const KEY_BYTES_MAX: usize = 256;

/// Names a block's info lists; with more, only the filter knows them.
const NAMES_MAX: usize = 64;
/// Bytes of the names it lists, together.
const NAMES_BYTES_MAX: usize = 2048;

/// The index entry of a block.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BlockInfo {
    pub(crate) signal: Signal,
    pub(crate) run: u64,
    pub(crate) rows: u32,
    /// First and last request its rows came with.
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    /// Range of what rows are sorted by: start of a span, time of a log record or a metric point.
    pub(crate) time_min: u64,
    pub(crate) time_max: u64,
    /// Latest end of a span; otherwise the same as `time_max`.
    pub(crate) end_max: u64,
    /// Of spans; for metrics the lowest and the highest number of a series.
    pub(crate) duration_min: u64,
    pub(crate) duration_max: u64,
    /// Spans with an error status.
    pub(crate) error_count: u64,
    /// Bit n is set if a span has status n.
    pub(crate) statuses: u8,
    /// Bit n is set if a span has kind n.
    pub(crate) kinds: u8,
    pub(crate) severity_min: u8,
    pub(crate) severity_max: u8,
    /// Spans without a parent.
    pub(crate) root_count: u64,
    /// When the last of its requests was received.
    pub(crate) received_max: u64,
    /// The services, sorted by name.
    pub(crate) services: Vec<ServiceRows>,
    /// Names of spans, or of metrics.
    pub(crate) names: Names,
    /// Keys of attributes; moved out once the block is known to the store.
    pub(crate) keys: Vec<AttributeKey>,
    /// Whether an attribute of its rows, under a key that is listed, may be a list: the texts of
    /// lists are not among those of values.
    pub(crate) may_have_lists: bool,
    /// Between which numbers values of attributes lie.
    pub(crate) ranges: Ranges,
}

/// The names in a block, as far as they are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Names {
    /// All of them.
    All(Vec<Box<str>>),
    /// Too many to list.
    Many,
}

impl Names {
    pub(crate) fn of<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> Self {
        if names.len() > NAMES_MAX {
            return Self::Many;
        }
        let names: Vec<Box<str>> = names.map(Into::into).collect();
        if names.iter().map(|name| name.len()).sum::<usize>() > NAMES_BYTES_MAX {
            return Self::Many;
        }
        Self::All(names)
    }

    /// Whether a name may be among them.
    pub(crate) fn may_contain(&self, name: &str) -> bool {
        match self {
            Self::All(names) => names.iter().any(|known| **known == *name),
            Self::Many => true,
        }
    }
}

impl BlockInfo {
    /// The lowest number of a series in a block of metrics.
    pub(crate) const fn series_min(&self) -> u64 {
        self.duration_min
    }

    /// The highest number of a series in a block of metrics.
    pub(crate) const fn series_max(&self) -> u64 {
        self.duration_max
    }

    /// Packed like a section, so that damage is noticed.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = vec![VERSION, self.signal as u8];
        for number in [
            self.run,
            u64::from(self.rows),
            self.first_seq,
            self.last_seq - self.first_seq,
            self.time_min,
            self.time_max - self.time_min,
            self.end_max,
            self.duration_min,
            self.duration_max,
            self.error_count,
            self.root_count,
            self.received_max,
        ] {
            put_varint(&mut out, number);
        }
        out.extend_from_slice(&[
            self.statuses,
            self.kinds,
            self.severity_min,
            self.severity_max,
        ]);
        put_varint(&mut out, self.services.len() as u64);
        for service in &self.services {
            service.write(self.time_min, &mut out);
        }
        match &self.names {
            Names::Many => out.push(0),
            Names::All(names) => {
                out.push(1);
                put_varint(&mut out, names.len() as u64);
                for name in names {
                    put_bytes(&mut out, name.as_bytes());
                }
            }
        }
        put_varint(&mut out, self.keys.len() as u64);
        for key in &self.keys {
            out.push(key.scope as u8);
            out.push(key.value_type as u8);
            put_bytes(&mut out, key.key.as_bytes());
        }
        self.ranges.write(&mut out);
        pack(&out)
    }

    pub(crate) fn read(packed: &[u8]) -> Result<Self, Corrupt> {
        let bytes = unpack(packed)?;
        let mut reader = Reader::new(&bytes);
        let version = reader.u8()?;
        if !(VERSION_WITHOUT_RANGES..=VERSION).contains(&version) {
            return Err(Corrupt("version of a block is unknown"));
        }
        let signal = match reader.u8()? {
            0 => Signal::Traces,
            1 => Signal::Logs,
            2 => Signal::Metrics,
            _ => return Err(Corrupt("signal of a block is unknown")),
        };
        let mut numbers = [0_u64; 12];
        for number in &mut numbers {
            *number = reader.varint()?;
        }
        let sum = |a: u64, b: u64| a.checked_add(b).ok_or(Corrupt("range is out of range"));
        let times = (numbers[4], sum(numbers[4], numbers[5])?);
        let [statuses, kinds, severity_min, severity_max] = reader.array()?;
        let mut services = Vec::new();
        for _ in 0..reader.count()? {
            let has_times = version > VERSION_WITHOUT_TIMES;
            services.push(ServiceRows::read(&mut reader, times, has_times)?);
        }
        let names = match reader.u8()? {
            0 => Names::Many,
            _ => {
                let count = reader.count()?;
                let names = (0..count).map(|_| reader.text().map(Into::into));
                Names::All(names.collect::<Result<_, _>>()?)
            }
        };
        let mut keys = Vec::new();
        for _ in 0..reader.count()? {
            keys.push(read_key(&mut reader)?);
        }
        let ranges = match version {
            VERSION_WITHOUT_RANGES => Ranges::Unknown,
            _ => Ranges::read(&mut reader)?,
        };
        Ok(Self {
            signal,
            run: numbers[0],
            rows: u32::try_from(numbers[1]).map_err(|_| Corrupt("block has too many rows"))?,
            first_seq: numbers[2],
            last_seq: sum(numbers[2], numbers[3])?,
            time_min: times.0,
            time_max: times.1,
            end_max: numbers[6],
            duration_min: numbers[7],
            duration_max: numbers[8],
            error_count: numbers[9],
            root_count: numbers[10],
            received_max: numbers[11],
            statuses,
            kinds,
            severity_min,
            severity_max,
            services,
            names,
            may_have_lists: may_have_lists(&keys),
            keys,
            ranges,
        })
    }
}

/// Whether a block's info lists a key, as long as there are not too many.
pub(crate) fn is_listed(key: &str) -> bool {
    !key.is_empty() && key.len() <= KEY_BYTES_MAX
}

/// Whether one of the keys, of rows and not of what belongs to them, may have lists among its values:
/// when not all are listed, one that is not.
pub(super) fn may_have_lists(keys: &[AttributeKey]) -> bool {
    let has_lists = |key: &AttributeKey| {
        key.value_type == ValueType::Array && matches!(key.scope, KeyScope::Span | KeyScope::Log)
    };
    keys.len() >= KEYS_MAX || keys.iter().any(has_lists)
}

fn read_key(reader: &mut Reader<'_>) -> Result<AttributeKey, Corrupt> {
    let scope = match reader.u8()? {
        1 => KeyScope::Span,
        2 => KeyScope::Resource,
        3 => KeyScope::Event,
        4 => KeyScope::Log,
        _ => return Err(Corrupt("scope of a key is unknown")),
    };
    let value_type = match reader.u8()? {
        0 => ValueType::Empty,
        1 => ValueType::String,
        2 => ValueType::Bool,
        3 => ValueType::Int,
        4 => ValueType::Double,
        5 => ValueType::Bytes,
        6 => ValueType::Array,
        7 => ValueType::Map,
        _ => return Err(Corrupt("type of a key is unknown")),
    };
    Ok(AttributeKey {
        scope,
        key: reader.text()?.to_owned(),
        value_type,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{SpanTable, Table as _};

    use ringlight_model::{KeyValue, Resource, Scope, Span};

    fn info() -> BlockInfo {
        let mut table = SpanTable::default();
        for (service, start_unix_nano) in [("shop", 5), ("bank", 900), ("shop", 3)] {
            let name = KeyValue::new("service.name", service);
            let resource = Resource {
                attributes: vec![name],
                dropped_attributes_count: 0,
            };
            let owner = table.owners.resource(&resource);
            let scope = table.owners.scope(&Scope::default());
            let span = Span {
                start_unix_nano,
                end_unix_nano: start_unix_nano,
                ..Span::default()
            };
            table.push(&span, owner, scope);
        }
        table.seal(1, 2, &[]).info
    }

    fn service(name: &str, rows: u64, time_min: u64, time_max: u64) -> ServiceRows {
        ServiceRows {
            name: name.into(),
            rows,
            time_min,
            time_max,
        }
    }

    #[test]
    fn an_entry_knows_the_times_of_each_service() {
        let info = info();
        let services = [service("bank", 1, 900, 900), service("shop", 2, 3, 5)];
        assert_eq!(info.services, services);
        assert_eq!(BlockInfo::read(&info.write()), Ok(info));
    }

    #[test]
    fn entries_of_earlier_versions_are_read() {
        let mut info = info();
        let mut bytes = unpack(&info.write()).unwrap();
        // Behind the name each service has its rows and two times, of one or two bytes here.
        for (name, times) in [(&b"\x04bank"[..], 3), (&b"\x04shop"[..], 2)] {
            let at = bytes.windows(5).position(|found| found == name).unwrap();
            bytes.drain(at + 6..at + 6 + times);
        }
        for service in &mut info.services {
            (service.time_min, service.time_max) = (info.time_min, info.time_max);
        }
        bytes[0] = VERSION_WITHOUT_TIMES;
        assert_eq!(BlockInfo::read(&pack(&bytes)), Ok(info.clone()));
        // Of no range only the two bytes that say so are there.
        bytes.truncate(bytes.len() - 2);
        bytes[0] = VERSION_WITHOUT_RANGES;
        info.ranges = Ranges::Unknown;
        assert_eq!(BlockInfo::read(&pack(&bytes)), Ok(info));
        bytes[0] = VERSION + 1;
        assert!(BlockInfo::read(&pack(&bytes)).is_err());
    }
}
