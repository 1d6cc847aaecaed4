//! Wrong command lines, told in one line and a hint.

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser as _};

use crate::address::shown_word;
use crate::args::Cli;
use crate::console::Console;
use crate::error::{CliError, Exit};

/// Prints what clap has to say and gives the exit code: help and version to standard output, an
/// error as one line and a hint.
pub(crate) fn explain(error: &clap::Error, console: Console) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A closed pipe is no error, and for another there is nobody to tell.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            console.line(&error.render().to_string());
            Exit::Usage.into()
        }
        _ => {
            let words: Vec<String> = std::env::args_os()
                .skip(1)
                .map(|word| word.to_string_lossy().into_owned())
                .collect();
            console.error(&described(error, &words));
            Exit::Usage.into()
        }
    }
}

/// One line and a hint, from the paragraphs clap writes: what is wrong, tips, usage.
fn described(error: &clap::Error, words: &[String]) -> CliError {
    let rendered = error.render().to_string();
    let command = command_of(&words[..words.len().min(2)]);
    let what: Vec<&str> = rendered
        .lines()
        .take_while(|line| !line.trim().is_empty())
        .map(str::trim)
        .collect();
    let what = shown(what.join(" "), words);
    let message = what.strip_prefix("error: ").unwrap_or(&what);
    let tip = rendered
        .lines()
        .find_map(|line| line.trim().strip_prefix("tip: "));
    let see = format!("`{command} --help` shows what there is");
    let tip = tip.map(|tip| shown(tip.to_owned(), words));
    let tip = tip.or(program_tip(error, words));
    CliError::new(Exit::Usage, message).with_hint(match tip {
        Some(tip) => format!("{tip}; {see}"),
        None => see,
    })
}

/// A text of clap's, with the addresses of the command line as they may be shown.
fn shown(text: String, words: &[String]) -> String {
    let values = words.iter().filter_map(|word| word.split_once('='));
    let values = values.map(|(_, value)| value);
    let addresses = words.iter().map(String::as_str).chain(values);
    addresses
        .filter(|word| word.contains("://"))
        .fold(text, |text, word| text.replace(word, &shown_word(word)))
}

/// How to run a program, if that is what the words look like: `up cargo run` instead of
/// `up -- cargo run`.
fn program_tip(error: &clap::Error, words: &[String]) -> Option<String> {
    let Some(ContextValue::String(unexpected)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let is_program = error.kind() == ErrorKind::UnknownArgument
        && words[0] == "up"
        && !unexpected.starts_with('-');
    // The same word may be a flag's value before.
    let at = words.iter().enumerate().position(|(at, word)| {
        word == unexpected
            && Cli::try_parse_from(
                ["ringlight"]
                    .into_iter()
                    .chain(words[..at].iter().map(String::as_str)),
            )
            .is_ok()
    })?;
    is_program.then(|| {
        let (flags, program) = (quoted(&words[..at]), quoted(&words[at..]));
        format!("to run a program, write `ringlight {flags} -- {program}`")
    })
}

/// Words as a shell reads them, without what addresses in them may hold that is secret.
fn quoted(words: &[String]) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./:,@%".contains(c);
    let quoted = words.iter().map(|word| {
        let word = shown_word(word);
        if !word.is_empty() && word.chars().all(is_plain) {
            word
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// The command that the first words name, as far as they name one.
fn command_of(words: &[String]) -> String {
    let mut known = Cli::command();
    let mut name = known.get_name().to_owned();
    for word in words {
        let Some(next) = known.find_subcommand(word).cloned() else {
            break;
        };
        known = next;
        name = format!("{name} {word}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(args: &[&str], message: &str, hint: &str) {
        let words = ["ringlight"].iter().chain(args);
        let error = Cli::try_parse_from(words).unwrap_err();
        let words: Vec<String> = args.iter().map(ToString::to_string).collect();
        let error = described(&error, &words);
        assert_eq!(error.message, message);
        assert_eq!(error.hint.unwrap(), hint);
    }

    #[test]
    fn a_wrong_command_line_is_one_line_and_a_hint() {
        check(
            &["up", "--prot", "1"],
            "unexpected argument '--prot' found",
            "to pass '--prot' as a value, use '-- --prot'; `ringlight up --help` shows what there is",
        );
        check(
            &["up", "--grpc-prot", "1"],
            "unexpected argument '--grpc-prot' found",
            "a similar argument exists: '--grpc-port'; `ringlight up --help` shows what there is",
        );
        check(
            &["up", "--retention", "1d", "cargo", "run", "--release"],
            "unexpected argument 'cargo' found",
            "to run a program, write `ringlight up --retention 1d -- cargo run --release`; \
             `ringlight up --help` shows what there is",
        );
        check(
            &["up", "--data-dir", "sh", "sh", "-c", "echo it's"],
            "unexpected argument 'sh' found",
            "to run a program, write `ringlight up --data-dir sh -- sh -c 'echo it'\\''s'`; \
             `ringlight up --help` shows what there is",
        );
        check(
            &["up", "--forward", "https://h/?token=s3cret", "cargo", "run"],
            "unexpected argument 'cargo' found",
            "to run a program, write `ringlight up --forward 'https://h/?…' -- cargo run`; \
             `ringlight up --help` shows what there is",
        );
        check(
            &["demo", "https://me:s3cret@h/?token=s3cret"],
            "unexpected argument 'https://…@h/?…' found",
            "`ringlight demo --help` shows what there is",
        );
        check(
            &["up", "--json=https://me:s3cret@h"],
            "unexpected value 'https://…@h' for '--json' found; no more were expected",
            "`ringlight up --help` shows what there is",
        );
        check(
            &["demo", "cargo"],
            "unexpected argument 'cargo' found",
            "`ringlight demo --help` shows what there is",
        );
        check(
            &["demo", "--rate", "0"],
            "invalid value '0' for '--rate <N>': 0 is not in 1..=1000000",
            "`ringlight demo --help` shows what there is",
        );
        check(
            &["app", "model", "--port", "x"],
            "invalid value 'x' for '--port <PORT>': invalid digit found in string",
            "`ringlight app model --help` shows what there is",
        );
        check(
            &["dmeo"],
            "unrecognized subcommand 'dmeo'",
            "a similar subcommand exists: 'demo'; `ringlight --help` shows what there is",
        );
    }
}
