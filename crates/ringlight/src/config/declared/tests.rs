use std::time::Duration;

use super::*;
use crate::config::{
    Compression, EffectiveSettings, Inputs, Protocol, SettingOrigin, Settings, effective,
};
use crate::sampling::Sampler;

fn inputs(text: &str, variables: &[(&str, &str)]) -> (tempfile::TempDir, Inputs) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("otel.yaml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let named = (VARIABLE, path);
    let all = variables.iter().chain([&named]);
    let all = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let inputs = Inputs {
        environment: Environment::Fixed(all.collect()),
        ..Inputs::default()
    };
    (dir, inputs)
}

fn settings(text: &str, variables: &[(&str, &str)]) -> Settings {
    let (_dir, mut inputs) = inputs(text, variables);
    inputs.read_declared().unwrap();
    Settings::resolve(inputs).unwrap()
}

fn held(text: &str, variables: &[(&str, &str)]) -> EffectiveSettings {
    let (_dir, inputs) = inputs(text, variables);
    effective(inputs).unwrap()
}

/// The problems of a file, each as `line: message; hint: hint`.
fn problems(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let (_dir, inputs) = inputs(text, variables);
    let error = applied(inputs.environment).unwrap_err();
    let shown = |problem: &crate::config::ConfigProblem| {
        let line = problem.line.unwrap_or_default();
        format!("{line}: {}; hint: {}", problem.message, problem.hint)
    };
    error.problems.iter().map(shown).collect()
}

const EVERYTHING: &str = r#"file_format: "1.1"
disabled: false
log_level: info
resource:
  attributes:
    - { name: service.name, value: shop }
    - { name: weight, value: 3, type: int }
    - { name: teams, value: [a, b], type: string_array }
  attributes_list: team=c,weight=9,note=a%2Cb
attribute_limits:
  attribute_count_limit: 10
  attribute_value_length_limit: 20
propagator:
  composite: [ { b3multi: }, { baggage: } ]
  composite_list: "baggage,tracecontext"
tracer_provider:
  processors:
    - batch:
        schedule_delay: 70
        export_timeout: 0
        max_export_batch_size: 100
        exporter:
          otlp_http:
            endpoint: https://collector/v1/traces?${KEY}
            encoding: json
            compression: gzip
            timeout: 3000
            headers: [ { name: authorization, value: "Bearer ${TOKEN}, a=b" }, { name: gone, value: } ]
            headers_list: "Authorization=other,x-tenant=shop"
            tls: { ca_file: ca.pem, cert_file: client.pem, key_file: client.key }
  limits: { event_count_limit: 3, link_count_limit: 4, event_attribute_count_limit: 5, link_attribute_count_limit: 6 }
  sampler:
    parent_based:
      root: { trace_id_ratio_based: { ratio: 0.25 } }
      remote_parent_sampled: { always_on: }
logger_provider:
  processors:
    - batch: { exporter: { otlp_grpc: { endpoint: "collector:4317", tls: { insecure: true } } } }
"#;

#[test]
fn everything_that_is_supported_is_done() {
    let variables = [("TOKEN", "hunter2"), ("KEY", "key=hunter2")];
    let found = settings(EVERYTHING, &variables);
    let resource = &found.pipeline.resource;
    assert_eq!(resource.service_name(), "shop");
    let value = |key: &str| {
        let mut attributes = resource.attributes.iter();
        let found = attributes.find(|attribute| attribute.key == key);
        found.map(|attribute| attribute.value.clone())
    };
    assert_eq!(value("weight"), Some(Value::Int(3)));
    assert_eq!(
        value("teams"),
        Some(Value::Array(vec!["a".into(), "b".into()]))
    );
    assert_eq!(value("team"), Some("c".into()));
    assert_eq!(value("note"), Some("a,b".into()));
    let formats = if cfg!(feature = "b3") {
        "[B3Multi, Baggage, TraceContext]"
    } else {
        "[Baggage, TraceContext]"
    };
    assert_eq!(format!("{:?}", found.formats), formats);
    let routes = found.routes.unwrap();
    let traces = routes.traces.unwrap();
    assert_eq!(traces.endpoint, "https://collector/v1/traces?key=hunter2");
    assert!(traces.own);
    assert_eq!(traces.protocol, Protocol::HttpJson);
    assert_eq!(traces.compression, Compression::Gzip);
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let headers = [
        header("authorization", "Bearer hunter2, a=b"),
        header("x-tenant", "shop"),
    ];
    assert_eq!(traces.headers, headers);
    let files = traces.tls_files;
    assert_eq!(files.certificate.unwrap().0, PathBuf::from("ca.pem"));
    let (certificate, key, _) = files.client.unwrap();
    assert_eq!(
        (certificate, key),
        ("client.pem".into(), "client.key".into())
    );
    let logs = routes.logs.unwrap();
    assert_eq!(
        (&*logs.endpoint, logs.protocol),
        ("http://collector:4317", Protocol::Grpc)
    );
    assert_eq!(logs.headers, []);
    // There is no provider of metrics.
    assert_eq!(routes.metrics, None);
    assert_eq!(found.sampler, Sampler::trace_id_ratio(0.25).parent_based());
    let pipeline = found.pipeline;
    assert_eq!(pipeline.batch_delay, Duration::from_millis(70));
    assert_eq!(pipeline.export_timeout, Duration::from_secs(3));
    assert_eq!(pipeline.batch_records_max, 100);
    let limits = pipeline.limits;
    assert_eq!((limits.attributes_max, limits.text_bytes_max), (10, 20));
    assert_eq!((limits.events_max, limits.links_max), (3, 4));
    assert_eq!(
        (limits.event_attributes_max, limits.link_attributes_max),
        (5, 6)
    );
    let own: Vec<_> = found
        .warnings
        .iter()
        .filter(|warning| !warning.contains("b3multi"))
        .collect();
    let [warning] = &own[..] else {
        panic!("{own:?}");
    };
    assert!(
        warning.starts_with("`tracer_provider.processors[0].batch.export_timeout` in ")
            && warning.ends_with("otel.yaml:20 is 3600000 in this version, which takes no more"),
        "{warning}"
    );
}

#[test]
fn what_holds_is_shown_with_its_line_and_no_secret() {
    let variables = [("TOKEN", "hunter2"), ("KEY", "key=hunter2")];
    let holds = held(EVERYTHING, &variables);
    assert!(!format!("{holds:?}").contains("hunter2"), "{holds:?}");
    let shown = |key: &str| {
        let found = holds.settings.iter().find(|held| held.key == key);
        let found = found.unwrap_or_else(|| panic!("no `{key}`"));
        let SettingOrigin::File(place) = &found.origin else {
            panic!("{found:?}");
        };
        let (_, line) = place.split_once("otel.yaml:").unwrap();
        format!("{} {line}", found.value)
    };
    assert_eq!(shown("enabled"), "true 2");
    assert_eq!(shown("service_name"), "shop 6");
    assert_eq!(shown("resource_attributes.weight"), "3 7");
    assert_eq!(shown("resource_attributes.team"), "c 9");
    assert_eq!(
        shown("otlp_endpoint (traces)"),
        "https://collector/v1/traces?… 24"
    );
    assert_eq!(shown("otlp_timeout (traces)"), "3000ms 27");
    assert_eq!(
        shown("otlp_headers (traces)"),
        "authorization, x-tenant (values not shown) 28"
    );
    assert_eq!(shown("batch_delay"), "70ms 19");
    assert_eq!(shown("sample_rate"), "parentbased_traceidratio 0.25 34");
    assert_eq!(shown("span_link_count_limit"), "4 31");
}

const TRACES_ALONE: &str = "file_format: \"1.0\"\ntracer_provider: { processors: [ { batch: { exporter: { otlp_grpc: } } } ] }\n";

#[test]
fn variables_of_the_specification_do_not_count_beside_it_and_others_do() {
    let variables = [
        ("OTEL_SERVICE_NAME", "other"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://other:4318"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=b"),
        ("OTLP_ENDPOINT", "http://other:4317"),
        ("RUST_LOG", "warn"),
    ];
    let found = settings(TRACES_ALONE, &variables);
    assert_ne!(found.pipeline.resource.service_name(), "other");
    assert_eq!(found.sampler, Sampler::default());
    let routes = found.routes.unwrap();
    let traces = routes.traces.unwrap();
    assert_eq!(
        (&*traces.endpoint, traces.protocol),
        ("http://localhost:4317", Protocol::Grpc)
    );
    assert_eq!(traces.headers, []);
    // What it leaves out goes nowhere.
    assert_eq!((routes.logs, routes.metrics), (None, None));
    assert_eq!(format!("{:?}", found.formats), "[]");
    let level = found.filters.of(crate::Output::Traces).max_level();
    assert_eq!(level, tracing_core::LevelFilter::WARN);
    assert_eq!(found.warnings, [""; 0]);

    // The code holds over it.
    let (_dir, mut inputs) = inputs(TRACES_ALONE, &variables);
    inputs.sampler = Some(Sampler::always_off());
    inputs.endpoint = Some("http://code:4317".to_owned());
    inputs.read_declared().unwrap();
    let found = Settings::resolve(inputs).unwrap();
    assert_eq!(found.sampler, Sampler::always_off());
    assert_eq!(
        found.routes.unwrap().traces.unwrap().endpoint,
        "http://code:4317"
    );
}

#[test]
fn it_can_turn_everything_off() {
    let text = format!("{TRACES_ALONE}disabled: ${{OFF:-true}}\n");
    assert_eq!(settings(&text, &[]).routes, None);
    assert!(settings(&text, &[("OFF", "false")]).routes.is_some());
    assert_eq!(
        settings("file_format: '1.1'\n", &[("OTLP_ENDPOINT", "http://h:1")]).routes,
        None
    );
}

#[test]
fn variables_are_substituted_in_values() {
    let check = |written: &str, expected: Option<&str>| {
        let text = format!("file_format: '1.1'\nresource: {{ attributes_list: {written} }}\n");
        let variables = [
            ("NAME", "a=1"),
            ("NUMBER", "7"),
            ("TWICE", "${NAME}"),
            ("EMPTY", ""),
        ];
        let (_dir, inputs) = inputs(&text, &variables);
        let environment = applied(inputs.environment).unwrap();
        assert_eq!(
            environment.get("OTEL_RESOURCE_ATTRIBUTES").as_deref(),
            expected,
            "{written}"
        );
    };
    check("\"${NAME}\"", Some("a=1"));
    check("\"${env:NAME},b=2\"", Some("a=1,b=2"));
    check("\"${NONE:-b=2}\"", Some("b=2"));
    check("\"${EMPTY:-b=2}\"", Some("b=2"));
    check("\"${NAME:-b=2}\"", Some("a=1"));
    check("\"x${NONE}\"", Some("x"));
    check("\"${NONE}\"", None);
    check("\"a=$${NAME}\"", Some("a=${NAME}"));
    check("\"a=$$$NAME\"", Some("a=$$NAME"));
    check("\"${TWICE}\"", Some("${NAME}"));
    check("\"${NUMBER}\"", Some("7"));
    let text = "file_format: '1.1'\nresource: { attributes_list: \"${1A}\" }\n";
    let found = problems(text, &[]);
    assert!(
        found[0].starts_with("2: `${1A}` is no reference to a variable"),
        "{found:?}"
    );
}

#[test]
fn words_without_quotes_are_texts_and_numbers_are_not() {
    for (value, is_text) in [
        ("nan", true),
        ("inf", true),
        ("infinity", true),
        ("truth", true),
        ("v1", true),
        ("7", false),
        ("-1.5e3", false),
        ("True", false),
        ("-.inf", false),
        (".NaN", false),
    ] {
        let text = format!(
            "file_format: '1.1'\nresource: {{ attributes: [ {{ name: a, value: {value} }} ] }}\n"
        );
        let (_dir, inputs) = inputs(&text, &[]);
        assert_eq!(applied(inputs.environment).is_ok(), is_text, "{value}");
    }
}

#[test]
fn what_is_wrong_is_an_error_with_line_path_value_and_what_is_allowed() {
    let check = |text: &str, expected: &str| {
        let text = format!("file_format: \"1.1\"\n{text}\n");
        let found = problems(&text, &[("SECRET", "hunter2")]);
        let [problem] = &found[..] else {
            panic!("{text}: {found:?}");
        };
        assert!(problem.starts_with(expected), "{problem}");
        assert!(!problem.contains("hunter2"), "{problem}");
    };
    check(
        "disabled: maybe",
        "2: `disabled` is `maybe`; hint: allowed is `true` or `false`",
    );
    check("disabled: \"true\"", "2: `disabled` is `\"true\"`; hint: ");
    check(
        "disabled: ${SECRET}",
        "2: `disabled` is something else, which is not shown; hint: ",
    );
    check(
        "log_level: loud",
        "2: `log_level` is `loud`; hint: allowed is `trace`, `debug`",
    );
    check(
        "attribute_limits:\n  attribute_count_limit: -1",
        "3: `attribute_limits.attribute_count_limit` is `-1`; hint: allowed is a whole number from 0",
    );
    check(
        "tracer_provider:\n  processor: []",
        "3: `tracer_provider.processor` is not a setting; hint: `processors`, `limits`, `sampler`",
    );
    check(
        "tracer_provider:\n  sampler: { trace_id_ratio_based: { ratio: 1.5 } }",
        "3: `tracer_provider.sampler.trace_id_ratio_based.ratio` is `1.5`; hint: allowed is a number from 0 to 1",
    );
    check(
        "tracer_provider:\n  sampler: { always_on: , always_off: }",
        "3: `tracer_provider.sampler` is a table; hint: allowed is a table with one entry",
    );
    check(
        "tracer_provider:\n  processors:\n    - batch:\n        exporter:\n          otlp_http: { compression: lz4 }",
        "6: `tracer_provider.processors[0].batch.exporter.otlp_http.compression` is `lz4`; hint: allowed is `gzip`, `zstd`, `none`",
    );
    check(
        "logger_provider:\n  processors:\n    - batch: { exporter: { otlp_http: { headers: [ { name: a, value: 3 } ] } } }",
        "4: `logger_provider.processors[0].batch.exporter.otlp_http.headers[0].value` is something else, which is not shown",
    );
    check(
        "resource:\n  attributes: [ { name: a, value: b, type: int } ]",
        "3: `resource.attributes[0].value` is `b`; hint: allowed is a value of its `type`",
    );
    check(
        "resource: 3",
        "2: `resource` is `3`; hint: allowed is a table",
    );
    check(
        "disabled: true\ndisabled: true",
        "3: `disabled` is there twice",
    );
    check("resource: [", "3: this is not YAML: ");
    check("a: &a [ *a ]", "2: this stands for itself");
    let deep = format!("a: {}{}", "[".repeat(200), "]".repeat(200));
    check(&deep, "2: this is nested too deep");

    let other = problems("file_format: \"0.3\"\n", &[]);
    assert_eq!(
        other,
        ["1: `file_format` is `\"0.3\"`; hint: allowed is `1.0`, `1.1`"]
    );
    let none = problems("disabled: true\n", &[]);
    assert!(
        none[0].starts_with("1: `file_format` is missing"),
        "{none:?}"
    );
    // As many values as a person would not write are not made of a few.
    let mut text = "file_format: '1.1'\na0: &a0 [1,1,1,1,1,1,1,1,1,1]\n".to_owned();
    for level in 1..9 {
        let one = format!("*a{}", level - 1);
        text.push_str(&format!(
            "a{level}: &a{level} [{}]\n",
            [&*one; 10].join(",")
        ));
    }
    let many = problems(&text, &[]);
    assert!(
        many[0].contains("there are more than 100000 values"),
        "{many:?}"
    );
}

#[test]
fn what_is_valid_and_not_done_here_is_told_with_its_line() {
    let text = "file_format: \"1.1\"\ndistribution: { a: b }\ninstrumentation/development: { rust: }\nlog_level: debug2\n\
                resource: { detection/development: { detectors: [ { host: } ] }, schema_url: https://a }\n\
                tracer_provider:\n  processors:\n    - simple: { exporter: { console: } }\n    - batch:\n        max_queue_size: 9\n        exporter: { otlp_grpc: }\n\
                \x20   - batch: { exporter: { otlp_http: } }\n\
                \x20 sampler: { parent_based: { root: { jaeger_remote/development: }, local_parent_sampled: { always_off: } } }\n\
                meter_provider:\n  views: []\n  readers:\n    - pull: { exporter: { opencensus: } }\n\
                \x20   - periodic: { timeout: 1, exporter: { otlp_http: } }\n";
    let found = settings(text, &[]);
    let told: Vec<_> = found
        .warnings
        .iter()
        .map(|warning| {
            let (path, rest) = warning.split_once(" in ").unwrap();
            let (_, rest) = rest.split_once("otel.yaml:").unwrap();
            let (line, _) = rest.split_once(' ').unwrap();
            format!("{line} {}", path.trim_matches('`'))
        })
        .collect();
    let expected = [
        "2 distribution",
        "3 instrumentation/development",
        "4 log_level",
        "5 resource.detection/development",
        "5 resource.schema_url",
        "8 tracer_provider.processors[0].simple",
        "8 tracer_provider.processors[0].simple.exporter.console",
        "10 tracer_provider.processors[1].batch.max_queue_size",
        "12 tracer_provider.processors[2].batch.exporter.otlp_http",
        "13 tracer_provider.sampler.parent_based.root.jaeger_remote/development",
        "13 tracer_provider.sampler.parent_based.local_parent_sampled.always_off",
        "15 meter_provider.views",
        "17 meter_provider.readers[0].pull.exporter.opencensus",
        "18 meter_provider.readers[1].periodic.timeout",
    ];
    assert_eq!(told, expected);
    let routes = found.routes.unwrap();
    assert_eq!(routes.traces.unwrap().endpoint, "http://localhost:4317");
    let metrics = routes.metrics.unwrap();
    assert_eq!(metrics.endpoint, "http://localhost:4318/v1/metrics");
}

#[cfg(feature = "otel")]
#[test]
fn metrics_are_made_as_it_says() {
    let text = "file_format: \"1.1\"\nmeter_provider:\n  exemplar_filter: always_off\n  readers:\n\
                \x20   - pull: { exporter: { prometheus/development: { host: \"::1\", port: 9000 } } }\n\
                \x20   - periodic:\n        interval: 2000\n        exporter:\n          otlp_http:\n\
                \x20           temporality_preference: low_memory\n\
                \x20           default_histogram_aggregation: base2_exponential_bucket_histogram\n";
    let found = settings(text, &[]);
    let metrics = found.metrics;
    assert_eq!(metrics.interval, Duration::from_secs(2));
    assert_eq!(
        metrics.temporality,
        opentelemetry_sdk::metrics::Temporality::LowMemory
    );
    assert!(metrics.exponential_histograms);
    assert_eq!(metrics.exemplars, crate::metrics::ExemplarFilter::AlwaysOff);
    let route = found.routes.unwrap().metrics.unwrap();
    assert_eq!(route.endpoint, "http://localhost:4318/v1/metrics");
    #[cfg(feature = "prometheus")]
    {
        assert_eq!(found.warnings, [""; 0]);
        let Some(crate::metrics::Scraped::At { address, setting }) = &metrics.prometheus else {
            panic!("{:?}", metrics.prometheus);
        };
        assert_eq!(address, "[::1]:9000");
        assert!(
            setting.contains("prometheus") && setting.contains(".port` in "),
            "{setting}"
        );
        // Alone.
        let pull = text.split("    - periodic").next().unwrap();
        let found = settings(pull, &[]);
        assert!(found.metrics.prometheus.is_some());
        assert!(found.routes.is_none_or(|routes| routes.metrics.is_none()));
    }
    let wrong = text
        .replace("low_memory", "lowmemory")
        .replace("2000", "-1");
    assert_eq!(
        problems(&wrong, &[]),
        [
            "7: `meter_provider.readers[1].periodic.interval` is `-1`; hint: allowed is a whole number from 0",
            "10: `meter_provider.readers[1].periodic.exporter.otlp_http.temporality_preference` is `lowmemory`; \
             hint: allowed is `cumulative`, `delta`, `low_memory`"
        ]
    );
}

#[test]
fn what_stands_for_something_else_is_that() {
    let text = "file_format: '1.1'\ntracer_provider: { processors: [ { batch: { exporter: &here { otlp_http: { \
                timeout: 5 } } } } ] }\nlogger_provider: { processors: [ { batch: { exporter: *here } } ] }\n";
    let routes = settings(text, &[]).routes.unwrap();
    assert_eq!(
        routes.traces.unwrap().endpoint,
        "http://localhost:4318/v1/traces"
    );
    assert_eq!(
        routes.logs.unwrap().endpoint,
        "http://localhost:4318/v1/logs"
    );
}

#[cfg(feature = "otel")]
#[test]
fn an_endpoint_or_a_header_that_cannot_be_used_keeps_telemetry_from_starting() {
    let check = |exporter: &str, expected: &str| {
        let text = format!(
            "file_format: '1.1'\ntracer_provider: {{ processors: [ {{ batch: {{ exporter: {{ otlp_grpc: {exporter} }} }} }} ] }}\n"
        );
        let (dir, _) = inputs(&text, &[]);
        let path = dir.path().join("otel.yaml");
        let builder = crate::builder().environment([(VARIABLE, path.to_str().unwrap())]);
        let error = builder.build().map(|_| ()).unwrap_err().to_string();
        assert!(
            error.starts_with(expected) && error.contains("otel.yaml:2: "),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
    };
    let path = "`tracer_provider.processors[0].batch.exporter.otlp_grpc";
    check("{ endpoint: 'http://' }", &format!("{path}.endpoint` in "));
    check(
        "{ headers: [ { name: host, value: hunter2 } ] }",
        &format!("{path}.headers` in "),
    );
}

#[test]
fn a_file_that_is_not_there_keeps_telemetry_from_starting() {
    let environment = [(VARIABLE.to_owned(), "/nowhere/otel.yaml".to_owned())];
    let error = applied(Environment::Fixed(environment.into())).unwrap_err();
    let text = error.to_string();
    let expected = "/nowhere/otel.yaml: the configuration, which `OTEL_CONFIG_FILE` names, cannot be read: No such file";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn the_example_of_the_guide_is_right() {
    let guide = include_str!("../../../../../docs/configuration.md");
    let (_, rest) = guide.split_once("```yaml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let found = settings(example, &[("COLLECTOR_TOKEN", "hunter2")]);
    assert_eq!(found.warnings, [""; 0]);
    assert_eq!(found.pipeline.resource.service_name(), "shop");
    let traces = found.routes.unwrap().traces.unwrap();
    assert_eq!(
        traces.headers,
        [("authorization".to_owned(), "Bearer hunter2".to_owned())]
    );
}
