//! `ringlight config migrate`: rewrites a file that has sections of earlier versions.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ringlight::InitError;

use super::check::explained;
use super::rewrite::rewrite;
use super::{here, print, tell};
use crate::console::Console;
use crate::error::{CliError, Exit};

pub(super) fn run(
    file: Option<PathBuf>,
    is_dry: bool,
    console: Console,
) -> Result<ExitCode, CliError> {
    let file = match file {
        Some(file) => file,
        None => here("migrate")?,
    };
    let before = values(&file, console)?;
    let text = std::fs::read_to_string(&file).map_err(|error| cannot("read", &file, &error))?;
    let new = rewrite(&file, &text)
        .map_err(|error| CliError::new(Exit::Failure, format!("{}: {error}", file.display())))?;
    let changes = new.changes.iter();
    let changes: String = changes
        .map(|change| format!("{}: {change}\n", file.display()))
        .collect();
    let told = match new.changes.is_empty() {
        true => format!(
            "{}: nothing to do, it has no sections of earlier versions\n",
            file.display()
        ),
        false => changes,
    };
    if is_dry {
        console.line(told.trim_end());
        return print(&new.text);
    }
    if new.changes.is_empty() {
        return print(&told);
    }
    let replacement =
        Replacement::beside(&file).map_err(|error| cannot("write beside", &file, &error))?;
    replacement
        .write(&new.text)
        .map_err(|error| cannot("write beside", &file, &error))?;
    if values(&replacement.path, console)? != before {
        let message = format!("{}: rewritten, it would say something else", file.display());
        return Err(CliError::new(Exit::Failure, message)
            .with_hint("it is as it was: move the settings by hand, as `--dry-run` shows"));
    }
    replacement
        .take_place()
        .map_err(|error| cannot("replace", &file, &error))?;
    print(&told)
}

/// What a file comes to, without variables.
fn values(file: &Path, console: Console) -> Result<Vec<(String, String)>, CliError> {
    let builder = ringlight::builder().environment([("", ""); 0]);
    match builder.config_file(file).effective_settings() {
        Ok(holds) => Ok(holds
            .settings
            .into_iter()
            .map(|setting| (setting.key, setting.value))
            .collect()),
        Err(InitError::Config(error)) => Err(tell(&error, console)),
        Err(error) => Err(explained(&error)),
    }
}

fn cannot(what: &str, file: &Path, error: &io::Error) -> CliError {
    let message = format!("cannot {what} {}: {error}", file.display());
    CliError::new(Exit::Failure, message)
}

/// A file that takes the place of another, whole or not at all; removed unless it has.
struct Replacement {
    file: File,
    path: PathBuf,
    replaced: PathBuf,
}

impl Replacement {
    /// One beside a file, with its owner and its mode. Where the file is a link, it is beside what that leads to.
    fn beside(file: &Path) -> io::Result<Self> {
        let replaced = file.canonicalize()?;
        let about = replaced.metadata()?;
        let mut name = OsString::from(".");
        name.push(replaced.file_name().unwrap_or_default());
        name.push(format!(".{}.new", std::process::id()));
        let path = replaced.with_file_name(name);
        let file = (OpenOptions::new().write(true).create_new(true))
            .mode(0o600)
            .open(&path)?;
        let replacement = Self {
            file,
            path,
            replaced,
        };
        let made = replacement.file.metadata()?;
        if (made.uid(), made.gid()) != (about.uid(), about.gid()) {
            fchown(&replacement.file, Some(about.uid()), Some(about.gid()))?;
        }
        replacement.file.set_permissions(about.permissions())?;
        Ok(replacement)
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let mut file = &self.file;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }

    fn take_place(self) -> io::Result<()> {
        std::fs::rename(&self.path, &self.replaced)?;
        let directory = self.replaced.parent().unwrap_or(Path::new("/"));
        File::open(directory)?.sync_all()
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        // Gone already where it has taken the other's place.
        let _ = std::fs::remove_file(&self.path);
    }
}
