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
