//! Records of the crate `log` become events.
//!
//! `tracing-log` makes the event, so that layers beside see what they know from there. What it leaves out, the key-value
//! pairs, is put aside on the thread for the moment, where the recording finds it. The recording also sees to it that
//! the record has its own target and place in the source, which in the event are fields: `subscriber::log_crate`.

use std::cell::RefCell;

use log::kv::{self, VisitSource, VisitValue};
use ringlight_collector::record::{ItemWriter, Key, Words};
use tracing_core::{LevelFilter, dispatcher};
use tracing_log::{AsTrace as _, format_trace};

use crate::uncounted::uncounted;

/// Pairs of a record that are recorded, at most.
const PAIRS_MAX: usize = 64;

thread_local! {
    /// Those of the record that is being made into an event.
    static PAIRS: RefCell<Vec<(String, Value)>> = const { RefCell::new(Vec::new()) };
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
        if record.key_values().count() == 0 {
            let _ = format_trace(record);
        } else if self.enabled(record.metadata()) {
            uncounted(|| keep(record.key_values()));
            let _ = format_trace(record);
            // Nobody may have taken them, such as where another subscriber is the thread's.
            let _ = PAIRS.try_with(RefCell::take);
        }
    }

    fn flush(&self) {}
}

/// Puts pairs aside. Code of the application runs while they are read, which may log as well.
fn keep(pairs: &dyn kv::Source) {
    let mut kept = Pairs(Vec::new());
    // A pair that cannot be read ends them.
    let _ = pairs.visit(&mut kept);
    let _ = PAIRS.try_with(|pairs| pairs.replace(kept.0));
}

/// Writes the pairs of the record that is being made into an event behind its other attributes; how many there was no
/// room for.
pub(crate) fn write_pairs(words: &mut impl Words, text_bytes_max: usize, room: usize) -> u16 {
    let pairs = PAIRS.try_with(RefCell::take).unwrap_or_default();
    let lost = pairs.len().saturating_sub(room);
    let mut writer = ItemWriter::new(words, text_bytes_max);
    for (key, value) in pairs.iter().take(room) {
        let key = Key::Name(key);
        let _ = match value {
            Value::Bool(value) => writer.bool(key, *value),
            Value::I64(value) => writer.i64(key, *value),
            Value::U64(value) => writer.u64(key, *value),
            Value::F64(value) => writer.f64(key, *value),
            Value::Text(text) => writer.text(key, text),
        };
    }
    u16::try_from(lost).unwrap_or(u16::MAX)
}

struct Pairs(Vec<(String, Value)>);

impl<'kvs> VisitSource<'kvs> for Pairs {
    fn visit_pair(&mut self, key: kv::Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        if self.0.len() >= PAIRS_MAX {
            return Err(kv::Error::msg("there are too many"));
        }
        let mut read = ReadValue(None);
        value.visit(&mut read)?;
        if let Some(value) = read.0 {
            self.0.push((key.as_str().to_owned(), value));
        }
        Ok(())
    }
}

struct ReadValue(Option<Value>);

impl<'v> VisitValue<'v> for ReadValue {
    fn visit_any(&mut self, value: kv::Value<'_>) -> Result<(), kv::Error> {
        self.0 = Some(Value::Text(value.to_string()));
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
