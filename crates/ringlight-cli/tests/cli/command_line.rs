//! What a wrong command line gets, and how output behaves.

use std::process::Stdio;

use crate::common::{ringlight, run, text};

#[track_caller]
fn check(args: &[&str], code: i32, error: &str, hint: &str) {
    let output = run(args);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{args:?}");
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{args:?}: {stderr}");
    assert!(lines[0].starts_with("error: "), "{stderr}");
    assert!(lines[0].contains(error), "{stderr}");
    assert!(lines[1].starts_with("hint: "), "{stderr}");
    assert!(lines[1].contains(hint), "{stderr}");
}

#[test]
fn a_wrong_command_line_is_one_line_a_hint_and_exit_code_2() {
    check(&["up", "--lisen", "::1"], 2, "'--lisen'", "'--listen'");
    check(&["dmeo"], 2, "'dmeo'", "'demo'");
    check(
        &["demo", "--duration", "20"],
        2,
        "`20` has no unit",
        "`20s`",
    );
    check(&["demo", "--rate", "x"], 2, "'x'", "--help");
    check(&["up", "--size-limit", "1"], 2, "too small", "`16MiB`");
    check(&["completions", "tcsh"], 2, "'tcsh'", "--help");
}

#[test]
fn fault_32_only_loopback_is_listened_on() {
    check(&["up", "--listen", "0.0.0.0"], 2, "only loopback", "ssh -L");
    check(
        &["demo", "--listen", "10.0.0.1"],
        2,
        "only loopback",
        "ssh -L",
    );
}

#[test]
fn help_is_data_with_an_example_and_the_exit_codes() {
    for command in [
        &["--help"][..],
        &["up", "--help"],
        &["demo", "--help"],
        &["check", "--help"],
    ] {
        let output = run(command);
        let help = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stderr.is_empty());
        assert!(help.contains("  ringlight "), "{help}");
        assert!(help.contains("Exit codes:"), "{help}");
        assert!(!help.contains('\x1b'), "colour without a terminal: {help}");
    }
    assert_eq!(run(&[]).status.code(), Some(2));
}

/// Adds what `--help` says of a command, and then of those below it.
fn add_to_reference(command: &str, reference: &mut String) {
    let args = command.split_whitespace().chain(["--help"]);
    let help = text(&run(&args.collect::<Vec<_>>()).stdout);
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    reference.push_str(&format!(
        "\n## `{}`\n\n```text\n{}\n```\n",
        format!("ringlight {command}").trim_end(),
        help.join("\n").trim_end()
    ));
    let below = help.iter().skip_while(|line| **line != "Commands:").skip(1);
    let below = below.take_while(|line| !line.is_empty());
    // What a name stands for goes on in lines that begin further in.
    let names = below.filter_map(|line| {
        line.strip_prefix("  ")
            .filter(|line| !line.starts_with(' '))
    });
    for name in names.filter_map(|line| line.split_whitespace().next()) {
        add_to_reference(format!("{command} {name}").trim_start(), reference);
    }
}

/// The reference is what `--help` says, word for word.
#[test]
fn the_reference_is_what_help_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/command-line.md");
    let mut reference = String::from(
        "# The command line\n\n\
         Made from `--help` by a test; `RINGLIGHT_UPDATE=1 cargo test -p ringlight-cli reference` \
         writes it\nanew. Data goes to standard output, everything else to standard error; an error \
         is one line and a\n`hint:` line.\n",
    );
    add_to_reference("", &mut reference);
    if std::env::var_os("RINGLIGHT_UPDATE").is_some() {
        std::fs::write(path, &reference).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == reference,
        "docs/command-line.md is not what `--help` says"
    );
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0));
        // A command, and a flag that another one alone has.
        for word in ["demo", "since"] {
            assert!(text(&output.stdout).contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn a_closed_pipe_is_no_error() {
    for args in [&["completions", "bash"][..], &["--help"]] {
        let mut child = ringlight()
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(text(&output.stderr), "", "{args:?}");
        assert_eq!(output.status.code(), Some(0), "{args:?}");
    }
}

#[test]
fn without_a_home_a_data_directory_must_be_named() {
    let output = ringlight()
        .arg("up")
        .env_remove("HOME")
        .env_remove("XDG_DATA_HOME")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(text(&output.stderr).contains("hint: name a directory with `--data-dir`"));
}
