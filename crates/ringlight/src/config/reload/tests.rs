use std::fs;

use tracing_core::LevelFilter;

use super::watch::Watcher;
use super::*;
use crate::config::Settings;
use crate::sampling::HeadSampling;

/// What is in a directory of its own, and what telemetry that was started from it goes by.
struct Started {
    dir: tempfile::TempDir,
    reloader: Arc<Reloader>,
    controls: Arc<controls::Shared>,
    redacted: Arc<Mutex<Vec<String>>>,
}

fn started(text: &str, variables: &[(&str, &str)], say: impl FnOnce(&mut Inputs)) -> Started {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ringlight.toml");
    fs::write(&path, text).unwrap();
    at(dir, path, variables, say)
}

fn at(
    dir: tempfile::TempDir,
    path: PathBuf,
    variables: &[(&str, &str)],
    say: impl FnOnce(&mut Inputs),
) -> Started {
    let variables = variables.iter();
    let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut inputs = Inputs {
        environment: Environment::Fixed(variables.collect()),
        config_file: Some(path),
        ..Inputs::default()
    };
    say(&mut inputs);
    let code = OfCode::of(&inputs);
    let mut settings = Settings::resolve(inputs).unwrap();
    let sampling = HeadSampling::new(String::new(), settings.sampler, Vec::new());
    let controls = Arc::new(controls::Shared::new(sampling, settings.filters.clone()));
    let redacted = Arc::<Mutex<Vec<String>>>::default();
    let noted = Arc::clone(&redacted);
    let redact = move |redaction| {
        noted.lock().unwrap().push(format!("{redaction:?}"));
        true
    };
    let file = settings.file.take().unwrap();
    let holds = settings.changeable();
    let reloader = Reloader::new(file, code, holds, Arc::clone(&controls), redact);
    Started {
        dir,
        reloader: Arc::new(reloader),
        controls,
        redacted,
    }
}

impl Started {
    fn path(&self) -> PathBuf {
        self.dir.path().join("ringlight.toml")
    }

    fn write(&self, text: &str) {
        fs::write(self.path(), text).unwrap();
    }

    /// What has changed, is held, and needs a restart, once the file has this text.
    fn becomes(&self, text: &str) -> [Vec<&'static str>; 3] {
        self.write(text);
        let reloaded = self.reloader.reload().unwrap();
        [reloaded.in_effect, reloaded.held, reloaded.needs_restart]
    }

    /// Of lines, logs and traces.
    fn levels(&self) -> [LevelFilter; 3] {
        let of = |output| {
            self.controls
                .with_filters(|filters| filters.of(output).max_level())
        };
        Output::ALL.map(of)
    }
}

const NONE: Vec<&str> = Vec::new();
const INFO: LevelFilter = LevelFilter::INFO;
const WARN: LevelFilter = LevelFilter::WARN;
const DEBUG: LevelFilter = LevelFilter::DEBUG;

#[test]
fn levels_sampling_and_redaction_change_and_what_else_does_is_named() {
    let started = started("[telemetry]\n", &[], |_| {});
    assert_eq!(started.levels(), [INFO; 3]);
    assert!(started.controls.sampling.takes_all());
    let text = "[telemetry]\nfilter = \"debug\"\nfilter_lines = \"warn\"\nsample_rate = 0.5\nredact = \"standard\"\n\
                redact_keys = [\"pin\"]\nbatch_delay = \"1s\"\nresource_attributes = { team = \"a\" }\n";
    let changed = vec![
        "filter",
        "filter_lines",
        "sample_rate",
        "redact",
        "redact_keys",
    ];
    let restart = vec!["resource_attributes", "batch_delay"];
    assert_eq!(started.becomes(text), [changed, NONE, restart]);
    assert_eq!(started.levels(), [WARN, DEBUG, DEBUG]);
    assert!(!started.controls.sampling.takes_all());
    let redacted = std::mem::take(&mut *started.redacted.lock().unwrap());
    let [redacted] = &redacted[..] else {
        panic!("{redacted:?}");
    };
    assert!(
        redacted.contains("\"pin\"") && redacted.contains("Emails"),
        "{redacted}"
    );
    assert_eq!(started.becomes(text), [NONE, NONE, NONE]);

    // Names of attributes that stay are another matter than their values.
    let other = text.replace("team = \"a\"", "team = \"b\"");
    assert_eq!(started.becomes(&other)[2], ["resource_attributes"]);
    // What is as it was at the start needs none.
    let changed = vec![
        "filter",
        "filter_lines",
        "sample_rate",
        "redact",
        "redact_keys",
    ];
    assert_eq!(started.becomes("[telemetry]\n"), [changed, NONE, NONE]);
    assert_eq!(started.levels(), [INFO; 3]);
    assert!(started.controls.sampling.takes_all());
    assert_eq!(started.redacted.lock().unwrap().len(), 1);
}

#[test]
fn what_code_and_variables_say_holds_over_what_the_file_says_now() {
    let variables = [("RUST_LOG", "warn"), ("RINGLIGHT_REDACT", "none")];
    let started = started("[telemetry]\n", &variables, |inputs| {
        inputs.sampler = Some(Sampler::always_on());
        // A default, which the file holds over.
        inputs.output_directives = vec![(Output::Logs, "error".to_owned())];
    });
    let text = "[telemetry]\nfilter = \"debug\"\nfilter_logs = \"info\"\nsample_rate = 0.5\nredact = \"standard\"\n";
    let held = vec!["filter", "sample_rate", "redact"];
    assert_eq!(started.becomes(text), [vec!["filter_logs"], held, NONE]);
    assert_eq!(started.levels(), [WARN, INFO, WARN]);
    assert!(started.controls.sampling.takes_all());
    assert!(started.redacted.lock().unwrap().is_empty());
}

#[test]
fn what_was_changed_by_hand_stays_until_the_file_says_something_about_it() {
    let started = started("[telemetry]\nfilter = \"info\"\n", &[], |_| {});
    let controls = crate::Controls {
        shared: Arc::clone(&started.controls),
        reloader: Some(Arc::clone(&started.reloader)),
    };
    controls.set_filter("debug").unwrap();
    started.write("[telemetry]\nfilter = \"info\"\nfilter_lines = \"warn\"\n");
    let reloaded = controls.reload().unwrap();
    assert_eq!(reloaded.in_effect, ["filter_lines"]);
    assert_eq!(started.levels(), [WARN, DEBUG, DEBUG]);
    started.write("[telemetry]\nfilter = \"warn\"\nfilter_lines = \"warn\"\n");
    let shown = controls.reload().unwrap().to_string();
    assert!(
        shown.ends_with("ringlight.toml: `filter` changed"),
        "{shown}"
    );
    assert_eq!(started.levels(), [WARN; 3]);
}

#[test]
fn without_a_file_there_is_nothing_to_be_read_again() {
    let (_, telemetry) = crate::builder().environment([("", ""); 0]).build().unwrap();
    assert_eq!(telemetry.controls().reload(), Err(ReloadError::NoFile));
}

#[test]
fn what_is_wrong_changes_nothing_and_is_told_once() {
    let started = started("[telemetry]\nfilter = \"warn\"\n", &[], |_| {});
    let mut watcher = Watcher::new(Arc::clone(&started.reloader));
    let mut looks = || -> Vec<String> { (0..4).filter_map(|_| watcher.look()).collect() };
    assert_eq!(looks(), [""; 0]);
    started.write("[telemetry]\nfilter = \"debug\"\nsample_rate = 7\n");
    let said = looks();
    let [said] = &said[..] else {
        panic!("{said:?}");
    };
    let expected = format!(
        "settings stay as they are: {}:3: `sample_rate` is `7`; hint: allowed is a number from 0 to 1",
        started.path().display()
    );
    assert_eq!(*said, expected);
    assert_eq!(started.levels(), [WARN; 3]);
    // The same again, in another file.
    started.write("[telemetry]\nfilter = \"info\"\nsample_rate = 7\n");
    assert_eq!(looks(), [""; 0]);
    fs::remove_file(started.path()).unwrap();
    let said = looks();
    assert!(
        said.len() == 1 && said[0].contains("the configuration cannot be read: No such file"),
        "{said:?}"
    );
    started.write("[telemetry]\nfilter = \"warn\"\n");
    let said = looks();
    assert!(
        said.len() == 1 && said[0].ends_with(" can be used again, and are what they were"),
        "{said:?}"
    );
}

#[test]
fn a_file_is_read_when_whoever_writes_it_is_done() {
    let started = started("[telemetry]\n", &[], |_| {});
    let mut watcher = Watcher::new(Arc::clone(&started.reloader));
    assert_eq!(watcher.look(), None);
    started.write("[telemetry]\nfilter = \"deb");
    assert_eq!(watcher.look(), None);
    started.write("[telemetry]\nfilter = \"debug\"\n");
    assert_eq!(watcher.look(), None);
    assert_eq!(started.levels(), [INFO; 3]);
    let said = watcher.look().unwrap();
    assert!(said.ends_with("ringlight.toml: `filter` changed"), "{said}");
    assert_eq!(started.levels(), [DEBUG; 3]);
    assert_eq!(watcher.look(), None);
}

#[test]
fn a_file_that_takes_the_place_of_another_is_seen() {
    let started = started("[telemetry]\nfilter = \"warn\"\n", &[], |_| {});
    let mut watcher = Watcher::new(Arc::clone(&started.reloader));
    assert_eq!(watcher.look(), None);
    // As editors do.
    let beside = started.dir.path().join("beside");
    fs::write(&beside, "[telemetry]\nfilter = \"info\"\n").unwrap();
    let about = fs::metadata(started.path()).unwrap();
    let file = fs::File::options().write(true).open(&beside).unwrap();
    file.set_modified(about.modified().unwrap()).unwrap();
    fs::rename(&beside, started.path()).unwrap();
    // Only the file itself is another one.
    let now = fs::metadata(started.path()).unwrap();
    assert_eq!(
        (now.len(), now.modified().unwrap()),
        (about.len(), about.modified().unwrap())
    );
    assert_eq!(watcher.look(), None);
    assert!(watcher.look().is_some());
    assert_eq!(started.levels(), [INFO; 3]);
}

#[cfg(unix)]
#[test]
fn a_directory_that_takes_the_place_of_another_is_seen() {
    use std::os::unix::fs::symlink;
    // As Kubernetes has a config map: the file is a link into a directory that is a link.
    let dir = tempfile::tempdir().unwrap();
    for (version, text) in [("1", "filter = \"warn\""), ("2", "filter = \"info\"")] {
        let version = dir.path().join(version);
        fs::create_dir(&version).unwrap();
        fs::write(
            version.join("ringlight.toml"),
            format!("[telemetry]\n{text}\n"),
        )
        .unwrap();
    }
    symlink("1", dir.path().join("..data")).unwrap();
    let path = dir.path().join("ringlight.toml");
    symlink("..data/ringlight.toml", &path).unwrap();
    let started = at(dir, path, &[], |_| {});
    let mut watcher = Watcher::new(Arc::clone(&started.reloader));
    assert_eq!(watcher.look(), None);
    let dir = started.dir.path();
    symlink("2", dir.join("..data_tmp")).unwrap();
    fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
    assert_eq!(watcher.look(), None);
    assert!(watcher.look().is_some());
    assert_eq!(started.levels(), [INFO; 3]);
}
