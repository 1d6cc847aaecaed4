//! Processes whose file of settings is read again at SIGHUP.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "others start their processes by it")]
mod child;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Once};

use child::{end, program, signal};
use ringlight_testing::{Backend, PATIENCE};
use signal_hook::consts::SIGHUP;

/// The example that takes orders.
struct Shop {
    child: Child,
    orders: ChildStdin,
    said: Receiver<String>,
}

/// What a process says, line by line.
fn lines(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            if tell.send(line.unwrap()).is_err() {
                return;
            }
        }
    });
    told
}

impl Shop {
    /// Starts it by this command, of which the program is the last argument.
    fn start_by(command: &[&str], file: &Path) -> Self {
        // What is ignored stays so in a new program, and these tests may have been started by `nohup`; what is caught
        // becomes the default.
        static CAUGHT: Once = Once::new();
        CAUGHT.call_once(|| {
            signal_hook::flag::register(SIGHUP, Arc::default()).unwrap();
        });
        let program = program("reloading");
        let mut words = command.iter().map(std::ffi::OsStr::new).collect::<Vec<_>>();
        words.push(program.as_os_str());
        let mut child = Command::new(words[0])
            .args(&words[1..])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("RINGLIGHT_CONFIG_FILE", file)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            orders: child.stdin.take().unwrap(),
            said: lines(child.stderr.take().unwrap()),
            child,
        }
    }

    fn start(file: &Path) -> Self {
        Self::start_by(&[], file)
    }

    /// Has it take so many orders. What it says meanwhile.
    fn order(&mut self, count: usize) -> Vec<String> {
        for _ in 0..count {
            writeln!(self.orders, "tea").unwrap();
        }
        let mut said = Vec::new();
        let mut left = count;
        while left > 0 {
            let line = self.said.recv_timeout(PATIENCE).unwrap();
            left -= usize::from(line.starts_with("taken "));
            said.push(line);
        }
        said
    }

    /// What the system says of its signals: whether SIGHUP is in the mask of that name.
    #[cfg(target_os = "linux")]
    fn has(&self, mask: &str) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix(mask));
        let mask = u64::from_str_radix(mask.unwrap().trim(), 16).unwrap();
        mask >> (SIGHUP - 1) & 1 == 1
    }

    /// Sends the signal and waits for what is said of it.
    fn hang_up(&self) -> String {
        signal(self.child.id(), "HUP");
        loop {
            let line = self.said.recv_timeout(PATIENCE).unwrap();
            if let Some((_, said)) = line.split_once("ringlight: settings ") {
                return said.to_owned();
            }
        }
    }

    /// Takes no more orders, which is the end.
    fn close(self) {
        drop(self.orders);
        assert!(end(self.child).status.success());
    }
}

#[test]
#[should_panic(expected = "cargo build -p ringlight --example no_such_example")]
fn an_example_that_is_not_built_is_named_with_the_command_that_builds_it() {
    program("no_such_example");
}

#[test]
fn levels_sampling_and_redaction_change_at_the_signal_and_the_process_goes_on() {
    let backend = Backend::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("shop.toml");
    let write = |text: &str| {
        let endpoint = backend.url();
        let text = format!(
            "[telemetry]\nreload_on_hangup = true\notlp_endpoint = {endpoint:?}\nlog_spans = false\n{text}"
        );
        std::fs::write(&file, text).unwrap();
    };
    let card = "4012888888881881";
    let has = |said: &[String], text: &str| said.iter().any(|line| line.contains(text));

    write("filter = \"info\"\n");
    let mut shop = Shop::start(&file);
    let said = shop.order(1);
    assert!(has(&said, card) && !has(&said, "looking"), "{said:?}");

    write("filter = \"debug\"\nsample_rate = 0\nredact = \"standard\"\n");
    let said = shop.order(1);
    assert!(
        !has(&said, "looking"),
        "nothing changes before the signal: {said:?}"
    );
    let told = shop.hang_up();
    assert!(
        told.ends_with("`filter`, `sample_rate`, `redact` changed"),
        "{told}"
    );
    let said = shop.order(10);
    assert!(has(&said, "looking") && !has(&said, card), "{said:?}");

    write("filter = \"warn\"\nsample_rate = 0.5\nredact = \"standard\"\n");
    shop.hang_up();
    let said = shop.order(1);
    assert!(!has(&said, "ordered"), "{said:?}");
    write("filter = \"info\"\nsample_rate = 0.5\nredact = \"standard\"\n");
    shop.hang_up();
    shop.order(400);

    // What is wrong changes nothing, and does not end it.
    write("sample_rate = 5\n");
    let told = shop.hang_up();
    assert!(
        told.starts_with("stay as they are: ") && told.contains("`sample_rate` is `5`"),
        "{told}"
    );
    shop.close();

    let seen = backend.stop();
    let numbers: Vec<u64> = numbers(&seen);
    // Two before the first signal, none of ten at a rate of 0, half of 400 at 0.5, the last at nine deviations.
    assert_eq!(numbers.iter().filter(|number| **number <= 2).count(), 2);
    assert!(
        !numbers.iter().any(|number| (3..=12).contains(number)),
        "{numbers:?}"
    );
    let sampled = numbers.iter().filter(|number| **number > 13).count();
    assert!((110..=290).contains(&sampled), "{sampled}");
    for (span, number) in seen.spans().iter().zip(&numbers) {
        let card = span
            .attributes
            .iter()
            .find(|attribute| attribute.key == "card");
        let is_shown = format!("{card:?}").contains("4012888888881881");
        assert_eq!(is_shown, *number <= 2, "{span:?}");
    }
}

/// The number of the order each span is of.
fn numbers(seen: &ringlight_testing::Seen) -> Vec<u64> {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    let number = |span: &opentelemetry_proto::tonic::trace::v1::Span| {
        let number = span
            .attributes
            .iter()
            .find(|attribute| attribute.key == "number");
        match number.unwrap().value.clone().unwrap().value {
            Some(Value::IntValue(number)) => u64::try_from(number).unwrap(),
            other => panic!("{other:?}"),
        }
    };
    seen.spans().iter().map(number).collect()
}

/// It ends the process, as by default, where nobody asked for anything else.
#[test]
fn who_does_not_ask_for_it_is_ended_by_the_signal() {
    use std::os::unix::process::ExitStatusExt as _;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("shop.toml");
    std::fs::write(&file, "[telemetry]\nfilter = \"info\"\n").unwrap();
    let mut shop = Shop::start(&file);
    shop.order(1);
    #[cfg(target_os = "linux")]
    assert!(!shop.has("SigCgt:"));
    signal(shop.child.id(), "HUP");
    assert_eq!(end(shop.child).status.signal(), Some(SIGHUP));
}

/// As after `nohup`, and so for all that the process starts.
#[cfg(target_os = "linux")]
#[test]
fn what_is_ignored_stays_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("shop.toml");
    std::fs::write(&file, "[telemetry]\nreload_on_hangup = true\n").unwrap();
    let ignoring = ["sh", "-c", "trap '' HUP; exec \"$0\""];
    let mut shop = Shop::start_by(&ignoring, &file);
    let said = shop.order(1);
    let told = "settings are not read again at SIGHUP: the process was started with SIGHUP ignored";
    assert!(said.iter().any(|line| line.contains(told)), "{said:?}");
    assert!(shop.has("SigIgn:") && !shop.has("SigCgt:"));
    signal(shop.child.id(), "HUP");
    shop.order(1);
    shop.close();
}
