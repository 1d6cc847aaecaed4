//! How tokio's runtimes are watched, and whether `tokio-console` sees their tasks, by variables and the file.

#[cfg(feature = "tokio-console")]
use std::net::{SocketAddr, ToSocketAddrs as _};
#[cfg(feature = "profiling")]
use std::time::Duration;

use super::environment::Reader;
#[cfg(feature = "tokio-console")]
use crate::InitError;
#[cfg(feature = "profiling")]
use crate::runtime::RuntimeConfig;

const WATCH_CURRENT: &str = "RINGLIGHT_WATCH_CURRENT_RUNTIME";
const BLOCKED_AFTER: &str = "RINGLIGHT_BLOCKED_WORKER_AFTER";
const CONSOLE: &str = "RINGLIGHT_TOKIO_CONSOLE";
#[cfg(feature = "tokio-console")]
const CONSOLE_BIND: &str = "TOKIO_CONSOLE_BIND";

/// What the code says of watching.
#[cfg(feature = "profiling")]
#[derive(Debug, Default)]
pub(crate) struct RuntimeInputs {
    pub(crate) watches_current: Option<bool>,
    pub(crate) blocked_after: Option<Duration>,
}

#[cfg(feature = "profiling")]
pub(super) fn runtime(reader: &mut Reader<'_>, inputs: &RuntimeInputs) -> RuntimeConfig {
    let default = RuntimeConfig::default();
    let watches_current = inputs.watches_current;
    let blocked_after =
        (inputs.blocked_after).or_else(|| reader.time_or_never(BLOCKED_AFTER, "100ms", "0ms"));
    RuntimeConfig {
        watches_current: watches_current
            .or_else(|| reader.said_truth(WATCH_CURRENT))
            .unwrap_or(default.watches_current),
        blocked_after: blocked_after.unwrap_or(default.blocked_after),
    }
}

/// What is asked for and is not in this build.
#[cfg(not(feature = "profiling"))]
pub(super) fn warn_of_what_is_missing(reader: &mut Reader<'_>) {
    for name in [WATCH_CURRENT, BLOCKED_AFTER] {
        reader.warn_without(name, "profiling");
    }
}

/// Whether `tokio-console` is to see tasks, by the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ConsoleInput {
    /// As variables and the file say.
    #[default]
    Unsaid,
    Wanted,
    /// There is no place for it, whatever is said.
    Impossible,
}

/// Where `tokio-console` connects to, if it is to, and anything is shown to anybody.
///
/// # Errors
/// The code asks for it, and it cannot be had.
#[cfg(feature = "tokio-console")]
pub(super) fn console(
    reader: &mut Reader<'_>,
    input: ConsoleInput,
    is_disabled: bool,
) -> Result<Option<SocketAddr>, InitError> {
    let is_wanted = match input {
        ConsoleInput::Unsaid => !is_disabled && reader.truth(CONSOLE),
        ConsoleInput::Wanted => !is_disabled,
        ConsoleInput::Impossible => false,
    };
    if !is_wanted {
        return Ok(None);
    }
    match (place(reader), input) {
        (Err((reason, hint)), ConsoleInput::Wanted) => {
            Err(InitError::TokioConsole { reason, hint })
        }
        // Neither a variable nor a file keeps a service from starting where its build has no console.
        (Err((reason, hint)), _) => {
            let origin = reader.origin(CONSOLE);
            let warning = format!("{origin} is ignored: {reason}; hint: {hint}");
            if cfg!(tokio_unstable) {
                reader.say(warning);
            } else {
                reader.say_of_build(warning);
            }
            Ok(None)
        }
        (Ok(address), _) => Ok(Some(address)),
    }
}

/// Where it connects to, or why it cannot and what to do.
#[cfg(feature = "tokio-console")]
fn place(reader: &Reader<'_>) -> Result<SocketAddr, (String, &'static str)> {
    const DEFAULT: &str = "127.0.0.1:6669";
    if !cfg!(tokio_unstable) {
        return Err((
            "tokio tells nothing of its tasks in this build".to_owned(),
            "build the program with `RUSTFLAGS=\"--cfg tokio_unstable\"`, or do not ask for it",
        ));
    }
    let place = reader.text(CONSOLE_BIND);
    let place = place.as_deref().unwrap_or(DEFAULT);
    let mut found = place.to_socket_addrs().into_iter().flatten();
    found.next().ok_or_else(|| {
        let origin = reader.origin(CONSOLE_BIND);
        (
            format!("{origin} is `{place}`, which is no address"),
            "write host and port, for instance `127.0.0.1:6669`",
        )
    })
}

/// What is asked for and is not in this build.
#[cfg(not(feature = "tokio-console"))]
pub(super) fn warn_of_no_console(reader: &mut Reader<'_>, input: ConsoleInput, is_disabled: bool) {
    if !is_disabled && input != ConsoleInput::Impossible && reader.truth(CONSOLE) {
        reader.warn_without(CONSOLE, "tokio-console");
    }
}

#[cfg(test)]
mod tests {
    use crate::config::environment::Environment;

    use super::*;

    #[cfg(feature = "profiling")]
    #[test]
    fn code_holds_over_variables_and_what_is_no_time_is_told() {
        let check = |inputs: RuntimeInputs, said: [&str; 2], expected: (bool, u64), told: usize| {
            let names = [WATCH_CURRENT, BLOCKED_AFTER].map(str::to_owned);
            let values = said.map(str::to_owned);
            let environment = Environment::Fixed(names.into_iter().zip(values).collect());
            let mut reader = Reader::new(&environment);
            let found = runtime(&mut reader, &inputs);
            let after = Duration::from_millis(expected.1);
            let found = (found.watches_current, found.blocked_after);
            assert_eq!(found, (expected.0, after));
            assert_eq!(reader.warnings.len(), told, "{:?}", reader.warnings);
        };
        let unsaid = RuntimeInputs::default;
        check(unsaid(), ["", ""], (true, 100), 0);
        check(unsaid(), ["false", "250ms"], (false, 250), 0);
        check(unsaid(), ["true", "0ms"], (true, 0), 0);
        check(unsaid(), ["no", "250"], (true, 100), 2);
        check(unsaid(), ["", "2h"], (true, 100), 1);
        let in_code = RuntimeInputs {
            watches_current: Some(true),
            blocked_after: Some(Duration::from_secs(1)),
        };
        check(in_code, ["false", "250ms"], (true, 1_000), 0);
    }

    /// One that has been asked for, where that is no part of the build.
    #[cfg(not(all(feature = "profiling", feature = "tokio-console")))]
    #[test]
    fn what_is_not_in_this_build_is_told() {
        let names = [WATCH_CURRENT, CONSOLE];
        let said = names.map(|name| (name.to_owned(), "true".to_owned()));
        let environment = Environment::Fixed(said.into());
        let mut reader = Reader::new(&environment);
        let mut expected = Vec::new();
        #[cfg(not(feature = "profiling"))]
        {
            warn_of_what_is_missing(&mut reader);
            expected.push((WATCH_CURRENT, "profiling"));
        }
        #[cfg(not(feature = "tokio-console"))]
        {
            warn_of_no_console(&mut reader, ConsoleInput::Impossible, false);
            warn_of_no_console(&mut reader, ConsoleInput::Unsaid, true);
            warn_of_no_console(&mut reader, ConsoleInput::Unsaid, false);
            expected.push((CONSOLE, "tokio-console"));
        }
        let expected = expected.into_iter().map(|(name, feature)| {
            format!(
                "`{name}` is ignored: this build does not have it; hint: enable the feature `{feature}`"
            )
        });
        assert_eq!(reader.warnings, expected.collect::<Vec<_>>());
    }
}
