//! `ringlight config show`: what a service's settings come to where it is run, and who said so.

use std::path::PathBuf;
use std::process::ExitCode;

use ringlight::InitError;
use ringlight::settings::{EffectiveSettings, SettingOrigin};
use serde_json::json;

use super::check::explained;
use super::{NO_SECTION, print, tell};
use crate::console::{Console, printable};
use crate::error::CliError;

pub(super) fn run(
    file: Option<PathBuf>,
    json: bool,
    console: Console,
) -> Result<ExitCode, CliError> {
    let builder = ringlight::builder();
    let builder = match file {
        Some(file) => builder.config_file(file),
        None => builder,
    };
    let holds = match builder.effective_settings() {
        Ok(holds) => holds,
        Err(InitError::Config(error)) => return Err(tell(&error, console)),
        Err(error) => return Err(explained(&error)),
    };
    for warning in &holds.warnings {
        console.warning(warning);
    }
    if json {
        return print(&as_json(&holds));
    }
    match &holds.file {
        None => console.line(
            "no file of settings: there is no `ringlight.toml` here, and `RINGLIGHT_CONFIG_FILE` names none",
        ),
        Some(file) if !holds.has_section => {
            console.line(&printable(&format!("{}: {NO_SECTION}", file.display())));
        }
        Some(_) => {}
    }
    print(&as_table(&holds))
}

/// Three columns, as wide as they have to be.
fn as_table(holds: &EffectiveSettings) -> String {
    let rows: Vec<[String; 3]> = holds
        .settings
        .iter()
        .map(|setting| {
            [&setting.key, &setting.value, &setting.origin.to_string()].map(|text| printable(text))
        })
        .collect();
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        // A long value must not push every other line out of the window.
        widths.max().unwrap_or(0).min(60)
    };
    let (first, second) = (width(0).max(7), width(1).max(5));
    let mut text = format!("{:first$}  {:second$}  FROM\n", "SETTING", "VALUE");
    for [key, value, origin] in &rows {
        text.push_str(&format!("{key:first$}  {value:second$}  {origin}\n"));
    }
    text
}

fn as_json(holds: &EffectiveSettings) -> String {
    let settings: Vec<_> = holds
        .settings
        .iter()
        .map(|setting| {
            let kind = match &setting.origin {
                SettingOrigin::CommandLine => "command line",
                SettingOrigin::Code => "code",
                SettingOrigin::Variable(_) => "variable",
                SettingOrigin::File(_) => "file",
                _ => "default",
            };
            json!({
                "key": setting.key,
                "value": setting.value,
                "from": kind,
                "place": match &setting.origin {
                    SettingOrigin::Variable(place) | SettingOrigin::File(place) => Some(place),
                    _ => None,
                },
            })
        })
        .collect();
    let document = json!({
        "file": holds.file,
        "settings": settings,
        "warnings": holds.warnings,
    });
    format!("{document}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let builder = ringlight::builder().environment([("OTEL_SERVICE_NAME", "a\u{1b}[2Jb")]);
        let table = as_table(&builder.effective_settings().unwrap());
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[0].starts_with("SETTING"), "{table}");
        let column = lines[0].find("FROM").unwrap();
        let named = lines
            .iter()
            .find(|line| line.starts_with("service_name "))
            .unwrap();
        assert!(named.contains("a\u{fffd}[2Jb"), "{named}");
        assert!(!table.contains('\u{1b}'));
        let origins = lines[1..]
            .iter()
            .filter(|line| line.get(column..) == Some("default"));
        assert!(origins.count() > 20, "{table}");
    }
}
