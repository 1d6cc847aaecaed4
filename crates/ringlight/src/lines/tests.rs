use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use ringlight_collector::record::{ItemWriter, Key, LogHeader, copy_words};
use ringlight_model::{CallsiteKind, Severity, SpanId, TraceId};

use super::*;

/// Bytes written so far, readable from outside.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn registry() -> CallsiteRegistry {
    let registry = CallsiteRegistry::new();
    let callsite = |kind, name, fields| Callsite {
        kind,
        name,
        target: "shop::orders",
        scope: None,
        severity: Severity::INFO,
        module_path: None,
        file: Some("src/orders.rs"),
        line: Some(7),
        fields,
    };
    registry.register(CallsiteId::new(1), || {
        callsite(
            CallsiteKind::Event,
            "event src/orders.rs:7",
            vec!["message", "count", "who", "ratio"],
        )
    });
    registry.register(CallsiteId::new(2), || {
        callsite(
            CallsiteKind::Span,
            "request",
            vec!["otel.kind", "id", "path"],
        )
    });
    registry.register(CallsiteId::new(3), || {
        callsite(CallsiteKind::Span, "order", vec!["otel.name"])
    });
    registry
}

/// A log record of callsite 1 with an integer, inside two spans, of which one has attributes.
fn record(
    severity: Severity,
    time_unix_nano: u64,
    message: &str,
    who: &str,
    ratio: f64,
) -> Vec<u8> {
    let mut items = Vec::new();
    let mut writer = ItemWriter::new(&mut items, 40);
    let _ = writer.text(Key::Field(0), message);
    let _ = writer.i64(Key::Field(1), -3);
    let _ = writer.text(Key::Field(2), who);
    let _ = writer.f64(Key::Field(3), ratio);
    let mut of_order = Vec::new();
    let _ = ItemWriter::new(&mut of_order, 40).text(Key::Field(0), "an order");
    let mut of_request = Vec::new();
    let mut request = ItemWriter::new(&mut of_request, 40);
    let _ = request.text(Key::Field(0), "server");
    let _ = request.u64(Key::Field(1), 7);
    let _ = request.text(Key::Field(2), "/a b");
    let _ = request.bool(Key::Name("late"), true);
    let _ = writer.enclosing(CallsiteId::new(3), &of_order);
    let _ = writer.enclosing(CallsiteId::new(2), &of_request);
    let mut header = LogHeader::new(CallsiteId::new(1), severity, time_unix_nano);
    header.trace_id = TraceId::new(0xabc);
    header.span_id = SpanId::new(0xdef);
    let mut bytes = vec![0; 48 + items.len() * 8];
    copy_words(header.to_words().into_iter().chain(items), &mut bytes);
    bytes
}

/// What a sink writes for records that come between two flushes.
fn written(style: Style, records: &[Vec<u8>]) -> String {
    let output = Captured::default();
    let mut sink = LineSink::with_style(style, Box::new(output.clone()), Notices::default());
    for bytes in records {
        sink.record(&Record::parse(bytes).unwrap(), &registry());
    }
    assert!(output.0.lock().unwrap().is_empty());
    sink.flush();
    let bytes = output.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn line(style: Style, severity: Severity, message: &str, who: &str, ratio: f64) -> String {
    written(
        style,
        &[record(severity, 1_000_001_000, message, who, ratio)],
    )
}

#[test]
fn lines_of_several_threads_come_in_the_order_of_their_times() {
    let records = [(5, "one"), (9, "four"), (7, "two"), (7, "three")]
        .map(|(time, message)| record(Severity::INFO, time, message, "", 0.0));
    let text = written(Style::Text { colour: false }, &records);
    let messages: Vec<_> = text
        .lines()
        .map(|line| line.split(": ").nth(2).unwrap())
        .map(|rest| rest.split(' ').next().unwrap())
        .collect();
    assert_eq!(messages, ["one", "two", "three", "four"]);
}

/// An output that can be stopped.
#[derive(Clone, Default)]
struct Stoppable {
    captured: Captured,
    is_stopped: Arc<(Mutex<bool>, Condvar)>,
}

impl Stoppable {
    fn set_stopped(&self, stopped: bool) {
        *self.is_stopped.0.lock().unwrap() = stopped;
        self.is_stopped.1.notify_all();
    }
}

impl Write for Stoppable {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let is_stopped = self.is_stopped.0.lock().unwrap();
        drop(self.is_stopped.1.wait_while(is_stopped, |stopped| *stopped));
        self.captured.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_output_that_takes_nothing_holds_nobody_up_and_loses_only_what_finds_no_room() {
    let plain = Style::Text { colour: false };
    let output = Stoppable::default();
    output.set_stopped(true);
    let mut sink = LineSink::with_style(plain, Box::new(output.clone()), Notices::default());
    let registry = registry();
    let mut show = |message: &str| {
        let bytes = record(Severity::INFO, 1, message, "w", 1.0);
        sink.record(&Record::parse(&bytes).unwrap(), &registry);
        sink.flush();
    };
    // Would wait for ever, or for the patience every time.
    for number in 0..20_000 {
        show(&format!("number-{number}"));
    }
    output.set_stopped(false);
    let until = Instant::now() + Duration::from_secs(60);
    // The first line went on its way alone; the others come behind it.
    while output.captured.0.lock().unwrap().len() < 1000 {
        assert!(Instant::now() < until, "waited in vain");
        std::thread::yield_now();
    }
    // Now that it takes something, it is waited for.
    drop(sink);
    let text = output.captured.0.lock().unwrap().clone();
    let text = String::from_utf8(text).unwrap();
    let numbers = text.lines().map(|line| {
        let (_, rest) = line.split_once("number-").unwrap();
        rest.split(' ').next().unwrap().parse::<usize>().unwrap()
    });
    // What found room was written in its order, the first of all included.
    let numbers: Vec<_> = numbers.collect();
    assert!(numbers.is_sorted() && numbers[..100] == (0..100).collect::<Vec<_>>());
    assert!(numbers.len() > 5_000 && numbers.len() < 20_000);
}

/// An output that fails while it is told to.
#[derive(Clone, Default)]
struct Failing {
    captured: Captured,
    fails: Arc<Mutex<bool>>,
}

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if *self.fails.lock().unwrap() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.captured.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn lines_that_an_output_does_not_take_are_counted_and_told() {
    let (told, notices) = std::sync::mpsc::channel();
    let said = move || {
        let said = notices.recv_timeout(Duration::from_secs(60));
        said.expect("a person is told")
    };
    let notices = Notices::new(move |notice| {
        let _ = told.send(notice.to_string());
    });
    let output = Failing::default();
    let set_failing = |fails| *output.fails.lock().unwrap() = fails;
    let plain = Style::Text { colour: false };
    let mut sink = LineSink::with_style(plain, Box::new(output.clone()), notices);
    let registry = registry();
    let show = |sink: &mut LineSink, message: &str| {
        let bytes = record(Severity::INFO, 1, message, "w", 1.0);
        sink.record(&Record::parse(&bytes).unwrap(), &registry);
        sink.hand_over();
    };
    let full = "log lines cannot be written and are lost until they can: no storage space";
    set_failing(true);
    show(&mut sink, "one");
    assert_eq!(said(), full);
    for message in ["two", "three", "four"] {
        show(&mut sink, message);
    }
    set_failing(false);
    show(&mut sink, "five");
    // Some may have waited until the output took them.
    let again = said();
    let count = again.strip_prefix("log lines are written again; ").unwrap();
    let count: usize = count.strip_suffix(" were lost").unwrap().parse().unwrap();
    let written = || String::from_utf8(output.captured.0.lock().unwrap().clone()).unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while !written().contains(": five ") {
        assert!(Instant::now() < until, "waited in vain");
        std::thread::yield_now();
    }
    assert_eq!(count + written().lines().count(), 5, "{}", written());
    assert!(count >= 1);
    // At the end, too.
    set_failing(true);
    show(&mut sink, "six");
    assert_eq!(said(), full);
    drop(sink);
    let last = "1 log lines were lost: they could not be written until the end";
    assert_eq!(said(), last);
}

#[test]
fn a_line_for_people() {
    let plain = Style::Text { colour: false };
    assert_eq!(
        line(plain, Severity::INFO, "order placed", "Ada Lovelace", 0.5),
        "1970-01-01T00:00:01.000001Z  INFO request{id=7 path=\"/a b\" late=true}:an order: shop::orders: order placed count=-3 \
         who=\"Ada Lovelace\" ratio=0.5 trace_id=00000000000000000000000000000abc\n"
    );
}

#[test]
fn lines_for_people_with_room_have_a_line_for_each_thing() {
    let plain = Style::Pretty { colour: false };
    let lines = [
        "1970-01-01T00:00:01.000001Z  INFO shop::orders: order placed",
        "    count: -3",
        "    who: \"Ada Lovelace\"",
        "    ratio: 0.5",
        "    at src/orders.rs:7",
        "    in an order",
        "    in request id=7 path=\"/a b\" late=true",
        "    trace_id=00000000000000000000000000000abc span_id=0000000000000def",
        "",
    ];
    assert_eq!(
        line(plain, Severity::INFO, "order placed", "Ada Lovelace", 0.5),
        lines.join("\n")
    );
}

#[test]
fn lines_leave_out_the_spans_by_option() {
    let bytes = record(Severity::INFO, 1_000, "placed", "w", 0.5);
    let of = |style| {
        let output = Captured::default();
        let mut sink = LineSink::with_style(style, Box::new(output.clone()), Notices::default())
            .naming_spans(false);
        sink.record(&Record::parse(&bytes).unwrap(), &registry());
        sink.flush();
        let bytes = output.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    };
    assert_eq!(
        of(Style::Text { colour: false }),
        "1970-01-01T00:00:00.000001Z  INFO shop::orders: placed count=-3 who=w ratio=0.5 \
         trace_id=00000000000000000000000000000abc\n"
    );
    assert_eq!(
        of(Style::Json),
        "{\"timestamp\":\"1970-01-01T00:00:00.000001Z\",\"level\":\"INFO\",\"target\":\"shop::orders\",\
         \"message\":\"placed\",\"fields\":{\"count\":-3,\"who\":\"w\",\"ratio\":0.5},\
         \"trace_id\":\"00000000000000000000000000000abc\",\"span_id\":\"0000000000000def\"}\n"
    );
}

#[test]
fn fault_35_escape_sequences_in_values_stay_text() {
    let plain = Style::Text { colour: false };
    let found = line(
        plain,
        Severity::ERROR,
        "bad\u{1b}[2J\nFAKE",
        "\u{1b}]0;x\u{7}",
        1.0,
    );
    assert_eq!(
        found,
        "1970-01-01T00:00:01.000001Z ERROR request{id=7 path=\"/a b\" late=true}:an order: shop::orders: bad\\u{1b}[2J\n    FAKE \
         count=-3 who=\"\\u{1b}]0;x\\u{7}\" ratio=1 trace_id=00000000000000000000000000000abc\n"
    );
}

#[test]
fn colour_is_the_only_escape_on_a_terminal() {
    let found = line(
        Style::Text { colour: true },
        Severity::WARN,
        "m\u{1b}[31m",
        "w",
        1.0,
    );
    assert_eq!(
        found,
        "\u{1b}[2m1970-01-01T00:00:01.000001Z\u{1b}[0m\u{1b}[33m  WARN \u{1b}[0m\
         \u{1b}[1mrequest\u{1b}[0m{\u{1b}[2mid=\u{1b}[0m7 \u{1b}[2mpath=\u{1b}[0m\"/a b\" \
         \u{1b}[2mlate=\u{1b}[0mtrue}:\u{1b}[1man order\u{1b}[0m: \u{1b}[2mshop::orders:\u{1b}[0m \
         m\\u{1b}[31m \u{1b}[2mcount=\u{1b}[0m-3 \u{1b}[2mwho=\u{1b}[0mw \
         \u{1b}[2mratio=\u{1b}[0m1\u{1b}[2m trace_id=00000000000000000000000000000abc\u{1b}[0m\n"
    );
}

#[test]
fn a_long_text_shows_that_it_was_cut() {
    let plain = Style::Text { colour: false };
    let found = line(plain, Severity::INFO, &"x".repeat(50), "w", 1.0);
    assert!(found.contains(&format!(" {}… count", "x".repeat(40))));
}

#[test]
fn a_line_for_machines_names_what_was_cut() {
    let parse = |message: &str, who: &str| -> serde_json::Value {
        let found = line(Style::Json, Severity::INFO, message, who, 1.0);
        serde_json::from_str(&found).unwrap()
    };
    let (long, cut) = ("x".repeat(50), "x".repeat(40));
    let found = parse(&long, &long);
    assert_eq!(found["message"], *cut);
    assert_eq!(found["fields"]["who"], *cut);
    assert_eq!(found["cut"], serde_json::json!(["message", "who"]));
    assert_eq!(parse("short", &long)["cut"], serde_json::json!(["who"]));
    assert_eq!(parse(&long, "w")["cut"], serde_json::json!(["message"]));
    // One that ends so by itself is whole.
    assert_eq!(parse("short…", "w").get("cut"), None);
    // What is in a span.
    let mut items = Vec::new();
    let mut of_request = Vec::new();
    let _ = ItemWriter::new(&mut of_request, 40).text(Key::Field(2), &long);
    let mut writer = ItemWriter::new(&mut items, 40);
    let _ = writer.text(Key::Field(0), "placed");
    let _ = writer.enclosing(CallsiteId::new(2), &of_request);
    let header = LogHeader::new(CallsiteId::new(1), Severity::INFO, 1);
    let mut bytes = vec![0; 48 + items.len() * 8];
    copy_words(header.to_words().into_iter().chain(items), &mut bytes);
    let found: serde_json::Value = serde_json::from_str(&written(Style::Json, &[bytes])).unwrap();
    assert_eq!(found.get("cut"), None);
    assert_eq!(found["spans"][0]["cut"], serde_json::json!(["path"]));
}

#[test]
fn a_line_for_machines() {
    let found = line(Style::Json, Severity::DEBUG, "a \"b\"\n", "w", f64::NAN);
    let parsed: serde_json::Value = serde_json::from_str(found.trim_end()).unwrap();
    assert_eq!(
        parsed,
        serde_json::json!({
            "timestamp": "1970-01-01T00:00:01.000001Z",
            "level": "DEBUG",
            "target": "shop::orders",
            "message": "a \"b\"\n",
            "fields": {"count": -3, "who": "w", "ratio": "NaN"},
            "spans": [
                {"name": "request", "fields": {"id": 7, "path": "/a b", "late": true}},
                {"name": "an order", "fields": {}},
            ],
            "trace_id": "00000000000000000000000000000abc",
            "span_id": "0000000000000def",
        })
    );
    assert_eq!(found.matches('\n').count(), 1);
}

#[test]
fn what_a_panic_says_is_in_a_line_for_people_once() {
    let panic = |message: &str, says: &str| {
        let mut items = Vec::new();
        let mut writer = ItemWriter::new(&mut items, 40);
        let _ = writer.text(Key::Field(0), message);
        let _ = writer.text(Key::Name("exception.message"), says);
        let header = LogHeader::new(CallsiteId::new(1), Severity::ERROR, 0);
        let mut bytes = vec![0; 48 + items.len() * 8];
        copy_words(header.to_words().into_iter().chain(items), &mut bytes);
        bytes
    };
    let same = panic("panicked at src/pan.rs:12: the pan fell", "the pan fell");
    for style in [
        Style::Text { colour: false },
        Style::Pretty { colour: false },
    ] {
        let text = written(style, std::slice::from_ref(&same));
        assert_eq!(text.matches("the pan fell").count(), 1, "{text}");
        let text = written(style, &[panic("the cook fell", "the pan fell")]);
        assert!(text.contains("exception.message"), "{text}");
    }
    // Programs look for it under its name.
    let json = written(Style::Json, &[same]);
    assert!(
        json.contains("\"exception.message\":\"the pan fell\""),
        "{json}"
    );
}
