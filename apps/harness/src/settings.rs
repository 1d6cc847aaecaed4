//! The application's own file of settings.
//!
//! ```toml
//! [run]
//! workers = 4             # threads of the runtime, 1 to 64
//!
//! [telemetry]             # read by Ringlight
//! filter = "info"
//! ```

use std::path::Path;

use toml_edit::{Document, TableLike};

/// How an application runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunSettings {
    /// Threads of its runtime, 1..=64.
    pub(crate) workers: usize,
}

impl Default for RunSettings {
    fn default() -> Self {
        Self { workers: 2 }
    }
}

const WORKERS_MAX: i64 = 64;

impl RunSettings {
    /// What the table `[run]` of a file says; what it does not say is as without a file.
    ///
    /// # Errors
    /// The file cannot be read, is not TOML, or says something that is not known or not allowed.
    pub(crate) fn read(file: &Path) -> Result<Self, String> {
        let place = file.display();
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("cannot read {place}: {error}"))?;
        let document =
            Document::parse(text.as_str()).map_err(|error| format!("{place}: {error}"))?;
        let Some(run) = document.get("run") else {
            return Ok(Self::default());
        };
        run.as_table_like()
            .ok_or_else(|| "`run` is no table; hint: write `[run]`".to_owned())
            .and_then(Self::of)
            .map_err(|error| format!("{place}: {error}"))
    }

    fn of(table: &dyn TableLike) -> Result<Self, String> {
        let mut settings = Self::default();
        for (key, value) in table.iter() {
            if key != "workers" {
                return Err(format!(
                    "`run.{key}` is no setting; hint: there is `run.workers`"
                ));
            }
            settings.workers = value
                .as_integer()
                .filter(|workers| (1..=WORKERS_MAX).contains(workers))
                .and_then(|workers| usize::try_from(workers).ok())
                .ok_or_else(|| {
                    format!(
                        "`run.workers` is not allowed; hint: it is a whole number from 1 to {WORKERS_MAX}"
                    )
                })?;
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<usize, &str>) {
        let document = Document::parse(text).unwrap();
        let found = RunSettings::of(document.as_table()).map(|settings| settings.workers);
        match expected {
            Ok(workers) => assert_eq!(found, Ok(workers), "{text}"),
            Err(part) => {
                let error = found.expect_err(text);
                assert!(error.contains(part), "{text}: {error}");
            }
        }
    }

    #[test]
    fn workers_are_a_number_and_nothing_else_is_known() {
        check("", Ok(2));
        check("workers = 64", Ok(64));
        check("workers = 0", Err("1 to 64"));
        check("workers = 65", Err("1 to 64"));
        check("workers = \"4\"", Err("1 to 64"));
        check("threads = 4", Err("`run.threads` is no setting"));
    }
}
