//! Builds `web/` when its built files are missing or do not belong to the sources, then writes the table of files
//! that `src/assets.rs` includes.
//!
//! Freshness is a hash over the sources kept beside the built files, not a comparison of dates, because a checkout
//! gives every file the date of the checkout. Whatever goes wrong with Node is a warning, never an error (unless
//! `RINGLIGHT_UI=require`): the older files are used, or a page that says how to get the UI.

use std::error::Error;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// Sources of the UI below `web/`; a change of any other file does not change what is built.
const SOURCES: [&str; 8] = [
    "index.html",
    "package.json",
    "package-lock.json",
    "public",
    "src",
    "svelte.config.js",
    "tsconfig.json",
    "vite.config.ts",
];

/// Name of the file in `dist` that holds the hash of the sources it was built from.
const STAMP: &str = ".sources";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Auto,
    Skip,
    Require,
}

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RINGLIGHT_UI");
    let crate_dir = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out_dir = PathBuf::from(variable("OUT_DIR")?);
    let web_dir = crate_dir.join("../../web");
    let dist_dir = crate_dir.join("dist");
    let mode = mode()?;

    // The published crate has no `web/` beside it: its `dist` is what there is.
    let has_sources = web_dir.join("package.json").is_file() && web_dir.join("src").is_dir();
    let lock = if has_sources { lock(&web_dir) } else { None };
    if has_sources {
        for source in SOURCES
            .map(|name| web_dir.join(name))
            .iter()
            .filter(|path| path.exists())
        {
            println!("cargo::rerun-if-changed={}", source.display());
        }
        if mode != Mode::Skip
            && let Err(error) = build_if_stale(&web_dir, &crate_dir)
        {
            if mode == Mode::Require {
                return Err(format!("the web UI could not be built: {error}").into());
            }
            println!(
                "cargo::warning=the web UI was not built: {}",
                one_line(&error.to_string())
            );
        }
    }
    if !has_sources || fs::create_dir_all(&dist_dir).is_ok() {
        println!("cargo::rerun-if-changed={}", dist_dir.display());
    }
    let written = write_table(&dist_dir, &out_dir);
    drop(lock);
    written
}

fn mode() -> Result<Mode> {
    match std::env::var("RINGLIGHT_UI").as_deref() {
        Err(_) | Ok("" | "auto") => Ok(Mode::Auto),
        Ok("skip") => Ok(Mode::Skip),
        Ok("require") => Ok(Mode::Require),
        Ok(other) => {
            Err(format!("RINGLIGHT_UI is `{other}`; it must be auto, skip or require").into())
        }
    }
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name).map_err(|error| format!("{name}: {error}").into())
}

/// Keeps two builds (another profile, another target folder) from writing the same files. Held until dropped.
fn lock(web_dir: &Path) -> Option<File> {
    let file = File::create(web_dir.join(".build.lock")).ok()?;
    file.lock().ok()?;
    Some(file)
}

fn build_if_stale(web_dir: &Path, crate_dir: &Path) -> Result<()> {
    let dist_dir = crate_dir.join("dist");
    let (hash, newest) = hash_sources(web_dir)?;
    if fs::read_to_string(dist_dir.join(STAMP)).is_ok_and(|stamp| stamp == hash) {
        return Ok(());
    }
    npm(web_dir, &["--version"]).map_err(|error| {
        format!("npm does not run ({error}); install Node 20.19 or newer, or set RINGLIGHT_UI=skip to silence this")
    })?;
    if !modules_are_current(web_dir) {
        // What only tests and checks need stays away: it is three quarters of the packages.
        let arguments = "ci --omit=dev --no-audit --no-fund --prefer-offline --fetch-retries=1";
        npm(web_dir, &arguments.split(' ').collect::<Vec<_>>())?;
    }
    // Built beside the old files and swapped in, so that a failed build leaves those as they were.
    let new_dir = crate_dir.join("dist.new");
    let _absent_is_fine = fs::remove_dir_all(&new_dir);
    let out = new_dir
        .to_str()
        .ok_or("the path of the crate is not UTF-8")?;
    npm(
        web_dir,
        &["run", "build", "--", "--outDir", out, "--emptyOutDir"],
    )?;
    fs::write(new_dir.join(STAMP), hash)?;
    let _absent_is_fine = fs::remove_dir_all(&dist_dir);
    fs::rename(&new_dir, &dist_dir)?;
    // Cargo runs this script again when a watched file is younger than its last start: what was written meanwhile
    // gets the date of the sources.
    set_modified(&dist_dir, newest)
}

/// Hash over names and contents of the sources, and the date of the youngest.
fn hash_sources(web_dir: &Path) -> Result<(String, SystemTime)> {
    let mut hash = Fnv::new();
    let mut newest = SystemTime::UNIX_EPOCH;
    for source in SOURCES {
        let path = web_dir.join(source);
        if !path.exists() {
            continue;
        }
        for file in files_below(&path)? {
            let name = file
                .strip_prefix(web_dir)?
                .to_string_lossy()
                .replace('\\', "/");
            hash.add(name.as_bytes());
            hash.add(&[0]);
            let content = fs::read(&file)?;
            hash.add(&content.len().to_le_bytes());
            hash.add(&content);
            newest = newest.max(fs::metadata(&file)?.modified()?);
        }
    }
    Ok((hash.hex(), newest))
}

/// Whether `npm ci` already installed exactly what the lock file names: npm writes its own copy afterwards.
fn modules_are_current(web_dir: &Path) -> bool {
    let date = |path: PathBuf| {
        fs::metadata(path)
            .and_then(|metadata| metadata.modified())
            .ok()
    };
    match (
        date(web_dir.join("node_modules/.package-lock.json")),
        date(web_dir.join("package-lock.json")),
    ) {
        (Some(installed), Some(locked)) => installed >= locked,
        _ => false,
    }
}

fn npm(web_dir: &Path, arguments: &[&str]) -> Result<()> {
    let program = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let output = Command::new(program)
        .args(arguments)
        .current_dir(web_dir)
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    // What went wrong comes first; advice about the registry, usage and log files follows.
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    let said: Vec<_> = said
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("npm warn"))
        .take(8)
        .collect();
    Err(format!(
        "`npm {}` failed, {}: {}",
        arguments.join(" "),
        output.status,
        said.join(" | ")
    )
    .into())
}

fn set_modified(dir: &Path, time: SystemTime) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            set_modified(&path, time)?;
        } else {
            File::options()
                .append(true)
                .open(&path)?
                .set_modified(time)?;
        }
    }
    // Not every system lets a directory be opened; the price is one needless run of this script.
    let _only_saves_time = File::open(dir).and_then(|dir| dir.set_modified(time));
    Ok(())
}

fn files_below(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        files.extend(files_below(&entry?.path())?);
    }
    files.sort();
    Ok(files)
}

/// Writes `files.rs` and the bytes it includes; everything is copied, so that `dist` may change later.
fn write_table(dist_dir: &Path, out_dir: &Path) -> Result<()> {
    let is_built = dist_dir.join("index.html").is_file();
    let mut entries = Vec::new();
    if is_built {
        for path in files_below(dist_dir)? {
            let name = path
                .strip_prefix(dist_dir)?
                .to_string_lossy()
                .replace('\\', "/");
            if !name.starts_with('.') {
                entries.push((name, fs::read(&path)?));
            }
        }
    } else {
        entries.push((
            "fallback.css".to_owned(),
            include_bytes!("src/fallback.css").to_vec(),
        ));
        entries.push((
            "index.html".to_owned(),
            include_bytes!("src/fallback.html").to_vec(),
        ));
    }
    entries.sort();
    let bytes_dir = out_dir.join("files");
    let _absent_is_fine = fs::remove_dir_all(&bytes_dir);
    fs::create_dir_all(&bytes_dir)?;
    let mut table = format!(
        "pub(super) const IS_BUILT: bool = {is_built};\npub(super) static FILES: &[File] = &[\n"
    );
    for (index, (name, content)) in entries.iter().enumerate() {
        let plain = bytes_dir.join(format!("{index}"));
        fs::write(&plain, content)?;
        let zipped = bytes_dir.join(format!("{index}.gz"));
        let gzip = gzip(content)?;
        let gzip = if gzip.len() < content.len() {
            fs::write(&zipped, gzip)?;
            format!("Some(include_bytes!({zipped:?}))")
        } else {
            "None".to_owned()
        };
        let mut hash = Fnv::new();
        hash.add(name.as_bytes());
        hash.add(content);
        writeln!(
            table,
            "    File {{ path: {name:?}, content_type: {:?}, etag: {:?}, body: include_bytes!({plain:?}), \
             gzip: {gzip}, immutable: {} }},",
            content_type(name),
            format!("\"{}\"", hash.hex()),
            name.starts_with("assets/"),
        )?;
    }
    table.push_str("];\n");
    fs::write(out_dir.join("files.rs"), table)?;
    Ok(())
}

fn content_type(name: &str) -> &'static str {
    match Path::new(name).extension().and_then(OsStr::to_str) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("txt") => "text/plain; charset=utf-8",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content)?;
    Ok(encoder.finish()?)
}

fn one_line(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join(" | ")
}

/// FNV-1a, 128 bits: the same on every machine and toolchain, which is all a freshness stamp and an `ETag` need.
struct Fnv(u128);

impl Fnv {
    fn new() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u128::from(*byte))
                .wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    }

    fn hex(&self) -> String {
        format!("{:032x}", self.0)
    }
}
