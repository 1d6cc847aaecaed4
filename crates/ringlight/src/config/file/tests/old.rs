//! Sections of earlier versions.

use super::*;

#[test]
fn sections_of_earlier_versions_are_understood_and_told_with_what_to_write() {
    let old = "[observability]\nexporter = \"none\"\nendpoint = \"http://h:4317\"\n\n[debug.traces]\n\
               service_name = \"shop\"\nsample_rate = 0.5\nredact = true\n";
    let found = settings(old, &[("OTEL_SDK_DISABLED", "false")]);
    assert_eq!(
        found.routes.unwrap().traces.unwrap().endpoint,
        "http://h:4317"
    );
    assert_eq!(found.pipeline.resource.service_name(), "shop");
    assert_eq!(found.sampler, Sampler::trace_id_ratio(0.5).parent_based());
    assert!(!found.pipeline.processing.is_empty());
    let [first, second] = &found.warnings[..] else {
        panic!("{:?}", found.warnings);
    };
    let parts = |warning: &str| {
        let (start, rest) = warning.split_once(" in ").unwrap();
        let (_, rest) = rest.split_once("ringlight.toml:").unwrap();
        format!("{start} in {}", rest.split_once(" rewrites").unwrap().0)
    };
    assert!(
        parts(first).starts_with(
            "`[observability]` in 1 is deprecated: write below `[telemetry]` `enabled = false` in place of \
             `exporter`, `otlp_endpoint` in place of `endpoint`; hint: `ringlight config migrate "
        ),
        "{first}"
    );
    assert!(
        parts(second).starts_with(
            "`[debug.traces]` in 5 is deprecated: write below `[telemetry]` `service_name`, \
             `sample_rate`, `redact = \"standard\"` in place of \
             `redact`; hint: "
        ),
        "{second}"
    );

    // Without the variable it is off.
    assert_eq!(settings(old, &[]).routes, None);
    // What is said now holds over what was said then, and of that the first.
    let both = format!(
        "{old}otlp_endpoint = \"http://other:1\"\n[telemetry]\nenabled = true\nsample_rate = 1\n"
    );
    let found = settings(&both, &[]);
    assert_eq!(
        found.routes.unwrap().traces.unwrap().endpoint,
        "http://h:4317"
    );
    assert_eq!(found.sampler, Sampler::trace_id_ratio(1.0).parent_based());
}

#[test]
fn what_old_sections_come_to_is_shown_with_where_it_is() {
    let (_dir, path) = written("ringlight.toml", "[debug.traces]\n\nredact = true\n");
    let holds = effective(inputs(&path, &[])).unwrap();
    let redact = holds.settings.iter().find(|held| held.key == "redact");
    let redact = redact.unwrap();
    assert_eq!(redact.value, "standard");
    let place = format!("{}:3", path.display());
    assert_eq!(redact.origin, SettingOrigin::File(place));
}

#[test]
fn what_is_wrong_with_old_sections_is_an_error_too() {
    let check = |text: &str, expected: &str| {
        let found = problems("ringlight.toml", text);
        let [problem] = &found[..] else {
            panic!("{text}: {found:?}");
        };
        assert!(problem.starts_with(expected), "{problem}");
        assert!(!problem.contains("hunter2"), "{problem}");
    };
    check(
        "[observability]\nendpont = \"http://h:1\"",
        "2: `endpont` is not a setting; hint: did you mean `endpoint`?",
    );
    check(
        "[observability]\nexporter = \"jaeger\"",
        "2: `exporter` is `\"jaeger\"`; hint: allowed is `\"otlp\"` or `\"none\"`",
    );
    check(
        "[debug.traces]\nredact = \"yes\"",
        "2: `redact` is `\"yes\"`; hint: allowed is `true` or `false`",
    );
    check(
        "[debug.traces]\nheaders = { authorization = \"hunter2\" }",
        "2: `headers` is refused: headers and tokens are secrets",
    );
    check(
        "observability.endpoint = \"https://ada:hunter2@h:1\"",
        "1: `endpoint` is an address with credentials, which are a secret",
    );
    check("[debug]\nlevel = 3", "2: `debug.level` is not known here");
    check("observability = 3", "1: `observability` is not known here");
    check("debug.traces = 3", "1: `debug.traces` is not known here");
}

#[test]
fn sections_of_such_a_name_may_be_the_applications_own() {
    let check = |text: &str, is_ours: bool| {
        let (_dir, path) = written("shop.toml", text);
        let found = Settings::resolve(inputs(&path, &[])).unwrap();
        assert_eq!(!found.warnings.is_empty(), is_ours, "{:?}", found.warnings);
        assert_eq!(found.routes.is_some(), is_ours, "{text}");
    };
    check("[observability]\nendpoint = \"http://h:1\"\n", true);
    check("[observability]\nendpoint = \"h:1\"\nlevel = 3\n", false);
    check("[observability]\nheaders = \"a=b\"\n", false);
    check("[observability]\n", false);
    check("observability = 3\n[debug]\ntraces = true\n", false);
    check(
        "[debug]\nlevel = 3\n[debug.traces]\notlp_endpoint = \"http://h:1\"\n",
        true,
    );
}

#[test]
fn what_takes_the_place_of_old_settings_is_a_setting_that_takes_their_values() {
    for section in crate::settings::OLD_SECTIONS {
        for key in section.keys {
            let values: &[&str] = match key.shape {
                crate::settings::Shape::Truth => &["true", "false"],
                crate::settings::Shape::Word(words) => words,
                crate::settings::Shape::Ratio => &["0.5"],
                crate::settings::Shape::Path => &["traces"],
                _ => &["http://h:1"],
            };
            for value in values {
                for new in key.replaced(value) {
                    let text = new.text(value);
                    assert!(new.setting.shape.takes(&text), "{}: {text}", key.key);
                }
            }
            assert!(!key.replaced(values[0]).is_empty(), "{}", key.key);
        }
    }
}

#[test]
fn each_old_setting_has_one_in_its_place_whatever_it_says() {
    use crate::settings::{OLD_SECTIONS, Shape};
    for old in OLD_SECTIONS.iter().flat_map(|section| section.keys) {
        let values = match old.shape {
            Shape::Word(words) => words,
            Shape::Truth => &["true", "false"],
            _ => &["anything"],
        };
        for value in values {
            let replaced = old.replaced(value);
            assert!(!replaced.is_empty(), "{} = {value}", old.key);
        }
    }
}
