//! `ringlight config show`: what a service's settings come to where it is run, and who said so.

use std::path::PathBuf;
use std::process::ExitCode;

use ringlight::InitError;
use ringlight::settings::{EffectiveSettings, SettingOrigin};
use serde_json::json;

use super::check::explained;
use super::{NO_SECTION, print, tell};
use crate::console::{Console, printable, window};
use crate::error::CliError;
use crate::table::{Column, Table};

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
    print(&as_table(&holds, window()))
}

fn as_table(holds: &EffectiveSettings, window: Option<usize>) -> String {
    let columns = ["SETTING", "VALUE", "FROM"].map(|name| (name, Column::Text));
    let mut table = Table::new(columns);
    for setting in &holds.settings {
        let origin = setting.origin.to_string();
        table.row([setting.key.to_string(), setting.value.to_string(), origin]);
    }
    table.render(window)
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
        let table = as_table(&builder.effective_settings().unwrap(), None);
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
