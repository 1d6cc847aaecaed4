//! The messages of OTLP by the names JSON calls their fields.

use crate::encode::proto::Room;
use crate::fields;

/// A message: its fields, and how large it usually is.
pub(super) struct Message {
    pub(super) fields: &'static [Field],
    pub(super) room: Room,
}

pub(super) struct Field {
    /// The lowerCamelCase name.
    pub(super) name: &'static str,
    pub(super) number: u32,
    pub(super) kind: FieldKind,
    pub(super) is_list: bool,
}

/// How a field's JSON becomes wire bytes.
#[derive(Clone, Copy)]
pub(super) enum FieldKind {
    Message(&'static Message),
    /// A span, log record, metric or profile: refused alone when it is bad.
    Item(&'static Message),
    /// An `AnyValue`, which nests.
    Any,
    Text,
    /// Bytes written as hexadecimal digits.
    Hex,
    /// Bytes written as base64.
    Base64,
    Bool,
    /// `int32`, `int64`, `sint32` without its sign, or an enum.
    Int,
    /// The integer of an `AnyValue`, which becomes its double where it is one in all but name.
    AnyInt,
    /// `uint32` or `uint64`.
    Uint,
    /// `sint32`.
    Zigzag,
    Fixed32,
    Fixed64,
    Sfixed64,
    Double,
}

use FieldKind::{
    Any, AnyInt, Base64, Bool, Double, Fixed32, Fixed64, Hex, Int, Item, Sfixed64, Text, Uint,
    Zigzag,
};

const fn one(name: &'static str, number: u32, kind: FieldKind) -> Field {
    Field {
        name,
        number,
        kind,
        is_list: false,
    }
}

const fn list(name: &'static str, number: u32, kind: FieldKind) -> Field {
    Field {
        name,
        number,
        kind,
        is_list: true,
    }
}

const fn message(fields: &'static [Field], room: Room) -> Message {
    Message { fields, room }
}

/// A field that holds one message.
const fn nested(name: &'static str, number: u32, inner: &'static Message) -> Field {
    one(name, number, FieldKind::Message(inner))
}

/// A field that holds a list of messages.
const fn nested_list(name: &'static str, number: u32, inner: &'static Message) -> Field {
    list(name, number, FieldKind::Message(inner))
}

pub(super) static TRACES: Message = message(
    &[nested_list("resourceSpans", 1, &RESOURCE_SPANS)],
    Room::Large,
);
static RESOURCE_SPANS: Message = message(
    &[
        nested("resource", 1, &RESOURCE),
        nested_list("scopeSpans", 2, &SCOPE_SPANS),
        one("schemaUrl", 3, Text),
    ],
    Room::Large,
);
static SCOPE_SPANS: Message = message(
    &[
        nested("scope", 1, &SCOPE),
        list("spans", 2, Item(&SPAN)),
        one("schemaUrl", 3, Text),
    ],
    Room::Large,
);

pub(super) static LOGS: Message = message(
    &[nested_list("resourceLogs", 1, &RESOURCE_LOGS)],
    Room::Large,
);
static RESOURCE_LOGS: Message = message(
    &[
        nested("resource", 1, &RESOURCE),
        nested_list("scopeLogs", 2, &SCOPE_LOGS),
        one("schemaUrl", 3, Text),
    ],
    Room::Large,
);
static SCOPE_LOGS: Message = message(
    &[
        nested("scope", 1, &SCOPE),
        list("logRecords", 2, Item(&LOG)),
        one("schemaUrl", 3, Text),
    ],
    Room::Large,
);

pub(super) static METRICS: Message = message(
    &[nested_list("resourceMetrics", 1, &RESOURCE_METRICS)],
    Room::Large,
);
static RESOURCE_METRICS: Message = message(
    &[
        nested("resource", 1, &RESOURCE),
        nested_list("scopeMetrics", 2, &SCOPE_METRICS),
        one("schemaUrl", 3, Text),
    ],
    Room::Large,
);
static SCOPE_METRICS: Message = message(
    &[
        nested("scope", 1, &SCOPE),
        list("metrics", 2, Item(&METRIC)),
        one("schemaUrl", 3, Text),
    ],
    Room::Large,
);

// Profiles are counted and not yet read, so their fields are passed over like unknown ones.
pub(super) static PROFILES: Message = message(
    &[nested_list("resourceProfiles", 1, &RESOURCE_PROFILES)],
    Room::Large,
);
static RESOURCE_PROFILES: Message = message(
    &[nested_list("scopeProfiles", 2, &SCOPE_PROFILES)],
    Room::Large,
);
static SCOPE_PROFILES: Message = message(&[list("profiles", 2, Item(&PROFILE))], Room::Large);
static PROFILE: Message = message(&[], Room::Small);

static RESOURCE: Message = message(
    &[
        nested_list("attributes", fields::resource::ATTRIBUTES, &KEY_VALUE),
        one(
            "droppedAttributesCount",
            fields::resource::DROPPED_ATTRIBUTES,
            Uint,
        ),
    ],
    Room::Medium,
);
static SCOPE: Message = message(
    &[
        one("name", fields::scope::NAME, Text),
        one("version", fields::scope::VERSION, Text),
        nested_list("attributes", fields::scope::ATTRIBUTES, &KEY_VALUE),
        one(
            "droppedAttributesCount",
            fields::scope::DROPPED_ATTRIBUTES,
            Uint,
        ),
    ],
    Room::Small,
);

static KEY_VALUE: Message = message(
    &[
        one("key", fields::kv::KEY, Text),
        one("value", fields::kv::VALUE, Any),
    ],
    Room::Small,
);
/// `AnyValue` but for its lists and maps, which count levels.
pub(super) static ANY_SCALARS: [Field; 5] = [
    one("stringValue", fields::any::STRING, Text),
    one("boolValue", fields::any::BOOL, Bool),
    one("intValue", fields::any::INT, AnyInt),
    one("doubleValue", fields::any::DOUBLE, Double),
    one("bytesValue", fields::any::BYTES, Base64),
];
/// `ArrayValue`.
pub(super) static ARRAY: Message =
    message(&[list("values", fields::any::LIST_ITEM, Any)], Room::Small);
/// `KeyValueList`.
pub(super) static MAP: Message = message(
    &[nested_list("values", fields::any::LIST_ITEM, &KEY_VALUE)],
    Room::Small,
);

static SPAN: Message = message(
    &[
        one("traceId", fields::span::TRACE_ID, Hex),
        one("spanId", fields::span::SPAN_ID, Hex),
        one("traceState", fields::span::TRACE_STATE, Text),
        one("parentSpanId", fields::span::PARENT_SPAN_ID, Hex),
        one("name", fields::span::NAME, Text),
        one("kind", fields::span::KIND, Int),
        one("startTimeUnixNano", fields::span::START, Fixed64),
        one("endTimeUnixNano", fields::span::END, Fixed64),
        nested_list("attributes", fields::span::ATTRIBUTES, &KEY_VALUE),
        one(
            "droppedAttributesCount",
            fields::span::DROPPED_ATTRIBUTES,
            Uint,
        ),
        nested_list("events", fields::span::EVENTS, &EVENT),
        one("droppedEventsCount", fields::span::DROPPED_EVENTS, Uint),
        nested_list("links", fields::span::LINKS, &LINK),
        one("droppedLinksCount", fields::span::DROPPED_LINKS, Uint),
        nested("status", fields::span::STATUS, &STATUS),
        one("flags", fields::span::FLAGS, Fixed32),
    ],
    Room::Medium,
);
static EVENT: Message = message(
    &[
        one("timeUnixNano", fields::event::TIME, Fixed64),
        one("name", fields::event::NAME, Text),
        nested_list("attributes", fields::event::ATTRIBUTES, &KEY_VALUE),
        one(
            "droppedAttributesCount",
            fields::event::DROPPED_ATTRIBUTES,
            Uint,
        ),
    ],
    Room::Small,
);
static LINK: Message = message(
    &[
        one("traceId", fields::link::TRACE_ID, Hex),
        one("spanId", fields::link::SPAN_ID, Hex),
        one("traceState", fields::link::TRACE_STATE, Text),
        nested_list("attributes", fields::link::ATTRIBUTES, &KEY_VALUE),
        one(
            "droppedAttributesCount",
            fields::link::DROPPED_ATTRIBUTES,
            Uint,
        ),
        one("flags", fields::link::FLAGS, Fixed32),
    ],
    Room::Small,
);
static STATUS: Message = message(
    &[
        one("message", fields::status::MESSAGE, Text),
        one("code", fields::status::CODE, Int),
    ],
    Room::Small,
);

static LOG: Message = message(
    &[
        one("timeUnixNano", fields::log::TIME, Fixed64),
        one("observedTimeUnixNano", fields::log::OBSERVED, Fixed64),
        one("severityNumber", fields::log::SEVERITY_NUMBER, Int),
        one("severityText", fields::log::SEVERITY_TEXT, Text),
        one("body", fields::log::BODY, Any),
        nested_list("attributes", fields::log::ATTRIBUTES, &KEY_VALUE),
        one(
            "droppedAttributesCount",
            fields::log::DROPPED_ATTRIBUTES,
            Uint,
        ),
        one("flags", fields::log::FLAGS, Fixed32),
        one("traceId", fields::log::TRACE_ID, Hex),
        one("spanId", fields::log::SPAN_ID, Hex),
        one("eventName", fields::log::EVENT_NAME, Text),
    ],
    Room::Medium,
);

static METRIC: Message = message(
    &[
        one("name", 1, Text),
        one("description", 2, Text),
        one("unit", 3, Text),
        nested("gauge", 5, &GAUGE),
        nested("sum", 7, &SUM),
        nested("histogram", 9, &HISTOGRAM),
        nested("exponentialHistogram", 10, &EXPONENTIAL_HISTOGRAM),
        nested("summary", 11, &SUMMARY),
        nested_list("metadata", 12, &KEY_VALUE),
    ],
    Room::Medium,
);
static GAUGE: Message = message(&[nested_list("dataPoints", 1, &NUMBER_POINT)], Room::Medium);
static SUM: Message = message(
    &[
        nested_list("dataPoints", 1, &NUMBER_POINT),
        one("aggregationTemporality", 2, Int),
        one("isMonotonic", 3, Bool),
    ],
    Room::Medium,
);
static HISTOGRAM: Message = message(
    &[
        nested_list("dataPoints", 1, &HISTOGRAM_POINT),
        one("aggregationTemporality", 2, Int),
    ],
    Room::Medium,
);
static EXPONENTIAL_HISTOGRAM: Message = message(
    &[
        nested_list("dataPoints", 1, &EXPONENTIAL_POINT),
        one("aggregationTemporality", 2, Int),
    ],
    Room::Medium,
);
static SUMMARY: Message = message(
    &[nested_list("dataPoints", 1, &SUMMARY_POINT)],
    Room::Medium,
);
static NUMBER_POINT: Message = message(
    &[
        nested_list("attributes", 7, &KEY_VALUE),
        one("startTimeUnixNano", 2, Fixed64),
        one("timeUnixNano", 3, Fixed64),
        one("asDouble", 4, Double),
        one("asInt", 6, Sfixed64),
        nested_list("exemplars", 5, &EXEMPLAR),
        one("flags", 8, Uint),
    ],
    Room::Small,
);
static HISTOGRAM_POINT: Message = message(
    &[
        nested_list("attributes", 9, &KEY_VALUE),
        one("startTimeUnixNano", 2, Fixed64),
        one("timeUnixNano", 3, Fixed64),
        one("count", 4, Fixed64),
        one("sum", 5, Double),
        list("bucketCounts", 6, Fixed64),
        list("explicitBounds", 7, Double),
        nested_list("exemplars", 8, &EXEMPLAR),
        one("flags", 10, Uint),
        one("min", 11, Double),
        one("max", 12, Double),
    ],
    Room::Medium,
);
static EXPONENTIAL_POINT: Message = message(
    &[
        nested_list("attributes", 1, &KEY_VALUE),
        one("startTimeUnixNano", 2, Fixed64),
        one("timeUnixNano", 3, Fixed64),
        one("count", 4, Fixed64),
        one("sum", 5, Double),
        one("scale", 6, Zigzag),
        one("zeroCount", 7, Fixed64),
        nested("positive", 8, &BUCKETS),
        nested("negative", 9, &BUCKETS),
        one("flags", 10, Uint),
        nested_list("exemplars", 11, &EXEMPLAR),
        one("min", 12, Double),
        one("max", 13, Double),
        one("zeroThreshold", 14, Double),
    ],
    Room::Medium,
);
static BUCKETS: Message = message(
    &[one("offset", 1, Zigzag), list("bucketCounts", 2, Uint)],
    Room::Medium,
);
static SUMMARY_POINT: Message = message(
    &[
        nested_list("attributes", 7, &KEY_VALUE),
        one("startTimeUnixNano", 2, Fixed64),
        one("timeUnixNano", 3, Fixed64),
        one("count", 4, Fixed64),
        one("sum", 5, Double),
        nested_list("quantileValues", 6, &QUANTILE),
        one("flags", 8, Uint),
    ],
    Room::Small,
);
static QUANTILE: Message = message(
    &[one("quantile", 1, Double), one("value", 2, Double)],
    Room::Small,
);
static EXEMPLAR: Message = message(
    &[
        nested_list("filteredAttributes", 7, &KEY_VALUE),
        one("timeUnixNano", 2, Fixed64),
        one("asDouble", 3, Double),
        one("asInt", 6, Sfixed64),
        one("spanId", 4, Hex),
        one("traceId", 5, Hex),
    ],
    Room::Small,
);
