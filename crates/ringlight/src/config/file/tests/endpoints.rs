//! Endpoints that cannot be used, of the file and before it.

use super::*;

/// A variable may be there for another program; the file is this one's.
#[test]
fn a_bad_endpoint_of_a_variable_leaves_it_to_the_file() {
    let text = "[telemetry]\notlp_endpoint = \"http://file:4000\"\notlp_protocol = \"http/json\"\n";
    let (_dir, path) = written("ringlight.toml", text);
    let variables = [("OTLP_ENDPOINT", "http://ada:hunter2@h:4317")];
    let found = Settings::resolve(inputs(&path, &variables)).unwrap();
    let place = format!("`otlp_endpoint` in {}:2 holds", path.display());
    let [warning] = &found.warnings[..] else {
        panic!("{:?}", found.warnings);
    };
    assert!(
        warning.starts_with("`OTLP_ENDPOINT` is ignored: endpoint `")
            && warning.ends_with(&place)
            && !warning.contains("hunter2"),
        "{warning}"
    );
    let routes = found.routes.unwrap();
    for route in [routes.traces, routes.logs, routes.metrics] {
        let route = route.unwrap();
        assert_eq!(
            (&*route.endpoint, route.protocol),
            ("http://file:4000", Protocol::HttpJson)
        );
    }
    let holds = effective(inputs(&path, &variables)).unwrap();
    assert_eq!(holds.warnings, found.warnings);
    for (key, value, line) in [
        ("otlp_endpoint", "http://file:4000", 2),
        ("otlp_protocol", "http/json", 3),
    ] {
        let shown = holds.settings.iter().find(|setting| setting.key == key);
        let shown = shown.unwrap();
        let place = SettingOrigin::File(format!("{}:{line}", path.display()));
        assert_eq!((&*shown.value, &shown.origin), (value, &place), "{key}");
    }
}

#[test]
fn an_endpoint_of_the_file_that_cannot_be_used_is_an_error_wherever_it_is_read() {
    let text = "[telemetry]\notlp_endpoint = \"http://h:99999\"\n";
    let (_dir, path) = written("ringlight.toml", text);
    let error = effective(inputs(&path, &[])).unwrap_err().to_string();
    assert!(
        error.starts_with("`otlp_endpoint` in ")
            && error.contains("ringlight.toml:2: endpoint `http://h:99999`")
            && error.contains("; hint: write scheme, host and port"),
        "{error}"
    );
    // It is not what holds.
    let variable = [("OTLP_ENDPOINT", "http://h:4317")];
    assert!(effective(inputs(&path, &variable)).is_ok());
}

/// What authenticates at the one is nobody else's business.
#[test]
fn headers_set_beside_a_bad_endpoint_are_not_sent_to_another() {
    const OWN: &str = "OTLP_ENDPOINT";
    const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    const FILE: &str = "[telemetry]\notlp_endpoint = \"http://file:4000\"\n";
    const LOCAL: &str = "[telemetry]\nbackend = \"local\"\n";
    let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "token=hunter2");
    let of_traces = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "token=hunter3");
    let check = |text: &str, endpoints: &[(&str, &str)], expected: [&str; 2], told: &[&str]| {
        let (_dir, path) = written("ringlight.toml", text);
        let variables = [endpoints, &[headers, of_traces]].concat();
        let found = Settings::resolve(inputs(&path, &variables)).unwrap();
        let routes = found.routes.unwrap();
        let sent = [routes.traces, routes.logs].map(|route| {
            let pairs = route.into_iter().flat_map(|route| route.headers);
            pairs.map(|(_, value)| value).collect::<String>()
        });
        assert_eq!(sent, expected, "{endpoints:?}");
        let is_told = |warning: &&String| warning.contains("is not sent");
        let warnings: Vec<_> = found.warnings.iter().filter(is_told).collect();
        assert_eq!(warnings.len(), told.len(), "{warnings:?}");
        for (warning, told) in warnings.into_iter().zip(told) {
            let (name, rest) = told.split_once(' ').unwrap();
            let start = format!("`{name}` is not sent to the endpoint of `");
            assert!(
                warning.starts_with(&start)
                    && warning.contains(rest)
                    && !warning.contains("hunter"),
                "{warning}"
            );
        }
    };
    let bad = "http://h:99999";
    let both = [
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
        "OTEL_EXPORTER_OTLP_HEADERS",
    ];
    let beside =
        |endpoint: &str| both.map(|name| format!("{name} that of `{endpoint}`, which is ignored"));
    // Nothing is wrong: a token may be in the environment, and the endpoint in the file.
    check(FILE, &[], ["hunter3", "hunter2"], &[]);
    check(FILE, &[(OWN, "http://h:1")], ["hunter3", "hunter2"], &[]);
    let all = beside(OWN);
    check(
        FILE,
        &[(OWN, bad)],
        ["", ""],
        &all.each_ref().map(|told| &**told),
    );
    // Variables stand in for each other, but for what is set for a signal beside an endpoint of its own.
    let [of_signal, of_all] = beside(TRACES);
    let good = [(TRACES, bad), (OWN, "http://h:1")];
    check(FILE, &good, ["hunter2", "hunter2"], &[&of_signal]);
    check(
        FILE,
        &[(TRACES, bad)],
        ["", "hunter2"],
        &[&of_signal, &of_all],
    );
    // Nobody names the endpoint that holds.
    let nobody = [(OWN, bad), ("OTEL_TRACES_EXPORTER", "otlp")];
    check(
        LOCAL,
        &nobody,
        ["", ""],
        &all.each_ref().map(|told| &**told),
    );
}

#[test]
fn a_secret_named_beside_a_bad_endpoint_is_not_sent_to_another() {
    let text =
        "[telemetry]\notlp_endpoint = \"http://file:4000\"\notlp_headers_file = \"/of/file\"\n";
    let secret = ("RINGLIGHT_OTLP_HEADERS_FILE", "/of/variable");
    let check = |endpoint: (&str, &str), used: &str, withheld: [bool; 2], shown: &str| {
        let (_dir, path) = written("ringlight.toml", text);
        let variables = [endpoint, secret];
        let found = Settings::resolve(inputs(&path, &variables)).unwrap();
        let secret = format!("{:?}", found.secret_headers);
        assert!(secret.contains(used), "{endpoint:?}: {secret}");
        let routes = found.routes.unwrap();
        let is_withheld =
            [routes.traces, routes.logs].map(|route| route.unwrap().stands_in_for.is_some());
        assert_eq!(is_withheld, withheld, "{endpoint:?}");
        let warning =
            "`RINGLIGHT_OTLP_HEADERS_FILE` is not sent to the endpoint of `otlp_endpoint` in ";
        let told = (found.warnings.iter()).any(|told| told.starts_with(warning));
        assert_eq!(told, endpoint.1.ends_with("99999"), "{:?}", found.warnings);
        let holds = effective(inputs(&path, &variables)).unwrap();
        assert_eq!(holds.warnings, found.warnings);
        let mut settings = holds.settings.iter();
        let holds = settings.find(|setting| setting.key == "otlp_headers_file");
        assert_eq!(holds.unwrap().value, shown, "{endpoint:?}");
    };
    let bad = "http://h:99999";
    check(
        ("OTLP_ENDPOINT", "http://h:1"),
        "/of/variable",
        [false, false],
        "/of/variable",
    );
    // The file has one of its own for its endpoint.
    check(
        ("OTLP_ENDPOINT", bad),
        "/of/file",
        [false, false],
        "/of/file",
    );
    let of_traces = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    check(
        (of_traces, bad),
        "/of/variable",
        [true, false],
        "/of/variable",
    );
}
