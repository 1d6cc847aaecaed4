//! Where batches are kept that cannot be sent, by variables.

use std::path::PathBuf;
use std::time::Duration;

use ringlight_collector::{SpoolConfig, SpoolMode};

use super::environment::Reader;
use super::limits::{SPOOL_AGE_LEAST, SPOOL_AGE_MOST, SPOOL_BYTES_LEAST};
use super::otlp::Origin;
use super::units;

const DIR: &str = "RINGLIGHT_SPOOL_DIR";
const MODE: &str = "RINGLIGHT_SPOOL_MODE";
const SIZE_LIMIT: &str = "RINGLIGHT_SPOOL_SIZE_LIMIT";
const MAX_AGE: &str = "RINGLIGHT_SPOOL_MAX_AGE";

/// The spool that variables ask for.
pub(super) fn spool(reader: &mut Reader<'_>) -> Option<SpoolConfig> {
    let mut spool = SpoolConfig::new(reader.text(DIR)?);
    let mode = reader.choice(MODE, "`overflow` or `always`", |text| match text {
        "overflow" => Some(SpoolMode::Overflow),
        "always" => Some(SpoolMode::Always),
        _ => None,
    });
    spool.mode = mode.unwrap_or_default();
    if let Some(bytes) = reader.size(SIZE_LIMIT, SPOOL_BYTES_LEAST, "500MiB") {
        spool.bytes_max = bytes;
    }
    if let Some(age) = age(reader) {
        spool.age_max = age;
    }
    Some(spool)
}

fn age(reader: &mut Reader<'_>) -> Option<Duration> {
    let ages = SPOOL_AGE_LEAST..=SPOOL_AGE_MOST;
    let allowed = format!(
        "a time from `{}` to `{}` in `s`, `m`, `h` or `d`, such as `12h`",
        units::written(*ages.start()),
        units::written(*ages.end())
    );
    reader.choice(MAX_AGE, &allowed, |text| {
        units::duration(text).filter(|age| ages.contains(age))
    })
}

/// What is left of a spool once the code has had its say. A directory that variables name, which is `by_variable`, and that
/// cannot be used is warned about, and what cannot be sent is kept in memory. One of the code is an error when the pipeline
/// starts.
pub(super) fn usable(
    reader: &mut Reader<'_>,
    spool: Option<SpoolConfig>,
    by_variable: Option<PathBuf>,
    is_look: bool,
) -> Option<SpoolConfig> {
    let Some(spool) = spool else {
        warn_of_what_needs_a_directory(reader);
        return None;
    };
    if by_variable.as_ref() == Some(&spool.dir)
        && let Some(warning) = unusable(&spool, is_look, &reader.origin(DIR))
    {
        reader.say(warning);
        return None;
    }
    Some(spool)
}

/// Where there is no directory, neither by a variable nor in code.
fn warn_of_what_needs_a_directory(reader: &mut Reader<'_>) {
    for name in [MODE, SIZE_LIMIT, MAX_AGE] {
        if reader.text(name).is_some() {
            let origin = reader.origin(name);
            reader.say(format!(
                "{origin} is ignored: nothing is kept on disk; hint: name a directory in `{DIR}`"
            ));
        }
    }
}

/// A warning if the directory cannot be used. It is made, and looked through, unless this is only to tell what holds: the
/// service, which may be another user, or running, has it to itself.
fn unusable(spool: &SpoolConfig, is_look: bool, origin: &Origin) -> Option<String> {
    let reason = match is_look {
        true if spool.dir.exists() && !spool.dir.is_dir() => {
            format!("{} is no directory", spool.dir.display())
        }
        true => return None,
        false => spool.probe().err()?.to_string(),
    };
    Some(format!(
        "{origin} is ignored, what cannot be sent is kept in memory as far as there is room: {reason}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    fn read(variables: &[(&str, &str)]) -> (Option<SpoolConfig>, Vec<String>) {
        let variables = variables.iter();
        let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let environment = Environment::Fixed(variables.collect());
        let mut reader = Reader::new(&environment);
        let spool = spool(&mut reader);
        (spool, reader.warnings)
    }

    #[test]
    fn variables_say_where_and_how_much() {
        assert!(read(&[(MODE, "always")]).0.is_none());
        let (spool, warnings) = read(&[
            (DIR, "/var/lib/shop"),
            (MODE, "always"),
            (SIZE_LIMIT, "500MiB"),
            (MAX_AGE, "12h"),
        ]);
        let spool = spool.unwrap();
        assert_eq!(spool.dir.to_str(), Some("/var/lib/shop"));
        assert_eq!(spool.mode, SpoolMode::Always);
        assert_eq!(spool.bytes_max, 500 << 20);
        assert_eq!(spool.age_max, Duration::from_secs(12 * 3600));
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn what_is_said_of_a_spool_that_is_none_is_warned_about() {
        let said = |dir_in_code: Option<&str>| {
            let dir = dir_in_code.map(str::to_owned);
            let mut inputs = crate::config::Inputs {
                environment: Environment::Fixed([(MODE.to_owned(), "always".to_owned())].into()),
                ..Default::default()
            };
            inputs
                .changes
                .add(move |pipeline| pipeline.spool = dir.map(SpoolConfig::new));
            crate::config::Settings::resolve(inputs).unwrap().warnings
        };
        let [warning] = &said(None)[..] else {
            panic!("one warning");
        };
        assert!(
            warning.starts_with("`RINGLIGHT_SPOOL_MODE` is ignored"),
            "{warning}"
        );
        assert!(warning.ends_with("name a directory in `RINGLIGHT_SPOOL_DIR`"));
        assert_eq!(said(Some("/var/lib/shop")), [""; 0]);
    }

    #[test]
    fn a_bad_value_is_warned_about_and_the_default_stands() {
        for (name, value) in [
            (MODE, "sometimes"),
            (SIZE_LIMIT, "1KiB"),
            (SIZE_LIMIT, "1G"),
            (SIZE_LIMIT, "4 parsecs"),
            (SIZE_LIMIT, "99999999999999GiB"),
            (MAX_AGE, "0d"),
            (MAX_AGE, "3"),
        ] {
            let (spool, warnings) = read(&[(DIR, "/d"), (name, value)]);
            let (spool, default) = (spool.unwrap(), SpoolConfig::new("/d"));
            assert_eq!(spool.mode, default.mode);
            assert_eq!(
                (spool.bytes_max, spool.age_max),
                (default.bytes_max, default.age_max)
            );
            assert_eq!(warnings.len(), 1, "{name}={value}");
            assert!(
                warnings[0].starts_with(&format!("`{name}` is `{value}`")),
                "{warnings:?}"
            );
        }
    }
}
