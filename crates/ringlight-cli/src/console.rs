//! What people see: lines on standard error, in colour only on a terminal that wants it.

use std::io::{IsTerminal as _, Write as _};

use crate::error::{CliError, Exit};

/// Standard error, as a terminal or not. A write that fails is ignored: nobody could be told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Console {
    terminal: bool,
    colour: bool,
}

impl Console {
    pub(crate) fn stderr() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self {
            terminal,
            colour: terminal && !refused,
        }
    }

    pub(crate) fn is_terminal(self) -> bool {
        self.terminal
    }

    pub(crate) fn line(self, text: &str) {
        let mut stderr = std::io::stderr().lock();
        let _ = writeln!(stderr, "{}{text}", self.cleared());
    }

    /// A line that the next one takes the place of; only on a terminal.
    pub(crate) fn progress(self, text: &str) {
        if self.terminal {
            let mut stderr = std::io::stderr().lock();
            let _ = write!(stderr, "{}{text}", self.cleared());
            let _ = stderr.flush();
        }
    }

    pub(crate) fn error(self, error: &CliError) {
        self.labelled("error", "31", &error.message);
        if let Some(hint) = &error.hint {
            self.labelled("hint", "36", hint);
        }
    }

    pub(crate) fn warning(self, text: &str) {
        self.labelled("warning", "33", text);
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.painted("1", text)
    }

    fn labelled(self, label: &str, colour: &str, text: &str) {
        let label = self.painted(&format!("1;{colour}"), &format!("{label}:"));
        self.line(&format!("{label} {}", printable(text)));
    }

    fn painted(self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// Clears a progress line that may be there.
    fn cleared(self) -> &'static str {
        if self.terminal { "\r\x1b[2K" } else { "" }
    }
}

/// Data for standard output. That nobody reads it any longer is no error.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    let mut stdout = std::io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(cannot_print(error)),
        _ => Ok(()),
    }
}

/// How many characters a line of standard output has room for; `None` where it is no terminal, or one that does not say.
pub(crate) fn window() -> Option<usize> {
    let stdout = std::io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(stdout).ok()?;
    (size.ws_col > 0).then(|| size.ws_col.into())
}

pub(crate) fn cannot_print(error: std::io::Error) -> CliError {
    CliError::new(
        Exit::Failure,
        format!("cannot write to standard output: {error}"),
    )
    .with_hint("check the room on the disk it is redirected to")
}

/// The text without control characters, which could come from a file name or another process and
/// take the terminal over.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            // Those that turn the direction of what follows are none to Unicode, and yet move what is beside them.
            let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            if turns || c.is_control() && c != '\n' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\nc"), "a\u{fffd}[2Jb\nc");
    }
}
