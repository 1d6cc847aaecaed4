//! Endpoints that cannot be used.

use super::*;

#[test]
fn a_variable_with_a_bad_endpoint_leaves_it_to_the_next_one() {
    const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    const OWN: &str = "OTLP_ENDPOINT";
    const GENERIC: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let check = |variables: &[(&str, &str)], traces: &str, logs: Option<&str>, told: &[&str]| {
        let found = settings(variables, |_| {});
        let routes = found.routes.unwrap();
        let endpoint = |route: Option<&Route>| route.map(|route| route.endpoint.clone());
        assert_eq!(endpoint(routes.traces.as_ref()).as_deref(), Some(traces));
        assert_eq!(endpoint(routes.logs.as_ref()).as_deref(), logs);
        assert_eq!(found.warnings.len(), told.len(), "{:?}", found.warnings);
        for (warning, told) in found.warnings.iter().zip(told) {
            let (name, instead) = told.split_once(' ').unwrap();
            assert!(
                warning.starts_with(&format!("`{name}` is ignored: endpoint `"))
                    && warning.ends_with(&format!("; {instead}")),
                "{warning}"
            );
        }
    };
    let (bad, worse) = ("http://h:99999", "nowhere");
    check(
        &[(OWN, bad), (GENERIC, "http://g:4318")],
        "http://g:4318",
        Some("http://g:4318"),
        &["OTLP_ENDPOINT `OTEL_EXPORTER_OTLP_ENDPOINT` holds"],
    );
    check(
        &[(TRACES, bad), (OWN, "http://own:4317")],
        "http://own:4317",
        Some("http://own:4317"),
        &["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT `OTLP_ENDPOINT` holds"],
    );
    check(
        &[
            (TRACES, worse),
            (OWN, bad),
            ("OTEL_TRACES_EXPORTER", "otlp"),
        ],
        "http://localhost:4318",
        None,
        &[
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT `OTEL_TRACES_EXPORTER` holds",
            "OTLP_ENDPOINT `OTEL_TRACES_EXPORTER` holds",
            "OTLP_ENDPOINT nothing is sent there",
        ],
    );
}
