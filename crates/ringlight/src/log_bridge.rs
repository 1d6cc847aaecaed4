//! Records of the crate `log` become events.
//!
//! `tracing-log` makes the event, so that layers beside see what they know from there. What it leaves out, the key-value
//! pairs, is put aside on the thread for the moment, where the recording finds it. The recording also sees to it that
//! the record has its own target and place in the source, which in the event are fields: `subscriber::log_crate`.

use std::cell::RefCell;
use std::fmt::Write as _;

use log::kv::{self, VisitSource, VisitValue};
use ringlight_collector::record::{Head, ItemWriter, Key, Words, Written};
use tracing_core::{LevelFilter, dispatcher};
use tracing_log::{AsTrace as _, format_trace};

use crate::uncounted::uncounted;

/// Pairs of a record that are recorded, at most.
const PAIRS_MAX: usize = 64;

thread_local! {
    /// Those of the record that is being made into an event.
    static PAIRS: RefCell<Pairs> = const { RefCell::new(Pairs::NONE) };
}

/// Key-value pairs of a record.
struct Pairs {
    kept: Vec<(String, Value)>,
    /// How many there are besides.
    lost_count: usize,
}

enum Value {
    Bool(bool),
    I64(i64),
    U64(u64),
    F64(f64),
    Text(String),
}

/// Has records of `log` come here, unless another logger is set.
pub(crate) fn set() {
    static BRIDGE: Bridge = Bridge;
    if log::set_logger(&BRIDGE).is_ok() {
        // Which are recorded is asked for each: it may change at any time.
        log::set_max_level(log::LevelFilter::Trace);
    }
}

struct Bridge;

impl log::Log for Bridge {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level().as_trace() <= LevelFilter::current()
            && dispatcher::get_default(|dispatch| dispatch.enabled(&metadata.as_trace()))
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.level().as_trace() > LevelFilter::current() {
            return;
        }
        let count = record.key_values().count();
        if count == 0 {
            let _aside = Aside::put(Pairs::NONE);
            let _ = format_trace(record);
        } else if self.enabled(record.metadata()) {
            let pairs = uncounted(|| Pairs::of(record.key_values(), count));
            let _aside = Aside::put(pairs);
            let _ = format_trace(record);
        }
    }

    fn flush(&self) {}
}

/// While it is there, these pairs are put aside. Those of the record around this one, whose message logs while it is
/// written, are there again afterwards.
struct Aside(Pairs);

impl Aside {
    fn put(pairs: Pairs) -> Self {
        Self(replace(pairs))
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // Nobody may have taken what is there, such as where another subscriber is the thread's.
        replace(std::mem::replace(&mut self.0, Pairs::NONE));
    }
}

fn replace(pairs: Pairs) -> Pairs {
    let before = PAIRS.try_with(|there| there.replace(pairs));
    before.unwrap_or(Pairs::NONE)
}

/// Writes the pairs of the record that is being made into an event behind its other attributes; the head that says
/// besides how many there was no room for, and how many were cut.
pub(crate) fn write_pairs(
    words: &mut impl Words,
    mut head: Head,
    text_bytes_max: usize,
    room: usize,
) -> Head {
    let pairs = replace(Pairs::NONE);
    let lost = pairs.lost_count + pairs.kept.len().saturating_sub(room);
    head = head.with_dropped(u16::try_from(lost).unwrap_or(u16::MAX));
    let mut writer = ItemWriter::new(words, text_bytes_max);
    for (key, value) in pairs.kept.iter().take(room) {
        let key = Key::Name(key);
        let written = match value {
            Value::Bool(value) => writer.bool(key, *value),
            Value::I64(value) => writer.i64(key, *value),
            Value::U64(value) => writer.u64(key, *value),
            Value::F64(value) => writer.f64(key, *value),
            Value::Text(text) => writer.text(key, text),
        };
        match written {
            Written::Whole => {}
            Written::Cut => head = head.with_cut(1),
            Written::Dropped => head = head.with_dropped(1),
        }
    }
    head
}

impl Pairs {
    const NONE: Self = Self {
        kept: Vec::new(),
        lost_count: 0,
    };

    /// Reads pairs, of which there are so many. Code of the application runs meanwhile, which may log as well.
    fn of(source: &dyn kv::Source, count: usize) -> Self {
        let mut read = ReadPairs {
            pairs: Self::NONE,
            count: 0,
        };
        // What ends it is the source's own; the pairs behind it are lost.
        let _ = source.visit(&mut read);
        let unseen = count.saturating_sub(read.count);
        read.pairs.lost_count += unseen;
        read.pairs
    }
}

struct ReadPairs {
    pairs: Pairs,
    count: usize,
}

impl<'kvs> VisitSource<'kvs> for ReadPairs {
    fn visit_pair(&mut self, key: kv::Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        self.count += 1;
        let pairs = &mut self.pairs;
        if pairs.kept.len() >= PAIRS_MAX {
            pairs.lost_count += 1;
            return Ok(());
        }
        let mut read = ReadValue(None);
        // One that cannot be read costs itself alone.
        match (value.visit(&mut read), read.0) {
            (Ok(()), Some(value)) => pairs.kept.push((key.as_str().to_owned(), value)),
            (Ok(()), None) => {}
            (Err(_), _) => pairs.lost_count += 1,
        }
        Ok(())
    }
}

struct ReadValue(Option<Value>);

impl<'v> VisitValue<'v> for ReadValue {
    fn visit_any(&mut self, value: kv::Value<'_>) -> Result<(), kv::Error> {
        let mut text = String::new();
        // A `Display` that fails has said what it could.
        let _ = write!(text, "{value}");
        self.0 = Some(Value::Text(text));
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), kv::Error> {
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.0 = Some(Value::U64(value));
        Ok(())
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.0 = Some(Value::I64(value));
        Ok(())
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        self.0 = Some(Value::F64(value));
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.0 = Some(Value::Bool(value));
        Ok(())
    }

    fn visit_str(&mut self, value: &str) -> Result<(), kv::Error> {
        self.0 = Some(Value::Text(value.to_owned()));
        Ok(())
    }
}
