//! The guide's reference is that of the settings, and a service starts from its file.

#![cfg_attr(
    all(feature = "otel", feature = "profiling"),
    expect(clippy::unwrap_used, reason = "a test fails by panicking")
)]

#[cfg(all(feature = "otel", feature = "profiling"))]
#[expect(dead_code, reason = "others look at more of a record")]
mod kept;

#[cfg(feature = "otel")]
use std::sync::Arc;
#[cfg(feature = "otel")]
use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(feature = "otel")]
use std::time::Duration;
#[cfg(all(feature = "otel", feature = "profiling", target_os = "linux"))]
use std::time::Instant;

#[cfg(feature = "otel")]
use ringlight::collector::{EncodedBatch, ExportError, ExportOutcome, Exporter};
use ringlight::settings::SETTINGS;

#[cfg(feature = "otel")]
const LONG: Duration = Duration::from_secs(60);

#[cfg(feature = "profiling-alloc")]
#[global_allocator]
static ALLOCATOR: ringlight::RinglightAllocator = ringlight::RinglightAllocator::system();

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

#[test]
fn the_table_of_variables_has_those_of_the_settings() {
    let rows = include_str!("../src/lib.rs").lines();
    let rows: Vec<_> = rows.filter(|line| line.starts_with("//! | `")).collect();
    for variable in SETTINGS.iter().filter_map(|setting| setting.variable) {
        let name = format!("`{variable}`");
        let is_there = rows.iter().any(|row| row.contains(&name));
        assert!(is_there, "no {name} in the documentation of the crate");
    }
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

/// A destination that the program has of its own.
#[cfg(feature = "otel")]
#[derive(Default)]
struct Exported(Arc<AtomicU64>);

#[cfg(feature = "otel")]
impl Exporter for Exported {
    async fn export(&self, batch: EncodedBatch) -> Result<ExportOutcome, ExportError> {
        self.0
            .fetch_add(u64::from(batch.records), Ordering::Relaxed);
        Ok(ExportOutcome::default())
    }

    fn name(&self) -> &str {
        "own"
    }

    fn place(&self, _: ringlight::Signal) -> Option<&str> {
        Some("own")
    }
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
        let exported = Exported::default();
        let builder = ringlight::builder()
            .environment([("", ""); 0])
            .log_format(ringlight::LogFormat::Off)
            .exporter(Exported(Arc::clone(&exported.0)))
            .config_file(&file);
        let (dispatch, telemetry) = builder.build().unwrap();
        tracing::dispatcher::with_default(&dispatch, || {
            tracing::info_span!("work").in_scope(|| tracing::info!("done"));
        });
        let has_meters = telemetry.meter_provider().is_some();
        telemetry.shutdown(LONG);
        (has_meters, exported.0.load(Ordering::Relaxed) > 0)
    };
    assert_eq!(start(&text), (false, false));
    let names = || {
        let entries = std::fs::read_dir(dir.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(), ["shop.toml"]);
    // The same file with that one word changed does all of it.
    assert_eq!(start(&text.replace("false", "true")), (true, true));
    #[cfg(feature = "profiling")]
    assert_eq!(names(), ["shop.toml", "spool", "traces"]);
    let seen = backend.stop();
    assert!(seen.data().count() > 0);
}

/// Nobody looks at the runtime either, nor asks the clock or the allocator for spans, whatever the code asks for.
#[cfg(all(feature = "otel", feature = "profiling", target_os = "linux"))]
#[test]
fn what_is_off_watches_no_runtime_and_times_no_span() {
    let start = |disabled: &str| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        let kept = kept::Kept::default();
        let alive = runtime.block_on(async {
            let builder = ringlight::builder()
                .environment([("OTEL_SDK_DISABLED", disabled)])
                .log_format(ringlight::LogFormat::Off)
                .busy_times(true)
                .watch_current_runtime(true)
                .sink(kept.clone());
            let (dispatch, telemetry) = builder.build().unwrap();
            telemetry.watch_runtime(&tokio::runtime::Handle::current());
            tracing::dispatcher::with_default(&dispatch, || {
                tracing::info_span!("work").in_scope(|| std::hint::black_box(vec![1_u8; 100]));
            });
            let alive = tokio::runtime::Handle::current()
                .metrics()
                .num_alive_tasks();
            let until = Instant::now() + LONG;
            // A thread has its name a moment after it began.
            while alive > 0 && threads("ringlight-runtime") == 0 {
                assert!(Instant::now() < until, "a runtime is watched by a thread");
                std::thread::sleep(Duration::from_millis(1));
            }
            let found = (alive, threads("ringlight-runtime"));
            telemetry.shutdown(LONG);
            found
        });
        let [span] = &kept.named("work")[..] else {
            panic!("one span is recorded for the sink");
        };
        let names = span.fields.iter();
        let names = names.map(|field| field.split_once('=').unwrap().0.to_owned());
        (alive, names.collect::<Vec<_>>())
    };
    assert_eq!(start("true"), ((0, 0), Vec::new()));
    let (watched, fields) = start("false");
    assert_eq!(watched, (1, 1));
    let mut expected = vec!["busy_ns", "idle_ns"];
    if cfg!(feature = "profiling-alloc") {
        expected.extend(["alloc.bytes", "alloc.total.bytes"]);
    }
    for name in expected {
        assert!(fields.iter().any(|field| field == name), "{fields:?}");
    }
}

/// The threads of that name, of which the system keeps fifteen letters.
#[cfg(all(feature = "otel", feature = "profiling", target_os = "linux"))]
fn threads(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|found| found.trim() == &name[..15]).count()
}
