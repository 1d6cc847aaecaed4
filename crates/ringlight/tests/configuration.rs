//! The guide's reference is that of the settings, and a service starts from its file.

use ringlight::settings::SETTINGS;

const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");

/// The settings as a table of Markdown.
fn reference() -> String {
    let mut table =
        "| setting | allowed | default | what it does | variable |\n|---|---|---|---|---|\n"
            .to_owned();
    for setting in SETTINGS {
        let variable = setting
            .variable
            .map(|name| format!("`{name}`"))
            .unwrap_or_default();
        // In a table a bar would end the cell.
        let row = format!(
            "| `{}` | {} | {} | {} | {variable} |\n",
            setting.key, setting.shape, setting.default, setting.about
        );
        table.push_str(&row);
    }
    table
}

/// Set `RINGLIGHT_UPDATE=1` to write the reference instead of comparing it.
#[test]
fn the_reference_is_that_of_the_settings() {
    let guide = std::fs::read_to_string(GUIDE).unwrap();
    let (before, rest) = guide
        .split_once("<!-- made from `ringlight::settings::SETTINGS` -->\n")
        .unwrap();
    let (written, after) = rest.split_once("<!-- end -->").unwrap();
    if std::env::var_os("RINGLIGHT_UPDATE").is_some() {
        let guide = format!(
            "{before}<!-- made from `ringlight::settings::SETTINGS` -->\n{}<!-- end -->{after}",
            reference()
        );
        return std::fs::write(GUIDE, guide).unwrap();
    }
    assert!(
        written == reference(),
        "the reference in docs/configuration.md is out of date; hint: \
         `RINGLIGHT_UPDATE=1 cargo test -p ringlight --test configuration`"
    );
}

/// The example at the top of the guide is a file that can be used.
#[test]
fn the_example_of_the_guide_is_right() {
    let guide = std::fs::read_to_string(GUIDE).unwrap();
    let (_, rest) = guide.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ringlight.toml");
    // Not there: the guide's directory belongs to a machine that has it.
    std::fs::write(
        &file,
        example.replace("/var/lib/shop", dir.path().to_str().unwrap()),
    )
    .unwrap();
    let builder = ringlight::builder()
        .environment([("", ""); 0])
        .config_file(&file);
    let holds = builder.effective_settings().unwrap();
    assert_eq!(holds.warnings, [""; 0]);
    let of_file = |key: &str| {
        let setting = holds.settings.iter().find(|setting| setting.key == key);
        setting.unwrap().origin.to_string()
    };
    assert!(of_file("service_name").ends_with("ringlight.toml:2"));
    assert!(of_file("spool_dir").ends_with("ringlight.toml:9"));
}

#[test]
fn what_is_wrong_with_the_file_keeps_telemetry_from_starting() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("shop.toml");
    std::fs::write(&file, "port = 80\n\n[telemetry]\nsample_rate = 1.5\n").unwrap();
    let builder = ringlight::builder().environment([("", ""); 0]);
    let error = builder.config_file(&file).build().map(|_| ()).unwrap_err();
    let expected = format!(
        "{}:4: `sample_rate` is `1.5`\nhint: allowed is a number from 0 to 1",
        file.display()
    );
    assert_eq!(format!("{error:?}"), expected);
}

/// Log lines stay, as they do with `OTEL_SDK_DISABLED`.
#[cfg(feature = "otel")]
#[test]
fn what_is_off_in_the_file_starts_nothing() {
    let backend = ringlight_testing::Backend::start();
    let dir = tempfile::tempdir().unwrap();
    let (file, traces) = (dir.path().join("shop.toml"), dir.path().join("traces"));
    let text = format!(
        "[telemetry]\nenabled = false\notlp_endpoint = {:?}\ntrace_dir = {traces:?}\nbusy_times = true\n\
         span_metrics = true\nspool_dir = {:?}\n",
        backend.url(),
        dir.path().join("spool"),
    );
    let start = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let builder = ringlight::builder()
            .environment([("", ""); 0])
            .log_format(ringlight::LogFormat::Off)
            .config_file(&file);
        let (dispatch, telemetry) = builder.build().unwrap();
        tracing::dispatcher::with_default(&dispatch, || {
            tracing::info_span!("work").in_scope(|| tracing::info!("done"));
        });
        let has_meters = telemetry.meter_provider().is_some();
        telemetry.shutdown(std::time::Duration::from_secs(60));
        has_meters
    };
    assert!(!start(&text));
    let names = || {
        let entries = std::fs::read_dir(dir.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(), ["shop.toml"]);
    // The same file with that one word changed does all of it.
    assert!(start(&text.replace("false", "true")));
    #[cfg(feature = "profiling")]
    assert_eq!(names(), ["shop.toml", "spool", "traces"]);
    let seen = backend.stop();
    assert!(seen.data().count() > 0);
}
