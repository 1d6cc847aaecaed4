//! Log lines: how they look, and where they go.

use std::path::PathBuf;

use super::environment::Reader;
use super::limits::{LOG_FILE_BYTES_LEAST, LOG_FILES_KEPT_MOST};

/// How log lines look, and where they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
pub enum LogFormat {
    /// One readable line an event, on stderr; in colour as [`LogColor`] says.
    #[default]
    Text,
    /// Several readable lines an event, on stderr: its fields, its place in the source and the spans around it
    /// have lines of their own. For development.
    Pretty,
    /// One JSON object an event, on stdout.
    Json,
    /// No lines; all there is without the feature `fmt`.
    Off,
}

impl LogFormat {
    /// Its name: `text`, `pretty`, `json` or `off`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Pretty => "pretty",
            Self::Json => "json",
            Self::Off => "off",
        }
    }

    /// The format of a name: `text`, `pretty`, `json` or `off`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Text, Self::Pretty, Self::Json, Self::Off]
            .into_iter()
            .find(|format| format.name() == name)
    }
}

/// Whether lines for people are in colour. Meaning is never in the colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
pub enum LogColor {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`; elsewhere if `CLICOLOR_FORCE` is set and not `0`.
    #[default]
    Auto,
    /// Wherever they go, files apart.
    Always,
    /// Nowhere.
    Never,
}

impl LogColor {
    /// Its name: `auto`, `always` or `never`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }
    }

    /// What a name stands for: `auto`, `always` or `never`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Auto, Self::Always, Self::Never]
            .into_iter()
            .find(|color| color.name() == name)
    }
}

/// When a file of log lines gives way to a new one, besides when it is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
pub enum LogRotation {
    /// Only when it is full.
    #[default]
    Never,
    /// With every hour.
    Hourly,
    /// With every day, which begins at midnight UTC.
    Daily,
}

impl LogRotation {
    /// Its name: `never`, `hourly` or `daily`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Hourly => "hourly",
            Self::Daily => "daily",
        }
    }

    /// What a name stands for: `never`, `hourly` or `daily`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Never, Self::Hourly, Self::Daily]
            .into_iter()
            .find(|rotation| rotation.name() == name)
    }

    /// Seconds of one period, if there are periods.
    #[cfg(feature = "fmt")]
    pub(crate) const fn period_secs(self) -> Option<u64> {
        match self {
            Self::Never => None,
            Self::Hourly => Some(3_600),
            Self::Daily => Some(86_400),
        }
    }
}

/// A file of log lines, beside those on stderr or stdout.
///
/// New lines are in `path`; when it gives way to a new one it is renamed to `path` with a dot and the time (UTC)
/// behind it, such as `shop.jsonl.2026-11-30T02-15-00.123456Z`, and of these only the newest are kept. Files are for
/// their owner alone (mode 0600). Each process needs a file of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogFile {
    /// Where lines are written. Its directory is made if there is none.
    pub path: PathBuf,
    /// How they look. Default: JSON.
    pub format: LogFormat,
    /// When it gives way to a new one, besides when it is full. Default: never.
    pub rotation: LogRotation,
    /// Bytes of a file, at most, unless a single line is longer. Default 100 MiB; less than 64 KiB is taken for that.
    pub bytes_max: u64,
    /// Files that are kept besides the one that is written to, at most. Default 10; more than 10 000 is taken for that.
    pub files_kept: usize,
}

impl LogFile {
    /// The defaults, at this path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            format: LogFormat::Json,
            rotation: LogRotation::Never,
            bytes_max: 100 << 20,
            files_kept: 10,
        }
    }
}

impl<P: Into<PathBuf>> From<P> for LogFile {
    fn from(path: P) -> Self {
        Self::new(path)
    }
}

/// What the code says of log lines.
#[derive(Debug, Default)]
pub(crate) struct LineInputs {
    /// Of the command line.
    pub(crate) argument_format: Option<LogFormat>,
    pub(crate) format: Option<LogFormat>,
    pub(crate) color: Option<LogColor>,
    pub(crate) spans: Option<bool>,
    pub(crate) file: Option<LogFile>,
}

/// What holds of log lines.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lines {
    pub(crate) format: LogFormat,
    /// Whether lines for people are in colour; `None` where that is for the terminal to say.
    pub(crate) color: Option<bool>,
    /// Whether lines name the spans around them.
    pub(crate) spans: bool,
    pub(crate) file: Option<LogFile>,
}

const FILE: &str = "RINGLIGHT_LOG_FILE";
const FILE_FORMAT: &str = "RINGLIGHT_LOG_FILE_FORMAT";
const FILE_ROTATION: &str = "RINGLIGHT_LOG_FILE_ROTATION";
const FILE_SIZE_LIMIT: &str = "RINGLIGHT_LOG_FILE_SIZE_LIMIT";
const FILES_KEPT: &str = "RINGLIGHT_LOG_FILES_KEPT";

/// Puts code, variables and the file of settings together.
pub(super) fn lines(reader: &mut Reader<'_>, said: &LineInputs) -> Lines {
    const FORMATS: &str = "`text`, `pretty`, `json` or `off`";
    let format = reader.choice("RINGLIGHT_LOG_FORMAT", FORMATS, LogFormat::from_name);
    const COLORS: &str = "`auto`, `always` or `never`";
    let color = reader.choice("RINGLIGHT_LOG_COLOR", COLORS, LogColor::from_name);
    let spans = reader.said_truth("RINGLIGHT_LOG_SPANS");
    let by_variable = file(reader);
    Lines {
        format: (said.argument_format)
            .or(said.format)
            .or(format)
            .unwrap_or_default(),
        color: match said.color.or(color).unwrap_or_default() {
            LogColor::Always => Some(true),
            LogColor::Never => Some(false),
            LogColor::Auto => by_convention(reader),
        },
        spans: said.spans.or(spans).unwrap_or(true),
        file: said.file.clone().map(within_limits).or(by_variable),
    }
}

fn within_limits(file: LogFile) -> LogFile {
    LogFile {
        bytes_max: file.bytes_max.max(LOG_FILE_BYTES_LEAST),
        files_kept: file.files_kept.min(LOG_FILES_KEPT_MOST as usize),
        ..file
    }
}

/// What the variables say that many programs go by: <https://no-color.org>, <https://bixense.com/clicolors>.
fn by_convention(reader: &Reader<'_>) -> Option<bool> {
    let is_forced = reader.variable("CLICOLOR_FORCE").is_some_and(|v| v != "0");
    let is_dumb = reader.variable("TERM").is_some_and(|term| term == "dumb");
    let is_refused = reader.variable("CLICOLOR").is_some_and(|v| v == "0");
    if reader.variable("NO_COLOR").is_some() {
        Some(false)
    } else if is_forced {
        Some(true)
    } else {
        (is_dumb || is_refused).then_some(false)
    }
}

/// The file that variables ask for.
fn file(reader: &mut Reader<'_>) -> Option<LogFile> {
    let path = reader.text(FILE);
    let mut file = LogFile::new(path.clone().unwrap_or_default());
    const FORMATS: &str = "`json`, `text` or `pretty`";
    let of_file = |name: &str| LogFormat::from_name(name).filter(|f| *f != LogFormat::Off);
    if let Some(format) = reader.choice(FILE_FORMAT, FORMATS, of_file) {
        file.format = format;
    }
    const ROTATIONS: &str = "`never`, `hourly` or `daily`";
    if let Some(rotation) = reader.choice(FILE_ROTATION, ROTATIONS, LogRotation::from_name) {
        file.rotation = rotation;
    }
    if let Some(bytes) = reader.size(FILE_SIZE_LIMIT, LOG_FILE_BYTES_LEAST, "500MiB") {
        file.bytes_max = bytes;
    }
    let allowed = format!("0 to {LOG_FILES_KEPT_MOST}");
    let kept = |count| (count <= LOG_FILES_KEPT_MOST).then_some(count as usize);
    if let Some(count) = reader.number(FILES_KEPT, &allowed, kept) {
        file.files_kept = count;
    }
    path.map(|_| file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    fn read(variables: &[(&str, &str)], said: LineInputs) -> (Lines, Vec<String>) {
        let variables = variables.iter();
        let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let environment = Environment::Fixed(variables.collect());
        let mut reader = Reader::new(&environment);
        let lines = lines(&mut reader, &said);
        (lines, reader.warnings)
    }

    #[test]
    fn colour_goes_by_what_was_said_last_and_else_by_convention() {
        let check = |variables: &[(&str, &str)], said: Option<LogColor>, expected: Option<bool>| {
            let said = LineInputs {
                color: said,
                ..LineInputs::default()
            };
            let (lines, warnings) = read(variables, said);
            assert_eq!(lines.color, expected, "{variables:?}");
            assert!(warnings.is_empty(), "{warnings:?}");
        };
        check(&[], None, None);
        check(&[("NO_COLOR", "1")], None, Some(false));
        check(&[("NO_COLOR", "")], None, None);
        check(&[("CLICOLOR_FORCE", "1")], None, Some(true));
        check(&[("CLICOLOR_FORCE", "0")], None, None);
        check(&[("CLICOLOR", "0")], None, Some(false));
        let both = [("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")];
        check(&both, None, Some(false));
        check(&[("TERM", "dumb")], None, Some(false));
        check(&[("TERM", "xterm")], None, None);
        let always = [("NO_COLOR", "1"), ("RINGLIGHT_LOG_COLOR", "always")];
        check(&always, None, Some(true));
        check(&always, Some(LogColor::Never), Some(false));
        check(&always, Some(LogColor::Auto), Some(false));
    }

    #[test]
    fn variables_name_the_file_and_how_much_is_kept() {
        let (lines, warnings) = read(
            &[
                (FILE, "/var/log/shop.jsonl"),
                (FILE_FORMAT, "pretty"),
                (FILE_ROTATION, "daily"),
                (FILE_SIZE_LIMIT, "5MiB"),
                (FILES_KEPT, "3"),
                ("RINGLIGHT_LOG_FORMAT", "off"),
                ("RINGLIGHT_LOG_SPANS", "false"),
            ],
            LineInputs::default(),
        );
        assert!(warnings.is_empty(), "{warnings:?}");
        let file = LogFile {
            path: "/var/log/shop.jsonl".into(),
            format: LogFormat::Pretty,
            rotation: LogRotation::Daily,
            bytes_max: 5 << 20,
            files_kept: 3,
        };
        let expected = Lines {
            format: LogFormat::Off,
            color: None,
            spans: false,
            file: Some(file),
        };
        assert_eq!(lines, expected);

        let wrong = [
            (FILE, "shop.jsonl"),
            (FILE_FORMAT, "off"),
            (FILE_ROTATION, "weekly"),
            (FILE_SIZE_LIMIT, "1KiB"),
            (FILES_KEPT, "10001"),
        ];
        let (lines, warnings) = read(&wrong, LineInputs::default());
        assert_eq!(lines.file, Some(LogFile::new("shop.jsonl")));
        assert_eq!(warnings.len(), 4, "{warnings:?}");
        let in_code = LineInputs {
            file: Some(LogFile::new("code.jsonl")),
            ..LineInputs::default()
        };
        let (lines, _) = read(&wrong, in_code);
        assert_eq!(lines.file, Some(LogFile::new("code.jsonl")));
    }
}
