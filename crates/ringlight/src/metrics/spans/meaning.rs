//! What a span's record says that its series go by.

use std::borrow::Cow;

use ringlight_collector::record::{
    FieldRole, Item, KeyRef, PlainValue, SpanRecord, Text, ValueRef, parse_span_kind,
    parse_status_code,
};
use ringlight_model::{Callsite, SpanKind, StatusCode};

/// The attributes that say how long a span was entered, and how long it was not.
const BUSY: &[u8] = b"busy_ns";
const IDLE: &[u8] = b"idle_ns";

/// Behind a name that was cut.
const CUT_MARK: &str = "…";

/// What the fields of a callsite are for; nothing where all are attributes.
#[derive(Debug, Default)]
pub(super) struct Roles(Option<Box<[FieldRole]>>);

impl Roles {
    pub(super) fn of(callsite: &Callsite) -> Self {
        let fields = callsite.fields.iter();
        let roles = fields.map(|name| FieldRole::of(callsite.kind, name));
        let roles: Box<[_]> = roles.collect();
        let are_plain = roles.iter().all(|role| *role == FieldRole::Attribute);
        Self((!are_plain).then_some(roles))
    }

    #[inline]
    fn of_field(&self, index: u16) -> FieldRole {
        let roles = self.0.as_deref().unwrap_or_default();
        let role = roles.get(usize::from(index));
        role.copied().unwrap_or(FieldRole::Attribute)
    }
}

/// What a span says of itself, as it is sent.
#[derive(Debug)]
pub(super) struct Meaning<'a> {
    /// In place of the callsite's.
    pub(super) name: Option<Text<'a>>,
    pub(super) kind: SpanKind,
    pub(super) status: StatusCode,
    pub(super) busy: Option<u64>,
    pub(super) idle: Option<u64>,
    /// How many spans it stands for.
    pub(super) weight: f64,
}

impl<'a> Meaning<'a> {
    /// `weight` is that of its trace, where it is known here.
    #[inline]
    pub(super) fn of(span: &SpanRecord<'a>, roles: &Roles, weight: Option<f64>) -> Self {
        let mut meaning = Self {
            name: None,
            kind: span.head().kind(),
            status: span.head().status(),
            busy: None,
            idle: None,
            weight: weight.unwrap_or(1.0),
        };
        let mut state = None;
        let mut items = span.items();
        loop {
            // Most are attributes that nothing goes by.
            while let Some((index, value)) = items.next_plain() {
                if let (Some(_), PlainValue::Text(bytes)) = (&roles.0, value) {
                    meaning.take(roles.of_field(index), Text { bytes, cut: false });
                }
            }
            let Some(item) = items.next() else { break };
            match item {
                Item::Attribute(KeyRef::Field(index), ValueRef::Text(text)) => {
                    meaning.take(roles.of_field(index), text);
                }
                Item::Attribute(KeyRef::Name(BUSY), value) => meaning.busy = nanos(value),
                Item::Attribute(KeyRef::Name(IDLE), value) => meaning.idle = nanos(value),
                Item::Name(text) => meaning.name = Some(text),
                Item::TraceState(text) => state = Some(text.bytes),
                Item::Encoded(bytes) => {
                    if let Some(texts) = ringlight_otlp::span_texts(bytes) {
                        meaning.name = Some(Text {
                            bytes: texts.name,
                            cut: false,
                        });
                        state = Some(texts.trace_state);
                    }
                }
                _ => {}
            }
        }
        if let (None, Some(state)) = (weight, state) {
            meaning.weight = weight_in(state).unwrap_or(1.0);
        }
        meaning
    }

    /// A field that says something else than an attribute, if its value makes sense there.
    #[inline]
    fn take(&mut self, role: FieldRole, text: Text<'a>) {
        match role {
            FieldRole::SpanName => self.name = Some(text),
            FieldRole::SpanKind => {
                self.kind = parse_span_kind(text.bytes).unwrap_or(self.kind);
            }
            FieldRole::StatusCode => {
                self.status = parse_status_code(text.bytes).unwrap_or(self.status);
            }
            FieldRole::Attribute | FieldRole::Body | FieldRole::StatusMessage => {}
        }
    }
}

/// A name as it is sent, with a mark where it was cut.
pub(super) fn shown(text: Text<'_>) -> Cow<'_, str> {
    match text.cut {
        false => text.to_str(),
        true => Cow::Owned(text.to_str().into_owned() + CUT_MARK),
    }
}

fn nanos(value: ValueRef<'_>) -> Option<u64> {
    match value {
        ValueRef::I64(value) => u64::try_from(value).ok(),
        ValueRef::U64(value) => Some(value),
        _ => None,
    }
}

/// How many traces one stands for, by the threshold that whoever sampled it has put into its trace state, as `ot=th:c`:
/// so many of all 2^56 numbers lie below it that what is sampled stands for the others as well.
///
/// Source: OpenTelemetry specification, "TraceState: Probability Sampling".
fn weight_in(state: &[u8]) -> Option<f64> {
    const DIGITS_MAX: usize = 14;
    const ALL: u64 = 1 << 56;
    let members = state.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let ours = members
        .filter_map(|member| member.strip_prefix(b"ot="))
        .next()?;
    let fields = ours.split(|byte| *byte == b';');
    let digits = fields
        .filter_map(|field| field.strip_prefix(b"th:"))
        .next()?;
    if digits.len() > DIGITS_MAX || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let number = u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    let threshold = number << (4 * (DIGITS_MAX - digits.len()));
    Some(ALL as f64 / (ALL - threshold) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_of_a_trace_state_says_how_many_traces_it_stands_for() {
        for (state, expected) in [
            ("ot=th:0", Some(1.0)),
            ("ot=th:8", Some(2.0)),
            ("ot=rv:abcdef01234567;th:c", Some(4.0)),
            ("a=b , ot=th:e8", Some(256.0 / 24.0)),
            ("ot=th:ffffffffffffff", Some(72_057_594_037_927_936.0)),
            ("", None),
            ("ot=", None),
            ("ot=th:", None),
            ("ot=th:g", None),
            ("ot=th:-1", None),
            ("ot=th:000000000000000", None),
            ("other=th:8", None),
            ("ot=\u{e9};th:\u{e9}", None),
        ] {
            assert_eq!(weight_in(state.as_bytes()), expected, "{state}");
        }
    }
}
