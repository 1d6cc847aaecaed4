#[cfg(feature = "otel")]
mod endpoints;
mod old;
mod traces;

use std::time::Duration;

use super::*;
use crate::config::{
    Compression, Inputs, LogFormat, LogRotation, Protocol, SettingOrigin, Settings, effective,
};
use crate::filter::Output;
use crate::sampling::Sampler;

/// A file with this text, called `name`.
fn written(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

fn inputs(path: &Path, variables: &[(&str, &str)]) -> Inputs {
    let variables = variables.iter();
    let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Inputs {
        environment: Environment::Fixed(variables.collect()),
        config_file: Some(path.to_owned()),
        ..Inputs::default()
    }
}

fn settings(text: &str, variables: &[(&str, &str)]) -> Settings {
    let (_dir, path) = written("ringlight.toml", text);
    Settings::resolve(inputs(&path, variables)).unwrap()
}

/// The problems of a file, each as `line: message; hint: hint`.
fn problems(name: &str, text: &str) -> Vec<String> {
    let (_dir, path) = written(name, text);
    let problems = match ConfigFile::read(&path) {
        Ok(_) => Vec::new(),
        Err(error) => error.problems,
    };
    let shown = |problem: ConfigProblem| {
        let line = problem
            .line
            .map_or_else(|| "-".to_owned(), |line| line.to_string());
        format!("{line}: {}; hint: {}", problem.message, problem.hint)
    };
    problems.into_iter().map(shown).collect()
}

/// Every setting there is.
const EVERYTHING: &str = include_str!("tests/everything.toml");

#[test]
fn everything_a_file_may_say_is_done() {
    // Every setting is in the file, but for the other sources of the one secret.
    let keys = super::super::SETTINGS.iter().map(|setting| setting.key);
    let not_there: Vec<_> = keys
        .filter(|key| !EVERYTHING.contains(&format!("\n{key} = ")))
        .collect();
    let others = [
        "otlp_headers_age_file",
        "otlp_headers_age_identity_file",
        "otlp_headers_vault_key",
    ];
    assert_eq!(not_there, others);

    let found = settings(EVERYTHING, &[]);
    let resource = &found.pipeline.resource;
    assert_eq!(resource.service_name(), "shop");
    #[cfg(feature = "prometheus")]
    {
        let Some(crate::metrics::Scraped::At { address, setting }) = &found.metrics.prometheus
        else {
            panic!("{:?}", found.metrics.prometheus);
        };
        assert_eq!(address, "localhost:9000");
        assert!(setting.starts_with("`prometheus_address` in "), "{setting}");
    }
    for (key, value) in [
        ("team", Value::from("b")),
        ("deployment.environment.name", Value::from("production")),
        ("weight", Value::from(3_i64)),
        ("is_old", Value::from(false)),
        ("part", Value::from(0.5)),
    ] {
        let mut held = resource.attributes.iter();
        let held = held.find(|attribute| attribute.key == key).unwrap();
        assert_eq!(held.value, value, "{key}");
    }
    assert_eq!(resource.text("process.command"), None);
    use tracing_core::LevelFilter as L;
    let levels = Output::ALL.map(|output| found.filters.of(output).max_level());
    assert_eq!(levels, [L::WARN, L::ERROR, L::DEBUG]);
    let (lines, file) = (&found.lines, found.lines.file.as_ref().unwrap());
    let of_lines = (lines.format, lines.color, lines.spans);
    assert_eq!(of_lines, (LogFormat::Json, Some(true), false));
    let of_file = (file.format, file.rotation, file.bytes_max, file.files_kept);
    let expected = (LogFormat::Pretty, LogRotation::Hourly, 1 << 20, 2);
    assert_eq!(of_file, expected);
    let others = (found.panic_backtrace, found.filters.audit());
    assert_eq!(others, (false, Some("trail".into())));
    assert!(found.reloads_on_hangup);
    assert_eq!(found.sampler, Sampler::trace_id_ratio(0.25).parent_based());
    assert_eq!(found.overhead_budget.unwrap().to_string(), "2%");
    assert_eq!(format!("{:?}", found.formats), "[Baggage, TraceContext]");
    let processing = format!("{:?}", found.pipeline.processing);
    assert!(
        processing.contains("card") && processing.contains("*.token"),
        "{processing}"
    );
    #[cfg(feature = "profiling")]
    {
        let (file, _) = found.traces.file.unwrap();
        assert_eq!(file.directory, PathBuf::from("/var/traces"));
        assert_eq!(file.format, ringlight_tracefile::TraceFileFormat::Perfetto);
        assert_eq!(
            (file.file_bytes_max, file.directory_bytes_max),
            (1 << 20, 5 << 20)
        );
        assert!(!file.include_args && found.traces.busy_times);
        let runtime = found.runtime;
        let watched = (runtime.watches_current, runtime.blocked_after);
        assert_eq!(watched, (false, Duration::from_secs(2)));
    }
    let traces = found.routes.unwrap().traces.unwrap();
    assert_eq!(traces.endpoint, "https://collector:4317");
    assert_eq!(traces.protocol, Protocol::HttpJson);
    assert_eq!(traces.compression, Compression::Gzip);
    let (certificate, _) = traces.tls_files.certificate.unwrap();
    assert_eq!(certificate, PathBuf::from("ca.pem"));
    let (certificate, key, _) = traces.tls_files.client.unwrap();
    assert_eq!(
        (certificate, key),
        ("client.pem".into(), "client.key".into())
    );
    #[cfg(feature = "otel")]
    {
        let secret = format!("{:?}", found.secret_headers);
        assert!(
            secret.contains("/run/secrets/otlp") && secret.contains("is_optional: true"),
            "{secret}"
        );
    }
    #[cfg(feature = "otel")]
    {
        use crate::metrics::ExemplarFilter;
        let metrics = &found.metrics;
        assert_eq!(metrics.interval, Duration::from_secs(2));
        #[cfg(feature = "profiling")]
        assert_eq!(metrics.process_interval, Duration::from_secs(7));
        assert_eq!(
            metrics.temporality,
            opentelemetry_sdk::metrics::Temporality::Delta
        );
        assert!(metrics.exponential_histograms);
        assert_eq!(metrics.exemplars, ExemplarFilter::AlwaysOff);
        assert!(metrics.span_metrics);
    }
    let pipeline = found.pipeline;
    assert_eq!(pipeline.export_timeout, Duration::from_secs(3));
    assert_eq!(pipeline.metrics_timeout, Some(Duration::from_secs(3)));
    assert_eq!(pipeline.batch_delay, Duration::from_millis(50));
    assert_eq!(pipeline.report_interval, Duration::from_secs(30));
    assert_eq!(pipeline.batch_records_max, 100);
    let limits = pipeline.limits;
    assert_eq!((limits.attributes_max, limits.text_bytes_max), (1, 2));
    assert_eq!((limits.events_max, limits.links_max), (3, 4));
    assert_eq!(
        (limits.event_attributes_max, limits.link_attributes_max),
        (5, 6)
    );
    // The directory cannot be made, which is said with the place of the setting.
    assert!(pipeline.spool.is_none());
    // A build without a feature says that, too.
    let mut warnings = found.warnings;
    warnings.retain(|warning| !warning.contains("the feature `"));
    let [profiles, warning] = &warnings[..] else {
        panic!("{warnings:?}");
    };
    assert!(
        profiles.starts_with("`pyroscope_endpoint` in ")
            && profiles.ends_with(" is ignored: this version takes no profiles"),
        "{profiles}"
    );
    let mut lines = EVERYTHING.lines();
    let line = 1 + lines
        .position(|line| line.starts_with("spool_dir"))
        .unwrap();
    let place = format!("ringlight.toml:{line} is ignored");
    assert!(
        warning.starts_with("`spool_dir` in ") && warning.contains(&place),
        "{warning}"
    );
}

#[test]
fn a_spool_is_as_the_file_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "[telemetry]\nspool_dir = {:?}\nspool_mode = \"always\"\nspool_size_limit = \"500MiB\"\nspool_max_age = \"12h\"",
        dir.path().join("spool")
    );
    let spool = settings(&text, &[]).pipeline.spool.unwrap();
    assert_eq!(spool.mode, ringlight_collector::SpoolMode::Always);
    assert_eq!(
        (spool.bytes_max, spool.age_max),
        (500 << 20, Duration::from_secs(12 * 3600))
    );
}

#[test]
fn variables_hold_over_the_file() {
    let found = settings(
        EVERYTHING,
        &[
            ("OTEL_SERVICE_NAME", "named"),
            ("OTEL_RESOURCE_ATTRIBUTES", "team=c"),
            ("RUST_LOG", "trace"),
            ("OTEL_TRACES_SAMPLER", "always_off"),
            ("OTLP_ENDPOINT", "http://local:4317"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
            ("OTEL_BSP_SCHEDULE_DELAY", "70"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "80"),
            ("OTEL_ATTRIBUTE_COUNT_LIMIT", "9"),
            ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "5000"),
            ("RINGLIGHT_REDACT_KEYS", "pin"),
        ],
    );
    let resource = &found.pipeline.resource;
    assert_eq!(resource.service_name(), "named");
    assert_eq!(resource.text("team"), Some("c"));
    assert_eq!(
        resource.text("deployment.environment.name"),
        Some("production")
    );
    assert_eq!(found.sampler, Sampler::always_off());
    let traces = found.routes.unwrap().traces.unwrap();
    // The protocol of the file is that of the file's endpoint.
    assert_eq!(
        (&*traces.endpoint, traces.protocol),
        ("http://local:4317", Protocol::Grpc)
    );
    assert_eq!(traces.compression, Compression::None);
    assert_eq!(found.pipeline.batch_delay, Duration::from_millis(70));
    assert_eq!(found.pipeline.export_timeout, Duration::from_millis(80));
    assert_eq!(found.pipeline.limits.attributes_max, 9);
    assert_eq!(found.pipeline.batch_records_max, 5000);
    let processing = format!("{:?}", found.pipeline.processing);
    assert!(
        processing.contains("pin") && processing.contains("card"),
        "{processing}"
    );

    // One that is not understood leaves it to the file.
    let found = settings(
        EVERYTHING,
        &[
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "lz4"),
            ("RUST_LOG_LINES", "x=loud"),
        ],
    );
    assert_eq!(
        found.routes.unwrap().traces.unwrap().compression,
        Compression::Gzip
    );
    assert_eq!(
        found.filters.of(Output::Lines).max_level(),
        tracing_core::LevelFilter::WARN
    );
}

#[test]
fn a_variable_with_a_secret_replaces_the_source_in_the_file() {
    #[cfg(feature = "otel")]
    {
        let found = settings(EVERYTHING, &[("RINGLIGHT_OTLP_HEADERS_FILE", "/run/other")]);
        let secret = format!("{:?}", found.secret_headers);
        assert!(
            secret.contains("/run/other") && !secret.contains("/run/secrets"),
            "{secret}"
        );
        let text = "[telemetry]\nbackend = \"otlp\"\notlp_headers_file = \"/a\"\notlp_headers_vault_key = \"secret/a\"";
        let (_dir, path) = written("app.toml", text);
        let error = Settings::resolve(inputs(&path, &[]))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`otlp_headers_file` in ") && error.contains("app.toml:4: both are set"),
            "{error}"
        );
    }
}

#[test]
fn what_is_off_in_the_file_can_be_turned_on_by_the_variable() {
    let off = "[telemetry]\nenabled = false\notlp_endpoint = \"http://h:4317\"\n";
    assert_eq!(settings(off, &[]).routes, None);
    assert!(
        settings(off, &[("OTEL_SDK_DISABLED", "false")])
            .routes
            .is_some()
    );
    let named = settings(off, &[("OTLP_ENDPOINT", "http://h:4317")]);
    assert_eq!(named.routes, None);
    let [warning] = &named.warnings[..] else {
        panic!("{:?}", named.warnings);
    };
    let start = "nothing is sent to the endpoint of `OTLP_ENDPOINT`, since `enabled` in ";
    assert!(warning.starts_with(start), "{warning}");
    let on = off.replace("false", "true");
    assert!(settings(&on, &[]).routes.is_some());
    assert_eq!(settings(&on, &[("OTEL_SDK_DISABLED", "true")]).routes, None);
}

#[cfg(all(feature = "otel", feature = "profiling"))]
#[test]
fn the_process_is_read_once_a_second_at_most() {
    let found = settings("[telemetry]\nsystem_metrics_interval_secs = 0", &[]);
    assert_eq!(found.metrics.process_interval, Duration::from_secs(1));
    let [warning] = &found.warnings[..] else {
        panic!("{:?}", found.warnings);
    };
    assert!(
        warning.ends_with("ringlight.toml:2 is `0`, which is taken for 1, the least there is"),
        "{warning}"
    );
}

#[cfg(all(feature = "otel", feature = "profiling"))]
#[test]
fn who_wants_to_know_of_the_process_more_often_than_metrics_are_sent_is_told() {
    let variable = "OTEL_METRIC_EXPORT_INTERVAL";
    let check = |file: &str, variables: &[(&str, &str)], expected: Option<&str>| {
        let endpoint = ("OTLP_ENDPOINT", "http://h:4317");
        let variables = [&[endpoint][..], variables].concat();
        let (dir, path) = written("ringlight.toml", &format!("[telemetry]\n{file}\n"));
        let found = Settings::resolve(inputs(&path, &variables)).unwrap();
        let directory = format!("{}/", dir.path().display());
        let told: Vec<_> = (found.warnings.iter())
            .map(|told| told.replace(&directory, ""))
            .collect();
        match (expected, &told[..]) {
            (None, []) => {}
            (Some(expected), [told]) => {
                let start = told
                    .split_once("ringlight.toml:2 is `")
                    .map(|(_, rest)| rest);
                let start =
                    start.and_then(|rest| rest.split_once("; hint: `metric_export_interval`"));
                let (said, _) = start.unwrap_or_else(|| panic!("{told}"));
                let (seconds, by) = expected.split_once(' ').unwrap();
                let what = "for metrics what the process uses is read when they are sent, every";
                assert_eq!(said, format!("{seconds}`, and {what} {by}"));
            }
            _ => panic!("{file}: {told:?}"),
        }
    };
    check("system_metrics_interval_secs = 5", &[], None);
    check("system_metrics_interval_secs = 9", &[], None);
    check("metric_export_interval = \"60s\"", &[], None);
    check(
        "system_metrics_interval_secs = 2",
        &[],
        Some("2 5s by default"),
    );
    let both = "system_metrics_interval_secs = 5\nmetric_export_interval = \"60s\"";
    check(
        both,
        &[],
        Some("5 1m by `metric_export_interval` in ringlight.toml:3"),
    );
    check(
        both,
        &[(variable, "6000")],
        Some(&format!("5 6s by `{variable}`")),
    );
    // Prometheus asks when it likes.
    let served = format!("{both}\nprometheus_address = \"localhost:9000\"");
    if cfg!(feature = "prometheus") {
        check(&served, &[], None);
    }
}

#[test]
fn headers_and_tokens_are_refused_with_the_reason_and_never_shown() {
    for line in [
        "otlp_headers = { authorization = \"Bearer hunter2\" }",
        "headers = \"authorization=hunter2\"",
        "otlp_header = \"hunter2\"",
        "Authorization = \"hunter2\"",
        "otlp_token = \"hunter2\"",
        "api_key = \"hunter2\"",
        "[telemetry.otlp_headers]\nauthorization = \"hunter2\"",
    ] {
        let found = problems("ringlight.toml", &format!("[telemetry]\n{line}\n"));
        let [problem] = &found[..] else {
            panic!("{line}: {found:?}");
        };
        assert!(problem.starts_with("2: `"), "{problem}");
        assert!(
            problem.contains("is refused: headers and tokens are secrets"),
            "{problem}"
        );
        assert!(
            problem.contains("hint: name where they come from with `otlp_headers_file`"),
            "{problem}"
        );
        assert!(!problem.contains("hunter2"), "{problem}");
    }
    let address = "[telemetry]\notlp_endpoint = \"collector:4317/?token=hunter2\"";
    let found = problems("ringlight.toml", address);
    assert_eq!(
        found,
        [
            "2: `otlp_endpoint` is `\"collector:4317/?…\"`; hint: allowed is an address such as \
             `\"http://localhost:4317\"`, without credentials"
        ]
    );
    let address = "[telemetry]\notlp_endpoint = \"https://ada:hunter2@h:4317\"";
    let found = problems("ringlight.toml", address);
    assert_eq!(
        found,
        [
            "2: `otlp_endpoint` is an address with credentials, which are a secret; hint: allowed is an address such as \
          `\"http://localhost:4317\"`, without credentials"
        ]
    );
}

#[test]
fn what_is_wrong_is_told_with_line_key_value_and_what_is_allowed() {
    let check = |text: &str, expected: &[&str]| {
        assert_eq!(problems("ringlight.toml", text), expected, "{text}");
    };
    let table = "[telemetry]\n";
    let check_line = |line: &str, expected: &str| check(&format!("{table}{line}"), &[expected]);
    check_line(
        "sample_rate = 1.5",
        "2: `sample_rate` is `1.5`; hint: allowed is a number from 0 to 1",
    );
    check_line(
        "sample_rate = -1",
        "2: `sample_rate` is `-1`; hint: allowed is a number from 0 to 1",
    );
    check_line(
        "sample_rate = \"all\"",
        "2: `sample_rate` is `\"all\"`; hint: allowed is a number from 0 to 1",
    );
    check_line(
        "sample_rate = nan",
        "2: `sample_rate` is `NaN`; hint: allowed is a number from 0 to 1",
    );
    check_line(
        "log_format = \"xml\"",
        "2: `log_format` is `\"xml\"`; hint: allowed is `\"text\"`, `\"pretty\"`, `\"json\"` or `\"off\"`",
    );
    check_line(
        "enabled = \"yes\"",
        "2: `enabled` is `\"yes\"`; hint: allowed is `true` or `false`",
    );
    check_line(
        "batch_records_max = 0",
        "2: `batch_records_max` is `0`; hint: allowed is a whole number from 1 to 1000000",
    );
    check_line(
        "batch_delay = \"2 parsecs\"",
        "2: `batch_delay` is `\"2 parsecs\"`; hint: allowed is a time, a whole number of `ms`, `s`, `m`, `h` or `d`, from `\"1ms\"` to `\"1h\"`",
    );
    check_line(
        "spool_size_limit = \"1KiB\"",
        "2: `spool_size_limit` is `\"1KiB\"`; hint: allowed is a size, a whole number of `KiB`, `MiB`, `GiB`, `TiB`, `kB`, `MB` or `GB`, at least `\"1MiB\"`",
    );
    check_line(
        "propagators = [\"baggage\", \"xray\"]",
        "2: `propagators` is an array with `\"xray\"`; hint: allowed is an array of `\"tracecontext\"`, `\"baggage\"`, \
         `\"b3\"`, `\"b3multi\"`, `\"jaeger\"` and `\"none\"`",
    );
    check_line(
        "propagators = \"baggage\"",
        "2: `propagators` is `\"baggage\"`; hint: allowed is an array of `\"tracecontext\"`, `\"baggage\"`, \
         `\"b3\"`, `\"b3multi\"`, `\"jaeger\"` and `\"none\"`",
    );
    check_line(
        "otlp_endpoint = \"localhost:4317\"",
        "2: `otlp_endpoint` is `\"localhost:4317\"`; hint: allowed is an address such as `\"http://localhost:4317\"`, without credentials",
    );
    check_line(
        "filter = \"x=loud\"",
        "2: `filter` has the directive `x=loud`: `loud` is no level; hint: allowed is directives such as \
         `\"info,my_crate=debug\"`, with the levels `off`, `error`, `warn`, `info`, `debug` and `trace`",
    );
    check_line(
        "filter_lines = \"\"",
        "2: `filter_lines` is `\"\"`; hint: allowed is directives such as `\"info,my_crate=debug\"`, with the levels \
         `off`, `error`, `warn`, `info`, `debug` and `trace`",
    );
    // Each directive that is wrong, and none that is not.
    let found = problems(
        "ringlight.toml",
        "[telemetry]\n\nfilter_logs = \"info,foo=bogus,shop=debug,[span]=warn\"",
    );
    let starts = [
        "3: `filter_logs` has the directive `foo=bogus`: ",
        "3: `filter_logs` has the directive `[span]=warn`: it cannot choose by span or field; hint: allowed is ",
    ];
    assert_eq!(found.len(), starts.len(), "{found:?}");
    for (problem, start) in found.iter().zip(starts) {
        assert!(problem.starts_with(start), "{problem}");
    }
    check_line(
        "log_level = \"info\"",
        "2: `log_level` is not a setting; hint: did you mean `filter`?",
    );
    check_line(
        "servce_name = \"a\"",
        "2: `servce_name` is not a setting; hint: did you mean `service_name`?",
    );
    check_line(
        "resource_attributes.deployment.name = \"a\"",
        "2: the attribute `deployment` is a table; hint: write a name that has dots in quotes, such as `\"deployment.name\" = \"..\"`",
    );
    check_line(
        "resource_attributes = 3",
        "2: `resource_attributes` is an integer; hint: allowed is a table of texts, numbers, `true` and `false`",
    );
    check_line(
        "resource_attributes = { a = [1] }",
        "2: the attribute `a` is an array; hint: allowed are texts, numbers, `true` and `false`",
    );
    // All of them are told, in the order of the lines.
    let several = "# a comment\n[telemetry]\nsample_rate = 2\n\nservice_name = 7\n";
    check(
        several,
        &[
            "3: `sample_rate` is `2`; hint: allowed is a number from 0 to 1",
            "5: `service_name` is `7`; hint: allowed is a text",
        ],
    );
    check(
        "service_name = \"a\"",
        &[
            "1: `service_name` stands before `[telemetry]`; hint: write `[telemetry]` on a line of its own, and the settings below it",
        ],
    );
    check(
        "[server]\nport = 1",
        &["1: `server` is not known here; hint: the settings of this file are below `[telemetry]`"],
    );
    check(
        "telemetry = true",
        &[
            "1: `telemetry` is a table, not a boolean; hint: write `[telemetry]` on a line of its own, and the settings below it",
        ],
    );
    check_line(
        "frobnicate = 1",
        "2: `frobnicate` is not a setting; hint: `ringlight config schema` and docs/configuration.md have all there are",
    );
    let of_table = "[telemetry]\n[telemetry.otlp]\nendpoint = \"http://localhost:4317\"\n";
    let found = &problems("ringlight.toml", of_table)[..];
    let start = "2: `otlp` is not a setting; hint: settings that begin like it are `otlp_endpoint`, `otlp_protocol`, ";
    assert!(found.len() == 1 && found[0].starts_with(start), "{found:?}");
    assert!(!found[0].contains("`enabled`"), "{found:?}");
    for (setting, bad) in [("prometheus_address", "9464"), ("tokio_console_bind", "x")] {
        check_line(
            &format!("{setting} = \"{bad}\""),
            &format!(
                "2: `{setting}` is `\"{bad}\"`; hint: allowed is `host:port`, such as `\"localhost:9464\"` or \
                 `\"0.0.0.0:9464\"`"
            ),
        );
    }
    for broken in [
        "[telemetry\n",
        "[telemetry]\na = \n",
        "[telemetry]\nenabled = true\nenabled = true\n",
    ] {
        let found = problems("ringlight.toml", broken);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("this is not TOML: "), "{found:?}");
    }
}

#[test]
fn other_tables_of_the_applications_own_file_are_its_own() {
    let text =
        "port = 80\nheaders = 1\n[database]\nurl = 7\n[telemetry]\nservice_name = \"shop\"\n";
    assert_eq!(problems("shop.toml", text), [""; 0]);
    assert!(!problems("ringlight.toml", text).is_empty());
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let told = |path: &Path| {
        let error = Settings::resolve(inputs(path, &[])).unwrap_err();
        error.to_string()
    };
    let dir = tempfile::tempdir().unwrap();
    let nowhere = told(&dir.path().join("nowhere.toml"));
    assert!(
        nowhere.contains("nowhere.toml: the configuration cannot be read: No such file"),
        "{nowhere}"
    );
    assert!(
        nowhere.ends_with("; hint: name a file in TOML that this process may read"),
        "{nowhere}"
    );
    let not_there = dir.path().join("nowhere.toml");
    let variable = (FILE_VARIABLE, not_there.to_str().unwrap());
    let mut by_variable = inputs(&not_there, &[variable]);
    by_variable.config_file = None;
    let by_variable = Settings::resolve(by_variable).unwrap_err().to_string();
    assert!(
        by_variable.contains(
            "nowhere.toml: the configuration, which `RINGLIGHT_CONFIG_FILE` names, cannot be read: No such file"
        ) && by_variable.ends_with(
            "; hint: set the variable to a file in TOML that this process may read, or to `none`"
        ),
        "{by_variable}"
    );
    let directory = told(dir.path());
    assert!(directory.contains("it is not a file"), "{directory}");
    let path = dir.path().join("latin.toml");
    std::fs::write(&path, b"# a\n# \xe9\n").unwrap();
    assert!(told(&path).contains("line 2 is not UTF-8"));
    std::fs::write(&path, vec![b'#'; 2 << 20]).unwrap();
    assert!(told(&path).contains("2097152 bytes"));
    std::fs::write(
        &path,
        "[telemetry]\nsample_rate = 2\nenabled = 1\nfilter = 3",
    )
    .unwrap();
    let error = told(&path);
    assert!(
        error.ends_with("latin.toml` tells; hint: allowed is a number from 0 to 1"),
        "{error}"
    );
    assert!(
        error.contains(
            "latin.toml:2: `sample_rate` is `2`, and 2 more problems, which `ringlight config check "
        ),
        "{error}"
    );
}

#[test]
fn a_variable_names_the_file_unless_the_code_does() {
    let (_dir, path) = written("a.toml", "[telemetry]\nservice_name = \"by_variable\"");
    let (_other_dir, other) = written("b.toml", "[telemetry]\nservice_name = \"by_code\"");
    let variable = (FILE_VARIABLE, path.to_str().unwrap());
    let mut by_variable = inputs(&path, &[variable]);
    by_variable.config_file = None;
    let name = |inputs| {
        Settings::resolve(inputs)
            .unwrap()
            .pipeline
            .resource
            .service_name()
            .to_owned()
    };
    assert_eq!(name(by_variable), "by_variable");
    let mut no_file = inputs(&path, &[(FILE_VARIABLE, "none")]);
    no_file.config_file = None;
    assert!(name(no_file).starts_with("unknown_service"));
    // A relay is no service.
    let mut relay = inputs(&path, &[]);
    relay.is_relay = true;
    assert!(name(relay).starts_with("unknown_service"));
    assert_eq!(name(inputs(&other, &[variable])), "by_code");
}

#[test]
fn what_holds_is_told_with_who_said_so_and_without_secrets() {
    let text = "[telemetry]\nservice_name = \"shop\"\nsample_rate = 0.5\nredact_keys = [\"card\"]\n\
                otlp_endpoint = \"http://file:4317\"\notlp_protocol = \"grpc\"\nspool_mode = \"always\"\n\
                resource_attributes = { team = \"b\", tier = 1 }\nbatch_delay = \"50ms\"\nfilter = \"warn\"\n";
    let (_dir, path) = written("ringlight.toml", text);
    let mut inputs = inputs(
        &path,
        &[
            ("OTLP_ENDPOINT", "https://h:4317/?key=hunter2"),
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                "authorization=hunter2,x-team=hunter2",
            ),
            (
                "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
                "http://logs:1/x?key=hunter2",
            ),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "lz4"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "400"),
            ("OTEL_RESOURCE_ATTRIBUTES", "team=c"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "7"),
        ],
    );
    inputs.lines.argument_format = Some(LogFormat::Json);
    inputs.default_directives = Some("debug".to_owned());
    inputs
        .changes
        .add(|pipeline| pipeline.limits.attributes_max = 9);
    let holds = effective(inputs).unwrap();
    let shown = format!("{holds:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert_eq!(holds.file.as_deref(), Some(&*path));
    let check = |key: &str, value: &str, origin: &str| {
        let found: Vec<_> = (holds.settings.iter())
            .filter(|setting| setting.key == key)
            .map(|setting| {
                let origin = setting.origin.to_string();
                let origin = origin.strip_prefix(path.parent().unwrap().to_str().unwrap());
                let origin =
                    origin.map_or_else(|| setting.origin.to_string(), |o| o[1..].to_owned());
                (setting.value.clone(), origin)
            })
            .collect();
        assert_eq!(found, [(value.to_owned(), origin.to_owned())], "{key}");
    };
    check("service_name", "shop", "ringlight.toml:2");
    check("sample_rate", "0.5", "ringlight.toml:3");
    check("filter", "warn", "ringlight.toml:10");
    check("filter_logs", "filter", "default");
    check("log_format", "json", "command line");
    check("otlp_endpoint", "https://h:4317/?…", "OTLP_ENDPOINT");
    check(
        "otlp_endpoint (logs)",
        "http://logs:1/x?…",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
    );
    check(
        "otlp_headers",
        "authorization, x-team (values not shown)",
        "OTEL_EXPORTER_OTLP_HEADERS",
    );
    check("otlp_protocol", "by the port", "default");
    check("otlp_compression", "none", "default");
    check(
        "otlp_timeout (traces)",
        "400ms",
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    );
    check("resource_attributes.team", "c", "OTEL_RESOURCE_ATTRIBUTES");
    check("resource_attributes.tier", "1", "ringlight.toml:8");
    check("batch_delay", "50ms", "ringlight.toml:9");
    check("batch_records_max", "7", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE");
    check("attribute_count_limit", "9", "code");
    check("redact_keys", "card", "ringlight.toml:4");
    assert_eq!(holds.warnings.len(), 2, "{:?}", holds.warnings);
    let every = super::super::SETTINGS.iter().map(|setting| setting.key);
    for key in every.filter(|key| *key != "resource_attributes") {
        let there = |setting: &super::super::EffectiveSetting| setting.key == key;
        assert!(holds.settings.iter().any(there), "{key}");
    }
    assert!(matches!(holds.settings[0].origin, SettingOrigin::Default));
}
