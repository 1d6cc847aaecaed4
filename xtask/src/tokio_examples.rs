//! The examples of tokio's documentation of its channels, with ours in their place: each must compile, and do what it says,
//! with the feature `profiling`, where ours count, and without it, where they are tokio's.
//!
//! They are read from tokio's source where cargo has it, in the version of `Cargo.lock`, and written into a package below the
//! target folder whose documentation has nothing else; rustdoc does with them what it does with tokio's.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{Outcome, Steps, metadata};

/// The modules of `tokio::sync` that `ringlight::channel` stands in for.
const MODULES: [&str; 4] = ["broadcast", "mpsc", "oneshot", "watch"];

pub(crate) fn run(steps: &mut Steps) -> Outcome {
    let tokio = Tokio::find(steps.root())?;
    let mut examples = Vec::new();
    for module in MODULES {
        let before = examples.len();
        for (name, path) in tokio.sources(module)? {
            let source = std::fs::read_to_string(&path)
                .map_err(|e| format!("`{}` cannot be read: {e}", path.display()))?;
            examples.extend(examples_of(&name, &source)?);
        }
        if examples.len() == before {
            return Err(format!(
                "tokio's documentation of `{module}` has no example"
            ));
        }
    }
    let package = steps.target().join("tokio-examples");
    let write = |path: &str, text: &str| {
        let path = package.join(path);
        std::fs::write(&path, text)
            .map_err(|e| format!("`{}` cannot be written: {e}", path.display()))
    };
    std::fs::create_dir_all(package.join("src"))
        .map_err(|e| format!("`{}` cannot be made: {e}", package.display()))?;
    write("Cargo.toml", &tokio.manifest(steps.root()))?;
    // The same versions of everything.
    let lock = std::fs::read_to_string(steps.root().join("Cargo.lock"))
        .map_err(|e| format!("`Cargo.lock` cannot be read: {e}"))?;
    write("Cargo.lock", &lock)?;
    write("src/lib.rs", &library(&examples))?;
    for (which, features) in [
        ("that count", &["--features", "profiling"][..]),
        ("that are off", &[]),
    ] {
        let title = format!(
            "{} examples of tokio {} with channels of ringlight {which}",
            examples.len(),
            tokio.version
        );
        steps.run(
            &title,
            Command::new(env!("CARGO"))
                .args(["test", "--quiet", "--doc"])
                .args(features)
                .current_dir(&package)
                .env("CARGO_TARGET_DIR", package.join("built")),
        )?;
    }
    Ok(())
}

/// Where tokio's source is.
struct Tokio {
    version: String,
    source: PathBuf,
}

impl Tokio {
    fn find(root: &Path) -> Result<Self, String> {
        let metadata = metadata(root, "--locked")?;
        let packages = metadata["packages"].as_array().into_iter().flatten();
        let mut found = packages.filter(|package| package["name"] == "tokio");
        let (Some(package), None) = (found.next(), found.next()) else {
            return Err("`Cargo.lock` has no tokio, or more than one".to_owned());
        };
        let text = |key: &str| {
            let text = package[key].as_str();
            text.ok_or(format!("`cargo metadata` says no `{key}` of tokio"))
        };
        let manifest = Path::new(text("manifest_path")?);
        Ok(Self {
            version: text("version")?.to_owned(),
            source: manifest.with_file_name("src").join("sync"),
        })
    }

    /// The files of a module, by a name that is an identifier.
    fn sources(&self, module: &str) -> Result<Vec<(String, PathBuf)>, String> {
        let file = self.source.join(format!("{module}.rs"));
        if file.is_file() {
            return Ok(vec![(module.to_owned(), file)]);
        }
        let folder = self.source.join(module);
        let entries = std::fs::read_dir(&folder)
            .map_err(|e| format!("`{}` cannot be read: {e}", folder.display()))?;
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut sources: Vec<_> = paths
            .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
            .filter_map(|path| {
                let name = format!("{module}_{}", path.file_stem()?.to_str()?);
                Some((name, path))
            })
            .collect();
        sources.sort();
        Ok(sources)
    }

    fn manifest(&self, root: &Path) -> String {
        format!(
            "[package]\nname = \"tokio-examples\"\nedition = \"2024\"\npublish = false\n\n\
             [workspace]\n\n\
             [features]\n\
             profiling = [\"ringlight/profiling\"]\n\n\
             [dependencies]\n\
             futures = \"0.3\"\n\
             ringlight = {{ path = {:?}, default-features = false }}\n\
             tokio = {{ version = \"={}\", features = [\"full\", \"test-util\"] }}\n",
            root.join("crates/ringlight"),
            self.version
        )
    }
}

/// An example with ours in place of tokio's channels.
#[derive(Debug, PartialEq, Eq)]
struct Example {
    /// The file and the line it begins at.
    name: String,
    /// What is said behind the fence.
    attributes: String,
    code: String,
}

/// The examples in the documentation of a source. Each must name a channel, and nothing of `tokio::sync` that is none.
fn examples_of(file: &str, source: &str) -> Result<Vec<Example>, String> {
    let mut examples = Vec::new();
    let mut open: Option<Example> = None;
    for (line, number) in source.lines().zip(1..) {
        let line = line.trim_start();
        let Some(text) = line.strip_prefix("///").or(line.strip_prefix("//!")) else {
            continue;
        };
        let text = text.strip_prefix(' ').unwrap_or(text);
        match (open.take(), text.trim_start().strip_prefix("```")) {
            (None, None) => {}
            (None, Some(attributes)) => {
                open = Some(Example {
                    name: format!("{file}_{number}"),
                    attributes: attributes.trim().to_owned(),
                    code: String::new(),
                });
            }
            (Some(mut example), None) => {
                example.code.push_str(text);
                example.code.push('\n');
                open = Some(example);
            }
            (Some(example), Some(_)) if example.attributes == "text" => {}
            (Some(example), Some(_)) => examples.push(with_ours(example)?),
        }
    }
    match open {
        None => Ok(examples),
        Some(example) => Err(format!("the example {} has no end", example.name)),
    }
}

fn with_ours(mut example: Example) -> Result<Example, String> {
    for module in MODULES {
        let [tokios, ours] =
            ["tokio::sync", "ringlight::channel"].map(|path| format!("{path}::{module}"));
        example.code = example.code.replace(&tokios, &ours);
    }
    let has_ours = example.code.contains("ringlight::channel::");
    if !has_ours || example.code.contains("tokio::sync") {
        return Err(format!(
            "the example {} does not name its channels as expected:\n{}",
            example.name, example.code
        ));
    }
    Ok(example)
}

/// A library whose documentation has them.
fn library(examples: &[Example]) -> String {
    let mut library = String::new();
    for example in examples {
        let _ = writeln!(library, "/// ```{}", example.attributes);
        for line in example.code.lines() {
            let _ = writeln!(library, "/// {line}");
        }
        let _ = writeln!(library, "/// ```\npub fn {}() {{}}\n", example.name);
    }
    library
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_found_wherever_they_are_and_have_other_channels() {
        let source = "//! Says.\n//!\n//! ```\n//! use tokio::sync::mpsc::error::SendError;\n//!\n//! # f();\n//! ```\n\
                      /// ```text\n/// drawn\n/// ```\nfn f() {\n    /// ```should_panic\n    ///     tokio::sync::watch::g();\n\
                      \x20   /// ```\n    fn g() {}\n}\n";
        let example = |name: &str, attributes: &str, code: &str| Example {
            name: name.to_owned(),
            attributes: attributes.to_owned(),
            code: code.to_owned(),
        };
        let found = examples_of("mpsc_mod", source);
        let expected = [
            example(
                "mpsc_mod_3",
                "",
                "use ringlight::channel::mpsc::error::SendError;\n\n# f();\n",
            ),
            example(
                "mpsc_mod_12",
                "should_panic",
                "    ringlight::channel::watch::g();\n",
            ),
        ];
        assert_eq!(found.as_deref(), Ok(&expected[..]));
        assert!(library(&expected).contains("/// # f();\n/// ```\npub fn mpsc_mod_3() {}\n"));
    }

    #[test]
    fn what_is_not_understood_is_no_example_that_passes() {
        for source in [
            "/// ```\n/// f();\n/// ```",
            "/// ```\n/// use tokio::sync::{mpsc, oneshot};\n/// ```",
            "/// ```\n/// use tokio::sync::Mutex;\n/// use tokio::sync::mpsc;\n/// ```",
            "/// ```\n/// use tokio::sync::mpsc;",
        ] {
            assert!(examples_of("a", source).is_err(), "{source}");
        }
    }
}
