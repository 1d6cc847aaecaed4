//! What spans are called that have another name than in the source.

use super::*;

const RENAMED: CallsiteId = CallsiteId::new(4);
const FIELD: Key<'_> = Key::Field(1);

/// A name that a span is given: by a field of this key, or without one as its own.
type Given = (Option<Key<'static>>, &'static str);

impl Drawn {
    /// The same with a callsite of this name, whose spans get another one by the second of their fields.
    fn renaming(self, name: &'static str) -> Self {
        let work = self.registry.lookup(CALLSITE).unwrap();
        self.registry.register(RENAMED, || Callsite {
            name,
            fields: vec!["count", "otel.name"],
            ..Callsite::clone(&work)
        });
        self
    }

    /// A span of that callsite that closes, with these names.
    fn renamed_span(&mut self, names: &[Given]) {
        let header = SpanHeader::new(RENAMED, TraceId::new(5), SpanId::new(6));
        let mut items = Vec::new();
        for (key, text) in names {
            let mut writer = ItemWriter::new(&mut items, 640);
            let _ = match key {
                Some(key) => writer.text(*key, text),
                None => writer.name(text),
            };
        }
        self.record(&header.to_words(), &items);
    }

    fn text(&mut self) -> String {
        let buffer = self.drawing.take(Buffer::default());
        String::from_utf8_lossy(&buffer.bytes).into_owned()
    }
}

/// Name and arguments, without ids, of the life of a span.
#[track_caller]
fn check(source: &'static str, names: &[Given], (name, args): (&str, &[(&str, &str)])) {
    let mut drawn = Drawn::new().renaming(source);
    drawn.renamed_span(names);
    let text = drawn.text();
    let begin = text.lines().next().unwrap();
    // As it is written, so that nothing is there twice.
    let args = args
        .iter()
        .map(|(name, value)| format!("\"{name}\":\"{value}\","));
    let args = format!("\"args\":{{{}\"trace_id\"", args.collect::<String>());
    let name = format!("\"name\":\"{name}\"");
    assert!(begin.contains(&name) && begin.contains(&args), "{begin}");
}

#[test]
fn a_span_has_its_name_in_the_source_and_another_one_as_an_argument() {
    check("work", &[], ("work", &[]));
    let field = (Some(FIELD), "GET /");
    check("work", &[field], ("work", &[("otel.name", "GET /")]));
    // By the OpenTelemetry API. As where it is sent, the last one holds.
    let own = (None, "GET /items");
    let shown: &[_] = &[("otel.name", "GET /items")];
    check("work", &[own], ("work", shown));
    check("work", &[field, own], ("work", shown));
    check("work", &[own, field], ("work", &[("otel.name", "GET /")]));
    // What is called so and names nothing.
    let other = (Some(Key::Name("otel.name")), "other");
    let shown: &[_] = &[("field.otel.name", "other"), ("otel.name", "GET /items")];
    check("work", &[own, other], ("work", shown));
}

#[test]
fn a_span_without_a_name_in_the_source_has_the_one_it_says() {
    check("", &[(None, "GET /items")], ("GET /items", &[]));
    check("", &[(Some(FIELD), "GET /")], ("GET /", &[]));
    // As where it is sent, the last one holds.
    let fields = ["GET /", "GET /items"].map(|name| (Some(FIELD), name));
    check("", &fields, ("GET /items", &[]));
}

#[test]
fn where_no_arguments_are_wanted_no_other_name_is_shown_nor_that_there_is_one() {
    for format in [TraceFileFormat::Json, TraceFileFormat::Perfetto] {
        for include_args in [true, false] {
            let mut drawn = Drawn::of(format, include_args).renaming("work");
            drawn.renamed_span(&[(Some(FIELD), "GET /")]);
            drawn.renamed_span(&[(None, "GET /items")]);
            let text = drawn.text();
            assert!(text.contains("work"), "{text}");
            for hidden in ["otel.name", "GET /", "GET /items"] {
                assert_eq!(text.contains(hidden), include_args, "{hidden}: {text}");
            }
        }
    }
}

#[test]
fn where_no_span_has_another_name_the_argument_is_not_named() {
    let mut drawn = Drawn::of(TraceFileFormat::Perfetto, true);
    drawn.span(1, ROOT, (0, 50));
    let text = drawn.text();
    assert!(text.contains("count") && !text.contains("otel.name"));
}
