//! `ringlight config`: what is shown and checked, and that no secret is among it.

use std::path::Path;
use std::process::{Command, Output};

use crate::common::{ringlight, text};

fn here(dir: &Path) -> Command {
    let mut command = ringlight();
    command.current_dir(dir).env_remove("RINGLIGHT_CONFIG_FILE");
    command
}

fn written(text: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ringlight.toml"), text).unwrap();
    dir
}

#[track_caller]
fn ended(output: &Output, code: i32) -> (String, String) {
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{stdout}{stderr}");
    (stdout, stderr)
}

/// The cells of a setting's row.
#[track_caller]
fn row(stdout: &str, key: &str) -> Vec<String> {
    let mut rows = stdout
        .lines()
        .filter(|row| row.split_whitespace().next() == Some(key));
    let row = rows
        .next()
        .unwrap_or_else(|| panic!("no `{key}`: {stdout}"));
    row.split("  ")
        .map(str::trim)
        .filter(|cell| !cell.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn what_holds_is_shown_with_who_said_so_and_no_secret() {
    let dir = written("[telemetry]\nservice_name = \"shop\"\nsample_rate = 0.5\n");
    let output = here(dir.path())
        .args(["config", "show"])
        .env("OTLP_ENDPOINT", "https://collector:4317/?key=hunter2")
        .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hunter2")
        .env("OTEL_TRACES_SAMPLER", "sometimes")
        .output()
        .unwrap();
    let (stdout, stderr) = ended(&output, 0);
    assert!(
        !format!("{stdout}{stderr}").contains("hunter2"),
        "{stdout}{stderr}"
    );
    let row = |key: &str| row(&stdout, key);
    assert_eq!(
        row("service_name"),
        ["service_name", "shop", "ringlight.toml:2"]
    );
    // A variable that is not understood says nothing, and leaves it to the file.
    assert_eq!(
        row("sample_rate"),
        ["sample_rate", "0.5", "ringlight.toml:3"]
    );
    assert!(
        stderr.contains("warning: `OTEL_TRACES_SAMPLER` is `sometimes`"),
        "{stderr}"
    );
    let endpoint = "https://collector:4317/?…";
    assert_eq!(
        row("otlp_endpoint"),
        ["otlp_endpoint", endpoint, "OTLP_ENDPOINT"]
    );
    let names = "authorization (values not shown)";
    assert_eq!(
        row("otlp_headers"),
        ["otlp_headers", names, "OTEL_EXPORTER_OTLP_HEADERS"]
    );
    assert_eq!(row("batch_delay"), ["batch_delay", "200ms", "default"]);
}

#[test]
fn a_variable_with_a_bad_endpoint_is_warned_about_and_the_file_holds() {
    let dir = written("[telemetry]\notlp_endpoint = \"http://collector:4317\"\n");
    let output = here(dir.path())
        .args(["config", "show"])
        .env("OTLP_ENDPOINT", "https://ada:hunter2@collector:4317")
        .output()
        .unwrap();
    let (stdout, stderr) = ended(&output, 0);
    assert_eq!(
        row(&stdout, "otlp_endpoint"),
        ["otlp_endpoint", "http://collector:4317", "ringlight.toml:2"]
    );
    assert!(
        stderr.starts_with("warning: `OTLP_ENDPOINT` is ignored: endpoint `")
            && stderr.ends_with("; `otlp_endpoint` in ringlight.toml:2 holds\n"),
        "{stderr}"
    );
    assert!(
        !format!("{stdout}{stderr}").contains("hunter2"),
        "{stdout}{stderr}"
    );
}

#[test]
fn a_file_that_sets_nothing_is_told_and_no_error() {
    let dir = written("# Nothing yet.\n");
    std::fs::write(dir.path().join("shop.toml"), "[telemtry]\nenabled = 3\n").unwrap();
    let run = |arguments: &[&str]| {
        let mut command = here(dir.path());
        command.arg("config").args(arguments).output().unwrap()
    };
    let nothing = "no `[telemetry]` section; nothing is set by it\n";
    let (stdout, stderr) = ended(&run(&["check", "shop.toml", "ringlight.toml"]), 0);
    let told = format!("shop.toml: {nothing}ringlight.toml: {nothing}");
    assert_eq!((stdout, stderr), (told, String::new()));
    let (_, stderr) = ended(&run(&["show", "shop.toml"]), 0);
    assert_eq!(stderr, format!("shop.toml: {nothing}"));

    // Empty is what somebody wrote; sections of earlier versions stand for it.
    for text in ["[telemetry]\n", OLD] {
        std::fs::write(dir.path().join("ringlight.toml"), text).unwrap();
        let (stdout, _) = ended(&run(&["check"]), 0);
        assert_eq!(stdout, "ringlight.toml: ok\n", "{text}");
    }
}

#[test]
fn what_holds_is_data_for_programs_too() {
    let dir = written("[telemetry]\nservice_name = \"shop\"\n");
    let output = here(dir.path())
        .args(["config", "show", "--json"])
        .output()
        .unwrap();
    let (stdout, stderr) = ended(&output, 0);
    assert_eq!(stderr, "");
    let shown: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(shown["file"], "ringlight.toml");
    let settings = shown["settings"].as_array().unwrap();
    let named = settings
        .iter()
        .find(|setting| setting["key"] == "service_name");
    let expected = serde_json::json!({"key": "service_name", "value": "shop", "from": "file", "place": "ringlight.toml:2"});
    assert_eq!(named, Some(&expected));

    let nothing = tempfile::tempdir().unwrap();
    let output = here(nothing.path())
        .args(["config", "show"])
        .output()
        .unwrap();
    let (_, stderr) = ended(&output, 0);
    assert!(stderr.starts_with("no file of settings: "), "{stderr}");
}

#[test]
fn all_that_is_wrong_with_a_file_is_told() {
    let dir = written(
        "[telemetry]\nsample_rate = 7\notlp_headers = { authorization = \"hunter2\" }\nservce_name = 1\n",
    );
    for command in [["config", "check"], ["config", "show"]] {
        let output = here(dir.path()).args(command).output().unwrap();
        let (stdout, stderr) = ended(&output, 1);
        assert_eq!(stdout, "");
        assert!(!stderr.contains("hunter2"), "{stderr}");
        let lines: Vec<&str> = stderr.lines().collect();
        assert_eq!(lines.len(), 6, "{stderr}");
        assert_eq!(lines[0], "error: ringlight.toml:2: `sample_rate` is `7`");
        assert_eq!(lines[1], "hint: allowed is a number from 0 to 1");
        assert!(lines[2].starts_with(
            "error: ringlight.toml:3: `otlp_headers` is refused: headers and tokens are secrets"
        ));
        assert!(
            lines[3].starts_with("hint: name where they come from with `otlp_headers_file`"),
            "{stderr}"
        );
        assert_eq!(lines[5], "hint: did you mean `service_name`?");
    }
}

#[test]
fn several_files_are_checked_and_the_good_ones_named() {
    let dir = written("[telemetry]\nsample_rate = 0.5\n");
    std::fs::write(
        dir.path().join("shop.toml"),
        "port = 80\n[telemetry]\nenabled = 3\n",
    )
    .unwrap();
    let output = here(dir.path())
        .args([
            "config",
            "check",
            "shop.toml",
            "ringlight.toml",
            "nowhere.toml",
        ])
        // It is the files that are checked, not what holds here.
        .env("OTEL_TRACES_SAMPLER", "sometimes")
        .output()
        .unwrap();
    let (stdout, stderr) = ended(&output, 1);
    assert_eq!(stdout, "ringlight.toml: ok\n");
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines[0], "error: shop.toml:3: `enabled` is `3`");
    assert!(
        lines[2].starts_with("error: nowhere.toml: the configuration cannot be read: No such file"),
        "{stderr}"
    );

    let nothing = tempfile::tempdir().unwrap();
    let output = here(nothing.path())
        .args(["config", "check"])
        .output()
        .unwrap();
    let (_, stderr) = ended(&output, 1);
    assert!(
        stderr.starts_with("error: there is no `ringlight.toml` in this directory\nhint: "),
        "{stderr}"
    );
}

/// Secrets, directories and features are those of the service, which runs elsewhere, as somebody else, or already.
#[test]
fn what_is_the_services_own_is_neither_asked_for_nor_touched() {
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("var/spool");
    for (name, source) in [
        ("vault", "otlp_headers_vault_key = \"secret/otlp#headers\""),
        ("age", "otlp_headers_age_file = \"/run/h.age\""),
        ("file", "otlp_headers_file = \"/run/headers\""),
    ] {
        let settings = format!(
            "{OLD}[telemetry]\n{source}\nspool_dir = {spool:?}\ntokio_console = true\npropagators = [\"b3\"]\n\
             prometheus_address = \"localhost:9464\"\n"
        );
        let file = format!("{name}.toml");
        std::fs::write(dir.path().join(&file), settings).unwrap();
        let run = |arguments: &[&str]| {
            let mut command = here(dir.path());
            ended(&command.arg("config").args(arguments).output().unwrap(), 0)
        };
        run(&["migrate", &file]);
        let (stdout, stderr) = run(&["check", &file]);
        assert_eq!((stdout, &*stderr), (format!("{file}: ok\n"), ""));
        let (stdout, stderr) = run(&["show", &file]);
        assert!(stdout.contains("var/spool"), "{stdout}");
        assert_eq!(stderr, "");
    }
    assert!(!spool.exists());
    std::fs::create_dir(dir.path().join("var")).unwrap();
    std::fs::write(&spool, "").unwrap();
    let output = here(dir.path())
        .args(["config", "check", "file.toml"])
        .output();
    let (_, stderr) = ended(&output.unwrap(), 0);
    assert!(
        stderr.contains("`spool_dir` in file.toml:") && stderr.contains("is no directory"),
        "{stderr}"
    );
}

const OLD: &str =
    "# Where to.\n[observability]\nexporter = \"otlp\"\nendpoint = \"http://h:4317\" # there\n";

#[test]
fn an_old_file_is_rewritten_in_its_place_and_the_changes_are_told() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("real.toml");
    std::fs::write(&file, OLD).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("real.toml", dir.path().join("ringlight.toml")).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = here(dir.path());
        command.args(["config"]).args(arguments).output().unwrap()
    };

    let (_, stderr) = ended(&run(&["check"]), 0);
    assert!(
        stderr.starts_with("warning: `[observability]` in ringlight.toml:2 is deprecated: "),
        "{stderr}"
    );
    let expected = "# Where to.\n[telemetry]\nbackend = \"otlp\"\nenabled = true\notlp_endpoint = \"http://h:4317\" # there\n";
    let (stdout, stderr) = ended(&run(&["migrate", "--dry-run"]), 0);
    assert_eq!(stdout, expected);
    let told = "ringlight.toml: `[observability]` is part of `[telemetry]` now\n\
                ringlight.toml: `observability.exporter` is `telemetry.backend = \"otlp\"` now\n\
                ringlight.toml: `observability.exporter` is `telemetry.enabled = true` now\n\
                ringlight.toml: `observability.endpoint` is `telemetry.otlp_endpoint` now\n";
    assert_eq!(stderr, told);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), OLD);

    let (stdout, stderr) = ended(&run(&["migrate"]), 0);
    assert_eq!((stdout.as_str(), stderr.as_str()), (told, ""));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), expected);
    assert!(dir.path().join("ringlight.toml").is_symlink());
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    let names = std::fs::read_dir(dir.path()).unwrap();
    assert_eq!(names.count(), 2, "something is left beside the file");
    let (_, stderr) = ended(&run(&["check"]), 0);
    assert_eq!(stderr, "");

    let nothing = "ringlight.toml: nothing to do, it has no sections of earlier versions\n";
    let (stdout, stderr) = ended(&run(&["migrate", "ringlight.toml"]), 0);
    assert_eq!((stdout.as_str(), stderr.as_str()), (nothing, ""));
    // What is printed is the text also where that is the old one.
    let (stdout, stderr) = ended(&run(&["migrate", "--dry-run"]), 0);
    assert_eq!((stdout.as_str(), stderr.as_str()), (expected, nothing));
}

#[test]
fn what_is_wrong_with_an_old_file_leaves_it_as_it_is() {
    let text = "[observability]\nendpoint = \"http://h:4317\"\nheaders = \"a=hunter2\"\n";
    let dir = written(text);
    let output = here(dir.path())
        .args(["config", "migrate"])
        .output()
        .unwrap();
    let (stdout, stderr) = ended(&output, 1);
    assert_eq!(stdout, "");
    assert!(
        stderr.starts_with("error: ringlight.toml:3: `headers` is refused: ")
            && !stderr.contains("hunter2"),
        "{stderr}"
    );
    let after = std::fs::read_to_string(dir.path().join("ringlight.toml")).unwrap();
    assert_eq!(after, text);
}

#[test]
fn the_specifications_file_is_read_and_what_is_wrong_with_it_told() {
    let dir = tempfile::tempdir().unwrap();
    let show = |text: &str| {
        std::fs::write(dir.path().join("otel.yaml"), text).unwrap();
        let mut command = here(dir.path());
        command.args(["config", "show"]);
        command.env("OTEL_CONFIG_FILE", "otel.yaml");
        command.env("OTEL_SERVICE_NAME", "other").output().unwrap()
    };
    let good =
        "file_format: '1.1'\nresource: { attributes: [ { name: service.name, value: shop } ] }\n";
    let (stdout, _) = ended(&show(good), 0);
    let row = stdout.lines().find(|row| row.starts_with("service_name "));
    let row = row.unwrap_or_default();
    assert!(
        row.contains(" shop ") && row.ends_with("  otel.yaml:2"),
        "{stdout}"
    );
    let (_, stderr) = ended(&show("file_format: '1.1'\ndisabled: 3\n"), 1);
    assert_eq!(
        stderr,
        "error: otel.yaml:2: `disabled` is `3`\nhint: allowed is `true` or `false`\n"
    );
}
