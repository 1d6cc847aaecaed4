//! Records of the crate `log` are recorded as if they were events.

use std::fmt;
use std::time::Duration;

use log::kv::{self, Source, VisitSource};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use ringlight::{LogFormat, Signal};
use ringlight_testing::{Backend, attribute, body, text_of};
use tracing::info_span;

const LONG: Duration = Duration::from_secs(20);

/// What logs while it is shown, with pairs and without.
struct Noisy;

impl fmt::Display for Noisy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        log::warn!(target: "shop::inner", depth = 1; "within another");
        log::warn!(target: "shop::plain", "the same without pairs");
        tracing::warn!(target: "log", "an event");
        f.write_str("noisy")
    }
}

/// Pairs, of which some may not be read.
struct Pairs {
    names: Vec<String>,
    read_count: usize,
}

impl Pairs {
    fn new(count: usize, read_count: usize) -> Self {
        Self {
            names: (0..count).map(|number| format!("n{number}")).collect(),
            read_count,
        }
    }
}

impl Source for Pairs {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), kv::Error> {
        for name in &self.names[..self.read_count] {
            visitor.visit_pair(kv::Key::from(&**name), kv::Value::from(1))?;
        }
        match self.names.len() == self.read_count {
            true => Ok(()),
            false => Err(kv::Error::msg("there is no more to be had")),
        }
    }

    fn count(&self) -> usize {
        self.names.len()
    }
}

fn log_pairs(target: &str, pairs: &Pairs) {
    let mut record = log::Record::builder();
    let record = record.target(target).level(log::Level::Warn);
    log::logger().log(&record.key_values(pairs).args(format_args!("pairs")).build());
}

#[test]
fn records_of_log_have_their_own_target_place_and_pairs() {
    let backend = Backend::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lines.jsonl");
    let telemetry = ringlight::builder()
        .environment([("RUST_LOG", "warn,shop=debug,other=off")])
        .otlp_endpoint(backend.url())
        .pipeline(|config| config.source_location = true)
        .log_format(LogFormat::Off)
        .log_file(&file)
        .init()
        .unwrap();

    assert!(log::log_enabled!(target: "shop", log::Level::Debug));
    assert!(!log::log_enabled!(target: "shop", log::Level::Trace));
    info_span!(target: "shop", "request").in_scope(|| {
        let user = "ann";
        log::debug!(target: "shop::cart", count = 3, ratio = 0.5, is_new = true, user; "put in");
    });
    log::trace!(target: "shop", "too verbose");
    log::error!(target: "other", "unwanted");
    log::info!(target: "audit", who = "ann"; "audited");
    log::warn!("of this crate");
    log::warn!(target: "shop::outer", who = "ann", role = "cook"; "{Noisy}");
    log_pairs("shop::many", &Pairs::new(70, 70));
    log_pairs("shop::unread", &Pairs::new(5, 3));
    telemetry.shutdown(LONG);

    let seen = backend.stop();
    let requests = seen.data().filter(|request| request.signal == Signal::Logs);
    let resources = requests.flat_map(|request| request.logs().resource_logs);
    let scopes = resources.flat_map(|resource| resource.scope_logs);
    let by_scope: Vec<_> = scopes.collect();
    assert_eq!(by_scope.len(), 9, "{by_scope:?}");
    let of = |name: &str| {
        let mut scopes = by_scope.iter();
        let found = scopes.find(|logs| logs.scope.as_ref().unwrap().name == name);
        let logs = &found.unwrap().log_records;
        assert_eq!(logs.len(), 1);
        &logs[0]
    };
    let log = of("shop::cart");
    assert_eq!(body(log), "put in");
    assert_eq!(log.severity_text, "DEBUG");
    assert_eq!(log.span_id, seen.spans()[0].span_id);
    assert_eq!(
        attribute(&log.attributes, "count"),
        Some(Value::IntValue(3))
    );
    assert_eq!(
        attribute(&log.attributes, "ratio"),
        Some(Value::DoubleValue(0.5))
    );
    assert_eq!(
        attribute(&log.attributes, "is_new"),
        Some(Value::BoolValue(true))
    );
    assert_eq!(text_of(&log.attributes, "user"), "ann");
    assert!(text_of(&log.attributes, "code.file.path").ends_with("tests/log_crate.rs"));
    assert!(attribute(&log.attributes, "code.line.number").is_some());
    let keys = log
        .attributes
        .iter()
        .map(|attribute| attribute.key.as_str());
    assert!(
        keys.into_iter().all(|key| !key.starts_with("log.")),
        "{log:?}"
    );
    of("audit");
    of("log_crate");

    // Each has the pairs that are its own.
    let keys_of = |name: &str| {
        let keys = of(name).attributes.iter().map(|pair| &*pair.key);
        keys.filter(|key| !key.starts_with("code."))
            .collect::<Vec<_>>()
    };
    assert_eq!(keys_of("shop::outer"), ["who", "role"]);
    assert_eq!(keys_of("shop::inner"), ["depth"]);
    assert!(keys_of("shop::plain").is_empty());
    assert!(keys_of("log").is_empty());
    // What is over the limit, or could not be read, is counted.
    let counts = |name: &str| (keys_of(name).len(), of(name).dropped_attributes_count);
    assert_eq!(counts("shop::many"), (64, 6));
    assert_eq!(counts("shop::unread"), (3, 2));

    let lines = std::fs::read_to_string(&file).unwrap();
    let line = lines.lines().find(|line| line.contains("put in")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["target"], "shop::cart");
    assert_eq!(line["fields"]["user"], "ann");
    assert_eq!(line["fields"].as_object().unwrap().len(), 4);
    assert_eq!(line["spans"][0]["name"], "request");

    // Another start is not kept from anything by the logger that is set.
    assert!(ringlight::builder().build().is_ok());
}
