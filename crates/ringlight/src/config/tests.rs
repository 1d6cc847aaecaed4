#[cfg(feature = "otel")]
mod endpoints;

use std::path::PathBuf;
use std::time::Duration;

use ringlight_collector::CollectorConfig;

use super::*;
use crate::budget::OverheadBudget;
use crate::filter::Output;
use crate::propagation::Format;
use crate::sampling::Sampler;

fn settings(variables: &[(&str, &str)], change: impl FnOnce(&mut Inputs)) -> Settings {
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let mut inputs = Inputs {
        environment: Environment::Fixed(variables),
        ..Inputs::default()
    };
    change(&mut inputs);
    Settings::resolve(inputs).unwrap()
}

fn target(route: Option<&Route>) -> Option<(&str, Protocol)> {
    route.map(|route| (route.endpoint.as_str(), route.protocol))
}

#[test]
fn without_an_endpoint_nothing_is_exported() {
    let settings = settings(&[], |_| {});
    assert_eq!(settings.routes, None);
    assert_eq!(settings.lines.format, LogFormat::Text);
    assert_eq!(settings.warnings, Vec::<String>::new());
}

#[test]
fn sources_of_the_endpoint_in_their_order() {
    let all = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://generic:1"),
        ("OTLP_ENDPOINT", "http://own:2"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:3/x"),
    ];
    let check =
        |variables: &[(&str, &str)], code: Option<&str>, argument: Option<&str>, traces, logs| {
            let settings = settings(variables, |inputs| {
                inputs.endpoint = code.map(str::to_owned);
                inputs.argument_endpoint = argument.map(str::to_owned);
            });
            let routes = settings.routes.unwrap();
            assert_eq!(routes.traces.as_ref().map(|r| r.endpoint.as_str()), traces);
            assert_eq!(routes.logs.as_ref().map(|r| r.endpoint.as_str()), logs);
        };
    let (generic, own) = (Some("http://generic:1"), Some("http://own:2"));
    let traces = Some("http://traces:3/x");
    let (code, argument) = (Some("http://code:4"), Some("http://argument:5"));
    check(&all[..1], None, None, generic, generic);
    check(&all[..2], None, None, own, own);
    check(&all, None, None, traces, own);
    check(&all[2..], None, None, traces, None);
    check(&all, code, None, code, code);
    check(&all, code, argument, argument, argument);
}

#[test]
fn the_protocol_follows_the_variable_the_port_and_the_kind_of_endpoint() {
    use Protocol::{Grpc, HttpJson, HttpProtobuf};
    let check = |variables: &[(&str, &str)], expected| {
        let routes = settings(variables, |_| {}).routes.unwrap();
        assert_eq!(routes.traces.unwrap().protocol, expected, "{variables:?}");
    };
    check(&[("OTLP_ENDPOINT", "http://h:4317")], Grpc);
    check(&[("OTLP_ENDPOINT", "http://h:9999")], Grpc);
    check(&[("OTLP_ENDPOINT", "http://h")], Grpc);
    check(&[("OTLP_ENDPOINT", "http://h:4318")], HttpProtobuf);
    check(&[("OTLP_ENDPOINT", "http://[::1]:4318/x")], HttpProtobuf);
    let http = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    check(&[("OTLP_ENDPOINT", "http://h:9999"), http], HttpProtobuf);
    check(
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h:9999")],
        HttpProtobuf,
    );
    check(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h:4317")], Grpc);
    let json = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json");
    check(&[("OTLP_ENDPOINT", "http://h:4317"), json], HttpJson);
    let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    check(
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h:9999"), grpc],
        Grpc,
    );
    let traces_http = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf");
    check(
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h:1"),
            grpc,
            traces_http,
        ],
        HttpProtobuf,
    );
    // What `ringlight up` sets for its program.
    check(
        &[
            ("OTLP_ENDPOINT", "http://127.0.0.1:4317"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"),
            http,
        ],
        Grpc,
    );
}

#[test]
fn a_relay_has_one_endpoint_and_the_variables_of_every_signal() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://generic:1"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "for=all"),
        ("OTEL_EXPORTER_OTLP_PROFILES_HEADERS", "for=profiles"),
        ("OTEL_EXPORTER_OTLP_PROFILES_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc"),
    ];
    let of = |is_relay| {
        let settings = settings(&variables, |inputs| {
            inputs.endpoint = Some("http://code:9999".to_owned());
            inputs.is_relay = is_relay;
        });
        settings.routes.unwrap()
    };
    let relay = of(true);
    for (route, protocol, sender) in [
        (&relay.traces, Protocol::HttpProtobuf, "all"),
        (&relay.logs, Protocol::HttpProtobuf, "all"),
        (&relay.metrics, Protocol::Grpc, "all"),
        (&relay.profiles, Protocol::HttpProtobuf, "profiles"),
    ] {
        assert_eq!(target(route.as_ref()), Some(("http://code:9999", protocol)));
        let header = ("for".to_owned(), sender.to_owned());
        assert_eq!(route.as_ref().unwrap().headers, [header]);
    }
    let compression = |route: &Option<Route>| route.as_ref().unwrap().compression;
    assert_eq!(compression(&relay.profiles), Compression::Gzip);
    assert_eq!(compression(&relay.traces), Compression::None);

    // A service may be a program of `ringlight up`, and makes no profiles.
    let service = of(false);
    assert_eq!(service.profiles, None);
    assert_eq!(service.traces.unwrap().protocol, Protocol::Grpc);
}

#[test]
fn exporters_can_be_turned_off_and_asked_for() {
    let off = settings(
        &[
            ("OTLP_ENDPOINT", "http://h:4317"),
            ("OTEL_TRACES_EXPORTER", "none"),
        ],
        |_| {},
    );
    let routes = off.routes.unwrap();
    assert_eq!(routes.traces, None);
    assert!(routes.logs.is_some());

    let none = ["TRACES", "LOGS", "METRICS"].map(|signal| format!("OTEL_{signal}_EXPORTER"));
    let all_but = |count| {
        let mut variables = vec![("OTLP_ENDPOINT", "http://h:4317")];
        variables.extend(none[..count].iter().map(|name| (name.as_str(), "none")));
        settings(&variables, |_| {}).routes
    };
    let metrics = all_but(2).unwrap();
    assert_eq!((metrics.traces, metrics.logs), (None, None));
    assert!(metrics.metrics.is_some());
    assert_eq!(all_but(3), None);

    let asked = settings(&[("OTEL_TRACES_EXPORTER", "otlp")], |_| {});
    let routes = asked.routes.unwrap();
    assert_eq!(
        target(routes.traces.as_ref()),
        Some(("http://localhost:4318", Protocol::HttpProtobuf))
    );
    assert_eq!((routes.logs, routes.metrics), (None, None));

    let disabled = settings(
        &[
            ("OTLP_ENDPOINT", "http://h:4317"),
            ("OTEL_SDK_DISABLED", "true"),
        ],
        |_| {},
    );
    assert_eq!(disabled.routes, None);
}

#[test]
fn bad_variables_are_warned_about_and_ignored() {
    let settings = settings(
        &[
            ("OTLP_ENDPOINT", "http://h:4317"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/xml"),
            ("OTEL_BSP_SCHEDULE_DELAY", "-5"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
            ("RUST_LOG", "info,x=loud"),
        ],
        |_| {},
    );
    let routes = settings.routes.unwrap();
    assert_eq!(
        target(routes.traces.as_ref()),
        Some(("http://h:4317", Protocol::Grpc))
    );
    let default = CollectorConfig::default();
    assert_eq!(settings.pipeline.batch_delay, default.batch_delay);
    assert_eq!(settings.pipeline.export_timeout, default.export_timeout);
    for (named, value) in [
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/xml"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-5"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("log directive", "x=loud"),
    ] {
        let said = |w: &String| w.contains(named) && w.contains(value);
        assert!(
            settings.warnings.iter().any(said),
            "{named} in {:?}",
            settings.warnings
        );
    }
}

#[test]
fn batching_takes_the_shorter_of_both_processors() {
    let millis = Duration::from_millis;
    let both = [
        ("OTEL_BSP_SCHEDULE_DELAY", "5000"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "1000"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "512"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "3000"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "7"),
    ];
    let found = settings(&both, |_| {});
    assert_eq!(found.pipeline.batch_delay, millis(1000));
    assert_eq!(found.pipeline.batch_records_max, 512);
    assert_eq!(found.pipeline.export_timeout, millis(3000));
    assert_eq!(found.pipeline.limits.attributes_max, 7);
}

#[test]
fn what_the_code_sets_about_the_pipeline_holds_over_variables() {
    let millis = Duration::from_millis;
    let variables = [
        ("OTEL_BSP_SCHEDULE_DELAY", "5000"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "512"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "3000"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "7"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "100"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "9"),
    ];
    let found = settings(&variables, |inputs| {
        inputs.changes.add(move |config| {
            // What the variables say is there to be looked at.
            assert_eq!(config.batch_delay, millis(5000));
            config.batch_delay = millis(50);
            config.batch_records_max = CollectorConfig::default().batch_records_max;
            config.export_timeout = millis(70);
            config.limits.attributes_max = 3;
            config.limits.text_bytes_max = 10;
        });
        inputs.changes.add(move |config| config.batch_delay *= 2);
    });
    let config = found.pipeline;
    assert_eq!(config.batch_delay, millis(100));
    assert_eq!(config.batch_records_max, 10_000);
    assert_eq!(config.export_timeout, millis(70));
    let limits = config.limits;
    assert_eq!((limits.attributes_max, limits.text_bytes_max), (3, 10));
    // What the code does not touch is as the variables say.
    assert_eq!(limits.events_max, 9);
}

#[test]
fn the_resource_names_the_service_from_the_first_source_that_does() {
    let check = |variables: &[(&str, &str)], code: Option<&str>, expected: &str| {
        let settings = settings(variables, |inputs| {
            inputs.resource.service_name = code.map(str::to_owned);
        });
        let resource = settings.pipeline.resource;
        assert_eq!(resource.service_name(), expected);
        for key in ["service.name", "service.instance.id", "telemetry.sdk.name"] {
            let count = resource
                .attributes
                .iter()
                .filter(|kv| kv.key == key)
                .count();
            assert_eq!(count, 1, "{key}");
        }
    };
    let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=listed,team=a%20b");
    check(&[attributes], None, "listed");
    check(&[attributes, ("OTEL_SERVICE_NAME", "named")], None, "named");
    check(&[("OTEL_SERVICE_NAME", "named")], Some("code"), "code");
    let found = settings(&[attributes], |_| {}).pipeline.resource;
    assert_eq!(found.text("team"), Some("a b"));
    let unnamed = settings(&[], |_| {}).pipeline.resource;
    assert!(unnamed.service_name().starts_with("unknown_service:"));
}

#[test]
fn headers_come_from_code_or_the_variables_of_the_signal() {
    let variables = [
        ("OTLP_ENDPOINT", "http://h:4317"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=1"),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "b=2"),
    ];
    let headers = |route: Option<Route>| route.unwrap().headers;
    let pair = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
    let routes = settings(&variables, |_| {}).routes.unwrap();
    assert_eq!(headers(routes.traces), pair("a", "1"));
    assert_eq!(headers(routes.logs), pair("b", "2"));
    let routes = settings(&variables, |inputs| inputs.headers = pair("c", "3"))
        .routes
        .unwrap();
    assert_eq!(headers(routes.traces), pair("c", "3"));
}

#[test]
fn compression_and_files_come_from_code_or_the_variables_of_the_signal() {
    let variables = [
        ("OTLP_ENDPOINT", "https://h:4317"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "lz4"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca"),
        ("OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", "/ca-logs"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/client"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/key"),
        ("OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY", "/key-metrics"),
    ];
    let certificate = |route: &Route| {
        let (path, _) = route.tls_files.certificate.clone().unwrap();
        path.display().to_string()
    };
    let key = |route: &Route| route.tls_files.client.clone().unwrap().1;

    let from_variables = settings(&variables, |_| {});
    let [warning] = &from_variables.warnings[..] else {
        panic!("{:?}", from_variables.warnings);
    };
    assert!(warning.contains("`lz4`"), "{warning}");
    let routes = from_variables.routes.unwrap();
    let all = [routes.traces, routes.logs, routes.metrics].map(Option::unwrap);
    let compressions = all.each_ref().map(|route| route.compression);
    let [none, gzip] = [Compression::None, Compression::Gzip];
    assert_eq!(compressions, [none, gzip, gzip]);
    assert_eq!(all.each_ref().map(certificate), ["/ca", "/ca-logs", "/ca"]);
    let keys = all.each_ref().map(key);
    assert_eq!(keys, ["/key", "/key", "/key-metrics"].map(PathBuf::from));

    let from_code = settings(&variables, |inputs| {
        inputs.compression = Some(Compression::None);
        inputs.tls_files.certificate = Some(("/mine".into(), CERTIFICATE_CODE));
    });
    let logs = from_code.routes.unwrap().logs.unwrap();
    assert_eq!(logs.compression, Compression::None);
    assert_eq!(certificate(&logs), "/mine");
    assert_eq!(key(&logs), PathBuf::from("/key"));
}

#[test]
fn half_an_identity_is_said_and_ignored() {
    for (name, hint) in [
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "CLIENT_KEY`"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "CLIENT_CERTIFICATE`"),
    ] {
        let half = settings(&[("OTLP_ENDPOINT", "https://h"), (name, "/x")], |_| {});
        let [warning] = &half.warnings[..] else {
            panic!("{:?}", half.warnings);
        };
        assert!(
            warning.contains(name) && warning.ends_with(hint),
            "{warning}"
        );
        let traces = half.routes.unwrap().traces.unwrap();
        assert_eq!(traces.tls_files, TlsFiles::default());
    }
}

#[test]
fn an_endpoint_for_grpc_without_a_scheme_is_secure_unless_told_otherwise() {
    const GENERIC: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let check = |variables: &[(&str, &str)], traces: &str, logs: Option<&str>| {
        let routes = settings(variables, |_| {}).routes.unwrap();
        let endpoint = |route: Option<&Route>| route.map(|route| route.endpoint.clone());
        assert_eq!(endpoint(routes.traces.as_ref()).as_deref(), Some(traces));
        assert_eq!(endpoint(routes.logs.as_ref()).as_deref(), logs);
    };
    let endpoint = (GENERIC, "h:4317");
    let both = |all| (all, Some(all));
    let (traces, logs) = both("https://h:4317");
    check(&[endpoint], traces, logs);
    check(
        &[endpoint, ("OTEL_EXPORTER_OTLP_INSECURE", "1")],
        traces,
        logs,
    );
    let insecure = ("OTEL_EXPORTER_OTLP_INSECURE", "true");
    let (traces, logs) = both("http://h:4317");
    check(&[endpoint, insecure], traces, logs);
    let secure = ("OTEL_EXPORTER_OTLP_LOGS_INSECURE", "false");
    check(
        &[endpoint, insecure, secure],
        traces,
        Some("https://h:4317"),
    );
    let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "h:4317");
    check(&[own, insecure], "http://h:4317", None);
    // A scheme says it already.
    check(
        &[(GENERIC, "https://h:4317"), insecure],
        "https://h:4317",
        Some("https://h:4317"),
    );
    // HTTP and our own variable have none without.
    #[cfg(feature = "otel")]
    for (name, endpoint) in [(GENERIC, "h:4318"), ("OTLP_ENDPOINT", "h:4317")] {
        let found = settings(&[(name, endpoint), insecure], |_| {});
        assert_eq!(found.routes, None);
        let [warning] = &found.warnings[..] else {
            panic!("{:?}", found.warnings);
        };
        assert!(
            warning.starts_with(&format!("`{name}` is ignored: endpoint `{endpoint}` "))
                && warning.ends_with("; nothing is sent there"),
            "{warning}"
        );
    }
}

#[test]
fn a_panic_has_a_backtrace_unless_somebody_wants_none() {
    const OWN: &str = "RINGLIGHT_PANIC_BACKTRACE";
    let check = |variables: &[(&str, &str)], expected: bool| {
        let found = settings(variables, |_| {}).panic_backtrace;
        assert_eq!(found, expected, "{variables:?}");
    };
    let (all, lib) = ("RUST_BACKTRACE", "RUST_LIB_BACKTRACE");
    check(&[], true);
    check(&[(all, "0")], false);
    check(&[(lib, "0")], false);
    check(&[(all, "1"), (lib, "0")], false);
    check(&[(all, "0"), (lib, "1")], true);
    check(&[(all, "0"), (OWN, "true")], true);
    check(&[(all, "full"), (OWN, "false")], false);
}

#[test]
fn rust_log_beats_the_default_of_the_code() {
    let level = |variables: &[(&str, &str)]| {
        settings(variables, |inputs| {
            inputs.default_directives = Some("debug".to_owned());
        })
        .filters
        .of(Output::Lines)
        .max_level()
    };
    use tracing_core::LevelFilter;
    assert_eq!(level(&[]), LevelFilter::DEBUG);
    assert_eq!(level(&[("RUST_LOG", "warn")]), LevelFilter::WARN);
}

#[test]
fn an_output_goes_by_the_nearest_directives_there_are() {
    use tracing_core::LevelFilter as L;
    let check = |variables: &[(&str, &str)], in_code: &[(Output, &str)], expected: [L; 3]| {
        let settings = settings(variables, |inputs| {
            inputs.default_directives = Some("error".to_owned());
            let in_code = in_code.iter();
            inputs.output_directives = in_code.map(|(o, text)| (*o, (*text).to_owned())).collect();
        });
        let level = |output| settings.filters.of(output).max_level();
        assert_eq!(
            Output::ALL.map(level),
            expected,
            "{variables:?} {in_code:?}"
        );
        let is_split = settings.filters.are_split();
        assert_eq!(is_split, expected != [expected[0]; 3]);
    };
    let general = ("RUST_LOG", "warn");
    let lines = ("RUST_LOG_LINES", "trace");
    let (logs, traces) = (("RUST_LOG_LOGS", "debug"), ("RUST_LOG_TRACES", "off"));
    check(&[], &[], [L::ERROR; 3]);
    check(&[general], &[], [L::WARN; 3]);
    check(&[general, lines], &[], [L::TRACE, L::WARN, L::WARN]);
    check(&[general, logs, traces], &[], [L::WARN, L::DEBUG, L::OFF]);
    let code = [(Output::Lines, "info"), (Output::Traces, "debug")];
    check(&[general], &code, [L::INFO, L::WARN, L::DEBUG]);
    check(&[lines, traces], &code, [L::TRACE, L::ERROR, L::OFF]);
    let taken_back = [(Output::Lines, "info"), (Output::Lines, "")];
    check(&[general], &taken_back, [L::WARN; 3]);
    // A variable without anything that is understood says nothing.
    check(&[general, ("RUST_LOG_LINES", "x=loud")], &[], [L::WARN; 3]);
}

#[test]
fn a_bad_directive_is_told_with_where_it_is_and_what_is_allowed() {
    let found = settings(&[("RUST_LOG_LOGS", "info,x=loud")], |_| {});
    let [warning] = found.warnings.as_slice() else {
        panic!("{:?}", found.warnings);
    };
    let start = "log directive `x=loud` of `RUST_LOG_LOGS` is ignored: ";
    assert!(warning.starts_with(start), "{warning}");
    assert!(warning.contains("hint: write `level`, `target` or `target=level`"));

    let refused = |change: fn(&mut Inputs)| {
        let mut inputs = Inputs {
            environment: Environment::Fixed([("RUST_LOG".to_owned(), "off".to_owned())].into()),
            ..Inputs::default()
        };
        change(&mut inputs);
        Settings::resolve(inputs).unwrap_err().to_string()
    };
    let error = refused(|inputs| {
        let directives = "info,x=loud".to_owned();
        inputs.output_directives = vec![(Output::Traces, directives)];
    });
    let start =
        "`default_filter_for(Traces, ..)` in code: log directive `x=loud` is not understood: ";
    assert!(error.starts_with(start), "{error}");
    let error = refused(|inputs| inputs.default_directives = Some("a[b]".to_owned()));
    let start = "`default_filter` in code: log directive `a[b]` is not understood: ";
    assert!(error.starts_with(start), "{error}");
}

#[test]
fn zstd_takes_its_feature() {
    let variables = [
        ("OTLP_ENDPOINT", "http://h:4317"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
    ];
    let settings = settings(&variables, |_| {});
    let routes = settings.routes.unwrap();
    let all = [routes.traces, routes.logs, routes.metrics].map(|route| route.unwrap().compression);
    #[cfg(feature = "zstd")]
    {
        assert_eq!(settings.warnings, [""; 0]);
        assert_eq!(all, [Compression::Zstd; 3]);
    }
    #[cfg(not(feature = "zstd"))]
    {
        let [warning] = &settings.warnings[..] else {
            panic!("{:?}", settings.warnings);
        };
        assert!(warning.ends_with("enable the feature `zstd`"), "{warning}");
        assert_eq!(all, [Compression::None; 3]);
    }
}

#[test]
fn of_compressions_those_are_named_that_the_build_has() {
    let variables = [
        ("OTLP_ENDPOINT", "http://h:4317"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "brotli"),
    ];
    let warnings = settings(&variables, |_| {}).warnings;
    let expected = if cfg!(feature = "zstd") {
        "; allowed is `gzip`, `zstd` or `none`"
    } else {
        "; allowed is `gzip` or `none`, and with the feature `zstd`, which this build does not have, `zstd`"
    };
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].ends_with(expected), "{warnings:?}");
}

#[test]
fn headers_know_their_variable_and_json_is_told_where_it_belongs() {
    let endpoint = ("OTLP_ENDPOINT", "http://h:4317");
    let found = |variables: &[(&str, &str)]| {
        let settings = settings(variables, |_| {});
        let route = settings.routes.unwrap().traces.unwrap();
        let named = route.headers_origin.to_string();
        (route.headers.len(), named, settings.warnings)
    };
    let general = "OTEL_EXPORTER_OTLP_HEADERS";
    let own = "OTEL_EXPORTER_OTLP_TRACES_HEADERS";
    let (headers, named, _) = found(&[endpoint, (general, "a=b")]);
    assert_eq!((headers, named), (1, format!("`{general}`")));
    let (headers, named, _) = found(&[endpoint, (general, "a=b"), (own, "c=d,e=f")]);
    assert_eq!((headers, named), (2, format!("`{own}`")));

    let json = r#"{"authorization": "Bearer hunter=2", "a": "b"}"#;
    let (headers, _, warnings) = found(&[endpoint, (general, json)]);
    assert_eq!((headers, warnings.len()), (0, 1), "{warnings:?}");
    let start = "`OTEL_EXPORTER_OTLP_HEADERS` is ignored: it is JSON";
    assert!(warnings[0].starts_with(start), "{warnings:?}");
    assert!(warnings[0].contains("RINGLIGHT_OTLP_HEADERS_FILE"));
    assert!(!warnings[0].contains("hunter"), "{warnings:?}");
}

#[test]
fn reports_have_the_time_of_metrics() {
    let check = |variables: &[(&str, &str)], report: Option<u64>, export: u64| {
        let settings = settings(variables, |_| {});
        assert_eq!(settings.warnings, [""; 0], "{variables:?}");
        let pipeline = settings.pipeline;
        let expected = (report.map(Duration::from_secs), Duration::from_secs(export));
        let found = (pipeline.metrics_timeout, pipeline.export_timeout);
        assert_eq!(found, expected, "{variables:?}");
    };
    let metrics = ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "3000");
    let all = ("OTEL_EXPORTER_OTLP_TIMEOUT", "5000");
    let traces = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "4000");
    let spans = ("OTEL_BSP_EXPORT_TIMEOUT", "2000");
    check(&[], None, 10);
    check(&[metrics], Some(3), 10);
    check(&[all], Some(5), 5);
    check(&[metrics, all, traces], Some(3), 4);
    check(&[all, traces], Some(5), 4);
    check(&[traces], None, 4);
    check(&[spans], None, 2);
}

#[test]
fn what_this_version_does_not_support_is_said() {
    let warnings = |variables: &[(&str, &str)]| settings(variables, |_| {}).warnings.len();
    assert_eq!(warnings(&[("OTEL_TRACES_SAMPLER", "always_on")]), 0);
    assert_eq!(warnings(&[("OTEL_TRACES_SAMPLER", "jaeger_remote")]), 1);
}

#[test]
fn samplers_are_those_of_the_specification() {
    let check = |name: &str, argument: &str, expected: Sampler, warnings: usize| {
        let variables = [
            ("OTEL_TRACES_SAMPLER", name),
            ("OTEL_TRACES_SAMPLER_ARG", argument),
        ];
        let settings = settings(&variables, |_| {});
        assert_eq!(settings.sampler, expected, "{name} {argument}");
        assert_eq!(settings.warnings.len(), warnings, "{:?}", settings.warnings);
    };
    let half = Sampler::trace_id_ratio(0.5);
    check("", "", Sampler::always_on().parent_based(), 0);
    check("always_on", "", Sampler::always_on(), 0);
    check("always_off", "0.5", Sampler::always_off(), 0);
    check("traceidratio", "0.5", half, 0);
    check("traceidratio", "", Sampler::always_on(), 0);
    check("traceidratio", "half", Sampler::always_on(), 1);
    check("traceidratio", "1.5", Sampler::always_on(), 1);
    check(
        "parentbased_always_on",
        "",
        Sampler::always_on().parent_based(),
        0,
    );
    check(
        "parentbased_always_off",
        "",
        Sampler::always_off().parent_based(),
        0,
    );
    check("parentbased_traceidratio", "0.5", half.parent_based(), 0);
    check("xray", "", Sampler::default(), 1);
    let in_code = settings(&[("OTEL_TRACES_SAMPLER", "always_off")], |inputs| {
        inputs.sampler = Some(half);
    });
    assert_eq!(in_code.sampler, half);
}

#[test]
fn a_budget_is_that_of_the_code_or_of_the_variable() {
    let check = |text: &str, code: Option<f64>, expected: Option<f64>, warnings: usize| {
        let settings = settings(&[("RINGLIGHT_OVERHEAD_BUDGET", text)], |inputs| {
            inputs.overhead_budget = code.map(OverheadBudget::percent);
        });
        let expected = expected.map(OverheadBudget::percent);
        assert_eq!(settings.overhead_budget, expected, "{text}");
        assert_eq!(settings.warnings.len(), warnings, "{:?}", settings.warnings);
    };
    check("", None, None, 0);
    check("2%", None, Some(2.0), 0);
    check("2%", Some(5.0), Some(5.0), 0);
    check("2", None, None, 1);
    check("0%", None, None, 1);
    let found = settings(&[("RINGLIGHT_OVERHEAD_BUDGET", "2%")], |inputs| {
        let governor = ringlight_collector::Governor::new(0.5, |_| 1.0);
        inputs.changes.add(|config| config.governor = governor);
    });
    assert_eq!(found.overhead_budget, None);
}

#[test]
fn propagators_are_those_that_are_named_and_there() {
    let check = |names: &str, expected: &[Format], warning: Option<&[&str]>| {
        let found = settings(&[("OTEL_PROPAGATORS", names)], |_| {});
        assert_eq!(found.formats, expected, "{names}");
        assert_eq!(found.warnings.len(), usize::from(warning.is_some()));
        for part in warning.unwrap_or_default() {
            assert!(found.warnings[0].contains(part), "{:?}", found.warnings);
        }
    };
    let (context, baggage) = (Format::TraceContext, Format::Baggage);
    check("", &[context, baggage], None);
    check("baggage, tracecontext,baggage", &[baggage, context], None);
    check("none", &[], None);
    let unknown: &[&str] = &["`OTEL_PROPAGATORS` is `xray`", "`tracecontext`"];
    check("xray,tracecontext", &[context], Some(unknown));
    #[cfg(feature = "b3")]
    check("b3,b3multi", &[Format::B3, Format::B3Multi], None);
    #[cfg(not(feature = "b3"))]
    check(
        "b3",
        &[],
        Some(&["`b3` of `OTEL_PROPAGATORS`", "feature `b3`"]),
    );
    #[cfg(feature = "jaeger")]
    check("jaeger", &[Format::Jaeger], None);
    #[cfg(not(feature = "jaeger"))]
    check("jaeger", &[], Some(&["feature `jaeger`"]));
}

/// To go on without it would be to send somewhere else.
#[cfg(not(feature = "otel-config"))]
#[test]
fn the_specifications_file_is_an_error_where_it_is_not_read() {
    let builder = crate::builder().environment([("OTEL_CONFIG_FILE", "otel.yaml")]);
    let error = builder.build().map(|_| ()).unwrap_err();
    assert_eq!(
        format!("{error:?}"),
        "otel.yaml: `OTEL_CONFIG_FILE` names it, and this build does not read such files\n\
         hint: enable the feature `otel-config` of the crate `ringlight`, or unset the variable"
    );
}

#[cfg(feature = "prometheus")]
#[test]
fn prometheus_is_served_where_code_variables_or_the_file_say() {
    use crate::metrics::Scraped;

    let at = |address: &str, setting: &str| Scraped::At {
        address: address.to_owned(),
        setting: setting.to_owned(),
    };
    const CODE: &str = "`Builder::prometheus`";
    let found = |variables: &[(&str, &str)], in_code: Option<&str>| {
        settings(variables, |inputs| {
            inputs.metrics.prometheus = in_code.map(|address| at(address, CODE));
        })
    };
    let check = |variables: &[(&str, &str)], in_code: Option<&str>, expected: Option<&str>| {
        let settings = found(variables, in_code);
        let by = in_code.map_or("`OTEL_EXPORTER_PROMETHEUS_HOST` and `_PORT`", |_| CODE);
        let expected = expected.map(|address| at(address, by));
        assert_eq!(settings.metrics.prometheus, expected, "{variables:?}");
        settings
    };
    let on = ("OTEL_METRICS_EXPORTER", "otlp, prometheus");
    let host = |host| ("OTEL_EXPORTER_PROMETHEUS_HOST", host);
    let port = |port| ("OTEL_EXPORTER_PROMETHEUS_PORT", port);
    check(&[host("h"), port("1")], None, None);
    check(&[on], None, Some("localhost:9464"));
    check(&[on, host("::1"), port("99")], None, Some("[::1]:99"));
    check(&[on], Some("0.0.0.0:80"), Some("0.0.0.0:80"));
    check(
        &[on, ("OTEL_SDK_DISABLED", "true")],
        Some("0.0.0.0:80"),
        None,
    );
    let wrong = check(&[on, port("99999")], None, Some("localhost:9464"));
    assert!(
        wrong.warnings[0].contains("PROMETHEUS_PORT"),
        "{:?}",
        wrong.warnings
    );
    for address in ["9464", "localhost", ":1", "a:b"] {
        let wrong = check(&[], Some(address), None);
        assert!(
            wrong.warnings[0].contains("hint: an address is"),
            "{:?}",
            wrong.warnings
        );
    }
    let by_argument = settings(&[on], |inputs| {
        inputs.metrics.prometheus = Some(Scraped::ByApplication);
        inputs.metrics.argument_prometheus = Some("localhost:81".to_owned());
    });
    let served = by_argument.metrics.prometheus;
    assert_eq!(served, Some(at("localhost:81", "`--prometheus`")));
    // Named alone, nothing is sent.
    let endpoint = ("OTLP_ENDPOINT", "http://localhost:4317");
    let sent = |exporter: &str| {
        let settings = found(&[("OTEL_METRICS_EXPORTER", exporter), endpoint], None);
        settings.routes.unwrap().metrics.is_some()
    };
    assert_eq!(
        ["prometheus", "otlp,prometheus", "otlp", "none"].map(sent),
        [false, true, true, false]
    );
}
