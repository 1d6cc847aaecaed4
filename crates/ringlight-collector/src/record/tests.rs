use std::fmt::Write as _;

use proptest::prelude::*;
use ringlight_model::{CallsiteId, SpanId, TraceId};

use super::*;

const TEXT_MAX: usize = 64;

fn bytes(header: &[u64], items: &[u64]) -> Vec<u8> {
    let mut buffer = vec![0; (header.len() + items.len()) * WORD_BYTES];
    copy_words(header.iter().chain(items).copied(), &mut buffer);
    buffer
}

fn log_with(items: &[u64]) -> Vec<u8> {
    let header = LogHeader::new(CallsiteId::new(7), Severity::WARN, 99);
    bytes(&header.to_words(), items)
}

fn text(bytes: &[u8], cut: bool) -> Text<'_> {
    Text { bytes, cut }
}

#[test]
fn a_span_comes_back_as_it_was_written() {
    let mut items = Vec::new();
    let mut writer = ItemWriter::new(&mut items, TEXT_MAX);
    assert_eq!(writer.bool(Key::Field(0), true), Written::Whole);
    assert_eq!(writer.i64(Key::Field(1), -1), Written::Whole);
    assert_eq!(writer.u64(Key::Field(2), u64::MAX), Written::Whole);
    assert_eq!(writer.f64(Key::Name("half"), 0.5), Written::Whole);
    assert_eq!(writer.text(Key::Field(3), "twelve bytes"), Written::Whole);
    assert_eq!(writer.bytes(Key::Field(4), &[0, 255]), Written::Whole);
    assert_eq!(
        writer.link(TraceId::new(1 << 64 | 2), SpanId::new(3), 1, |_| 0),
        Written::Whole
    );
    assert_eq!(writer.name("renamed"), Written::Whole);
    assert_eq!(writer.status_message(""), Written::Whole);

    let mut header = SpanHeader::new(
        CallsiteId::new(0x1234),
        TraceId::new(0xabc << 64 | 0xdef),
        SpanId::new(5),
    );
    header.head = Head::span(SpanKind::Server, StatusCode::Unset, 1)
        .with_status(StatusCode::Error)
        .with_dropped(3)
        .with_cut(2);
    header.parent_span_id = SpanId::new(4);
    header.start_unix_nano = 10;
    header.end_unix_nano = 20;

    let bytes = bytes(&header.to_words(), &items);
    let Ok(Record::Span(span)) = Record::parse(&bytes) else {
        panic!("not a span");
    };
    assert_eq!(span.head(), header.head);
    assert_eq!(span.head().kind(), SpanKind::Server);
    assert_eq!(span.head().status(), StatusCode::Error);
    assert_eq!(span.head().dropped_attributes(), 3);
    assert_eq!(span.head().texts_cut(), 2);
    assert_eq!(span.head().flags(), 1);
    assert_eq!(span.callsite(), Some(header.callsite));
    assert_eq!(span.trace_id(), header.trace_id);
    assert_eq!(span.span_id(), header.span_id);
    assert_eq!(span.parent_span_id(), header.parent_span_id);
    assert_eq!((span.start_unix_nano(), span.end_unix_nano()), (10, 20));

    let items: Vec<_> = span.items().collect();
    assert_eq!(
        items[..6],
        [
            Item::Attribute(KeyRef::Field(0), ValueRef::Bool(true)),
            Item::Attribute(KeyRef::Field(1), ValueRef::I64(-1)),
            Item::Attribute(KeyRef::Field(2), ValueRef::U64(u64::MAX)),
            Item::Attribute(KeyRef::Name(b"half"), ValueRef::F64(0.5)),
            Item::Attribute(
                KeyRef::Field(3),
                ValueRef::Text(text(b"twelve bytes", false))
            ),
            Item::Attribute(KeyRef::Field(4), ValueRef::Bytes(&[0, 255], false)),
        ]
    );
    assert_eq!(
        items[6],
        Item::Link {
            trace_id: TraceId::new(1 << 64 | 2),
            span_id: SpanId::new(3),
            flags: 1,
            dropped: 0,
            items: Items { rest: &[] },
        }
    );
    assert_eq!(items[7], Item::Name(text(b"renamed", false)));
    assert_eq!(items[8], Item::StatusMessage(text(b"", false)));
    assert_eq!(items.len(), 9);
}

#[test]
fn a_log_record_comes_back_as_it_was_written() {
    let bytes = log_with(&[]);
    let Ok(Record::Log(log)) = Record::parse(&bytes) else {
        panic!("not a log record");
    };
    assert_eq!(log.head().severity(), Severity::WARN);
    assert_eq!(log.callsite(), Some(CallsiteId::new(7)));
    assert_eq!(log.time_unix_nano(), 99);
    assert_eq!(log.trace_id(), TraceId::INVALID);
    assert_eq!(log.items().count(), 0);
}

#[test]
fn a_log_record_has_the_attributes_of_the_spans_around_it() {
    let mut of_span = Vec::new();
    let mut writer = ItemWriter::new(&mut of_span, TEXT_MAX);
    assert_eq!(writer.i64(Key::Field(2), 5), Written::Whole);
    assert_eq!(writer.status_message("no attribute"), Written::Whole);
    let link = writer.link(TraceId::new(1), SpanId::new(3), 1, |items| {
        let _ = items.bool(Key::Name("of the link"), true);
        0
    });
    assert_eq!(link, Written::Whole);
    let list = writer.list(Key::Name("list"), |items| items.i64(Key::Field(0), 6));
    assert_eq!(list, Written::Whole);
    assert_eq!(writer.text(Key::Field(0), "twelve bytes"), Written::Whole);
    // Its last item is not whole.
    of_span.pop();

    let mut items = Vec::new();
    let mut writer = ItemWriter::new(&mut items, TEXT_MAX);
    assert_eq!(writer.text(Key::Field(0), "message"), Written::Whole);
    let (inner, outer) = (CallsiteId::new(8), CallsiteId::new(9));
    assert_eq!(writer.enclosing(inner, &of_span), Written::Whole);
    assert_eq!(writer.enclosing(outer, &[]), Written::Whole);
    let bytes = log_with(&items);
    let Ok(Record::Log(log)) = Record::parse(&bytes) else {
        panic!("not a log record");
    };
    assert_eq!(log.items().count(), 3);
    let spans: Vec<_> = log.enclosing_spans().collect();
    assert_eq!(
        spans.iter().map(|s| s.callsite).collect::<Vec<_>>(),
        [inner, outer]
    );
    let attributes: Vec<_> = spans[0].items.collect();
    assert_eq!(
        attributes[0],
        Item::Attribute(KeyRef::Field(2), ValueRef::I64(5))
    );
    let Item::Attribute(KeyRef::Name(b"list"), ValueRef::List(list)) = attributes[1] else {
        panic!("{attributes:?}");
    };
    assert_eq!(list.iter().collect::<Vec<_>>(), [ValueRef::I64(6)]);
    assert_eq!(attributes.len(), 2);
    assert_eq!(spans[1].items.count(), 0);
}

#[test]
fn long_text_is_cut_at_a_character_and_marked() {
    let check = |pieces: &[&str], expected: &str, cut: bool| {
        let mut items = Vec::new();
        let written = ItemWriter::new(&mut items, 10).format(Key::Field(0), |packer| {
            for piece in pieces {
                packer.write_str(piece).unwrap();
            }
        });
        assert_eq!(written == Written::Cut, cut);
        let bytes = log_with(&items);
        let found: Vec<_> = Record::parse(&bytes).unwrap().items().collect();
        let expected = ValueRef::Text(text(expected.as_bytes(), cut));
        assert_eq!(found, [Item::Attribute(KeyRef::Field(0), expected)]);
    };
    check(&["0123456789"], "0123456789", false);
    check(&["0123456789a"], "0123456789", true);
    check(&["01234567", "äöü"], "01234567ä", true);
    check(&["012345678", "ä", "x"], "012345678", true);
    check(&["", "0", "1234567", "89", ""], "0123456789", false);
}

#[test]
fn an_item_without_room_is_dropped_whole() {
    struct Small(Vec<u64>, usize);
    impl Words for Small {
        fn len(&self) -> usize {
            self.0.len()
        }
        fn room(&self) -> usize {
            self.1 - self.0.len()
        }
        fn push(&mut self, word: u64) {
            self.0.push(word);
        }
        fn set(&mut self, at: usize, word: u64) {
            self.0[at] = word;
        }
        fn truncate(&mut self, len: usize) {
            self.0.truncate(len);
        }
    }
    let mut word = Small(Vec::new(), 1);
    let mut writer = ItemWriter::new(&mut word, TEXT_MAX);
    assert_eq!(writer.bytes(Key::Field(0), b""), Written::Whole);
    assert_eq!(writer.bytes(Key::Field(1), b""), Written::Dropped);
    let mut words = Small(Vec::new(), 3);
    let mut writer = ItemWriter::new(&mut words, TEXT_MAX);
    assert_eq!(
        writer.text(Key::Field(0), "seventeen letters"),
        Written::Cut
    );
    assert_eq!(writer.i64(Key::Field(1), 1), Written::Dropped);
    assert_eq!(writer.text(Key::Field(1), "x"), Written::Dropped);
    assert_eq!(
        writer.link(TraceId::new(1), SpanId::new(1), 0, |_| 0),
        Written::Dropped
    );
    let bytes = log_with(&words.0);
    let found: Vec<_> = Record::parse(&bytes).unwrap().items().collect();
    let expected = ValueRef::Text(text(b"seventeen letter", true));
    assert_eq!(found, [Item::Attribute(KeyRef::Field(0), expected)]);
}

#[test]
fn a_list_is_whole_or_not_there() {
    let mut items = Vec::new();
    let mut writer = ItemWriter::new(&mut items, 4);
    let written = writer.list(Key::Name("texts"), |items| {
        items.text(Key::Field(0), "short but cut")
    });
    assert_eq!(written, Written::Cut);
    let written = writer.list(Key::Name("none"), |items| {
        let _ = items.bool(Key::Field(0), true);
        Written::Dropped
    });
    assert_eq!(written, Written::Dropped);
    let bytes = log_with(&items);
    let found: Vec<_> = Record::parse(&bytes).unwrap().items().collect();
    let [Item::Attribute(KeyRef::Name(b"texts"), ValueRef::List(list))] = found[..] else {
        panic!("{found:?}");
    };
    let elements: Vec<_> = list.iter().collect();
    assert_eq!(elements, [ValueRef::Text(text(b"shor", true))]);
}

#[test]
fn bytes_that_are_no_record_are_refused() {
    let check = |bytes: &[u8], word, reason| {
        assert_eq!(
            Record::parse(bytes).map(|_| ()),
            Err(RecordError { word, reason })
        );
    };
    check(&[], 0, "empty");
    check(&[1, 2, 3], 0, "length is not whole words");
    check(&[9; 64], 0, "neither a span nor a log record");
    check(&bytes(&[1, 2], &[]), 0, "header of a span is cut off");
    check(&bytes(&[2, 2], &[]), 0, "header of a log record is cut off");
    check(&log_with(&[0xff]), 6, "unknown item");
    let text_of_nine_bytes = u64::from(TAG_TEXT) | 9 << 32;
    check(&log_with(&[text_of_nine_bytes, 0]), 6, "item is cut off");
    let link_of_a_word = u64::from(TAG_LINK) | 1 << 32;
    let too_short = "item is too short for what it is";
    check(&log_with(&[link_of_a_word, 0]), 6, too_short);
    let list_of_a_word = u64::from(TAG_LIST) | 1 << 32;
    check(&log_with(&[list_of_a_word, 0xff]), 7, "unknown item");
    let list = |words: u64| u64::from(TAG_LIST) | words << 32;
    check(&log_with(&[list(2), list(1), list(0)]), 8, "items in items");
}

#[test]
fn roles_follow_the_name_and_the_kind_of_callsite() {
    use ringlight_model::CallsiteKind::{Event, Span};
    assert_eq!(FieldRole::of(Event, "message"), FieldRole::Body);
    assert_eq!(FieldRole::of(Span, "message"), FieldRole::Attribute);
    assert_eq!(FieldRole::of(Span, "otel.name"), FieldRole::SpanName);
    assert_eq!(FieldRole::of(Event, "otel.name"), FieldRole::Attribute);
    assert_eq!(parse_span_kind(b"Server"), Some(SpanKind::Server));
    assert_eq!(parse_span_kind(b"servant"), None);
    assert_eq!(parse_status_code(b"ERROR"), Some(StatusCode::Error));
}

/// The items within an item.
fn within(item: Item<'_>) -> Option<Items<'_>> {
    match item {
        Item::Link { items, .. } | Item::Event { items, .. } => Some(items),
        _ => None,
    }
}

/// How many words the items within an item have.
fn words_within(item: Item<'_>) -> usize {
    within(item).map_or(0, |items| items.rest.len())
}

/// How many of them are come past when they are read.
fn words_read(item: Item<'_>) -> usize {
    let Some(mut items) = within(item) else {
        return 0;
    };
    let all = items.rest.len();
    while items.next().is_some() {}
    all - items.rest.len()
}

#[test]
fn events_and_links_come_back_with_what_is_in_them() {
    let mut items = Vec::new();
    let mut writer = ItemWriter::new(&mut items, TEXT_MAX);
    let written = writer.event(5, |items| {
        let _ = items.name("happened");
        let _ = items.text(Key::Name("a name of more than a word"), "text");
        let _ = items.list(Key::Name("list"), |items| items.i64(Key::Field(0), 1));
        7
    });
    assert_eq!(written, Written::Whole);
    let written = writer.link(TraceId::new(1), SpanId::new(2), 1, |items| {
        let _ = items.trace_state("k=v");
        let _ = items.bool(Key::Name("b"), true);
        u16::MAX
    });
    assert_eq!(written, Written::Whole);
    assert_eq!(writer.trace_state("a=b"), Written::Whole);
    assert_eq!(writer.dropped(u32::MAX, 3), Written::Whole);
    let cut = text(b"cut before", true);
    assert_eq!(writer.copy_text(Key::Field(1), cut), Written::Cut);
    assert_eq!(writer.copy_name(text(b"whole", false)), Written::Whole);

    let header = SpanHeader::new(CallsiteId::new(1), TraceId::new(1), SpanId::new(1));
    let bytes = bytes(&header.to_words(), &items);
    let found: Vec<_> = Record::parse(&bytes).unwrap().items().collect();
    let Item::Event {
        time_unix_nano: 5,
        dropped: 7,
        items: event,
    } = found[0]
    else {
        panic!("{found:?}");
    };
    let event: Vec<_> = event.collect();
    assert_eq!(event[0], Item::Name(text(b"happened", false)));
    let key = KeyRef::Name(b"a name of more than a word");
    let value = ValueRef::Text(text(b"text", false));
    assert_eq!(event[1], Item::Attribute(key, value));
    let Item::Attribute(KeyRef::Name(b"list"), ValueRef::List(list)) = event[2] else {
        panic!("{event:?}");
    };
    assert_eq!(list.iter().collect::<Vec<_>>(), [ValueRef::I64(1)]);
    assert_eq!(event.len(), 3);
    let Item::Link {
        flags: 1,
        dropped: u16::MAX,
        items: link,
        ..
    } = found[1]
    else {
        panic!("{found:?}");
    };
    let attribute = Item::Attribute(KeyRef::Name(b"b"), ValueRef::Bool(true));
    let state = Item::TraceState(text(b"k=v", false));
    assert_eq!(link.collect::<Vec<_>>(), [state, attribute]);
    let (events, links) = (u32::MAX, 3);
    let expected = [
        Item::TraceState(text(b"a=b", false)),
        Item::Dropped { events, links },
        Item::Attribute(KeyRef::Field(1), ValueRef::Text(cut)),
        Item::Name(text(b"whole", false)),
    ];
    assert_eq!(found[2..], expected);
}

#[derive(Debug, Clone)]
enum Value {
    Bool(bool),
    I64(i64),
    U64(u64),
    F64(f64),
    Text(Vec<String>),
    Bytes(Vec<u8>),
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::I64),
        any::<u64>().prop_map(Value::U64),
        any::<f64>()
            .prop_filter("comparable", |value| !value.is_nan())
            .prop_map(Value::F64),
        proptest::collection::vec(".{0,20}", 0..5).prop_map(Value::Text),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
    ]
}

proptest! {
    #[test]
    fn what_is_left_of_texts_is_their_beginning(
        texts in proptest::collection::vec("[a-zé€𝄞]{0,24}", 1..5),
        keep in 0_usize..50,
    ) {
        let mut items = Vec::new();
        let mut writer = ItemWriter::new(&mut items, 1 << 16);
        for text in &texts {
            prop_assert_eq!(writer.text(Key::Field(1), text), Written::Whole);
        }
        let kept = keep.min(items.len());
        let left = trim_items(&mut items[..kept], 0);
        prop_assert!(left <= kept);
        let bytes = log_with(&items[..left]);
        let mut left = Record::parse(&bytes).unwrap().items().peekable();
        let mut whole = texts.iter();
        while let Some(item) = left.next() {
            let Item::Attribute(_, ValueRef::Text(text)) = item else {
                panic!("{item:?}");
            };
            let beginning = std::str::from_utf8(text.bytes).unwrap();
            let whole = whole.next().unwrap();
            prop_assert!(whole.starts_with(beginning));
            // Only the last one may be cut, within a character of where the words end.
            prop_assert_eq!(text.cut, beginning != whole);
            prop_assert!(!text.cut || left.peek().is_none());
            prop_assert!(!text.cut || beginning.len().next_multiple_of(WORD_BYTES) - beginning.len() < 4);
        }
    }

    #[test]
    fn what_is_around_a_log_record_comes_back(
        spans in proptest::collection::vec((1_u64..1 << 40, proptest::collection::vec(any::<u64>(), 0..6)), 0..5)
    ) {
        let mut items = Vec::new();
        for (callsite, values) in &spans {
            let mut inner = Vec::new();
            let mut writer = ItemWriter::new(&mut inner, 1 << 16);
            for (index, value) in values.iter().enumerate() {
                prop_assert_eq!(writer.u64(Key::Field(index as u16), *value), Written::Whole);
            }
            // Only attributes are copied.
            prop_assert_eq!(writer.status_message("none of it"), Written::Whole);
            let callsite = CallsiteId::new(*callsite);
            let written = ItemWriter::new(&mut items, 1 << 16).enclosing(callsite, &inner);
            prop_assert_eq!(written, Written::Whole);
        }
        let bytes = log_with(&items);
        let Record::Log(log) = Record::parse(&bytes).unwrap() else {
            panic!("a log record");
        };
        let got: Vec<_> = log.enclosing_spans().map(|span| {
            let values = span.items.map(|item| match item {
                Item::Attribute(KeyRef::Field(_), ValueRef::U64(value)) => value,
                other => panic!("{other:?}"),
            });
            (span.callsite.get(), values.collect::<Vec<_>>())
        }).collect();
        prop_assert_eq!(got, spans);
    }

    #[test]
    fn any_attributes_come_back(
        attributes in proptest::collection::vec((proptest::option::of(".{0,12}"), value()), 0..20)
    ) {
        let mut items = Vec::new();
        let mut writer = ItemWriter::new(&mut items, 1 << 20);
        for (index, (name, value)) in attributes.iter().enumerate() {
            let key = match name {
                Some(name) => Key::Name(name),
                None => Key::Field(index as u16),
            };
            let written = match value {
                Value::Bool(value) => writer.bool(key, *value),
                Value::I64(value) => writer.i64(key, *value),
                Value::U64(value) => writer.u64(key, *value),
                Value::F64(value) => writer.f64(key, *value),
                Value::Text(pieces) => writer.format(key, |packer| {
                    pieces.iter().for_each(|piece| packer.push_str(piece));
                }),
                Value::Bytes(value) => writer.bytes(key, value),
            };
            prop_assert_eq!(written, Written::Whole);
        }
        let bytes = log_with(&items);
        let record = Record::parse(&bytes).unwrap();
        prop_assert_eq!(record.items().count(), attributes.len());
        for (index, (item, (name, value))) in record.items().zip(&attributes).enumerate() {
            let key = match name {
                Some(name) => KeyRef::Name(name.as_bytes()),
                None => KeyRef::Field(index as u16),
            };
            let joined;
            let value = match value {
                Value::Bool(value) => ValueRef::Bool(*value),
                Value::I64(value) => ValueRef::I64(*value),
                Value::U64(value) => ValueRef::U64(*value),
                Value::F64(value) => ValueRef::F64(*value),
                Value::Text(pieces) => {
                    joined = pieces.concat();
                    ValueRef::Text(text(joined.as_bytes(), false))
                }
                Value::Bytes(value) => ValueRef::Bytes(value, false),
            };
            prop_assert_eq!(item, Item::Attribute(key, value));
        }
    }

    #[test]
    fn no_bytes_make_the_reader_fail(words in proptest::collection::vec(any::<u64>(), 0..40), kind in 0_u64..4, tags in 0_u64..16) {
        let mut words = words;
        if let Some(first) = words.first_mut() {
            *first = kind;
        }
        for word in words.iter_mut().skip(1) {
            *word = (*word & 0x0000_000f_0003_0300) | ((*word ^ tags) % 16);
        }
        if let Ok(record) = Record::parse(&bytes(&words, &[])) {
            let header = if matches!(record, Record::Span(_)) { SPAN_HEADER_WORDS } else { LOG_HEADER_WORDS };
            // Every word that was checked is also read.
            let mut at = header;
            let mut items = 0;
            while at < words.len() {
                at += item_words(words[at]).unwrap();
                items += 1;
            }
            prop_assert_eq!(record.items().count(), items);
            for item in record.items() {
                prop_assert_eq!(words_within(item), words_read(item));
            }
        }
    }
}
