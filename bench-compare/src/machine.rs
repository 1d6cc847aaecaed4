//! What the run ran on.

use std::{fmt, fs, process::Command};

/// The machine, the system and the compiler, as far as they can be told.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    lines: Vec<(&'static str, String)>,
    /// The load average, if it was more than half of the cores.
    busy: Option<f64>,
}

impl Machine {
    /// The load average, if others wanted the cores as well.
    pub(crate) fn busy(&self) -> Option<f64> {
        self.busy
    }

    pub(crate) fn look() -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let lines = [
            (
                "processor",
                processor().map(|model| format!("{model}, {cores} cores")),
            ),
            ("virtual machine", virtual_machine()),
            ("memory", memory()),
            ("system", output("uname", &["-s", "-r", "-m"])),
            (
                "clock source",
                read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            ),
            ("load average before the run", load()),
            ("priority (nice)", priority()),
            ("compiler", output("rustc", &["--version"])),
            ("allocator", Some(allocator())),
            (
                "commit",
                output("git", &["rev-parse", "--short=12", "HEAD"]),
            ),
            ("date", output("date", &["-u", "+%Y-%m-%d"])),
        ];
        let known = lines
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        let load = load().and_then(|load| load.parse().ok());
        Self {
            lines: known.collect(),
            busy: load.filter(|load| *load > cores as f64 / 2.0),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| | |\n|---|---|")?;
        for (name, value) in &self.lines {
            writeln!(f, "| {name} | {value} |")?;
        }
        Ok(())
    }
}

fn read(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}

fn processor() -> Option<String> {
    let information = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = information
        .lines()
        .find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn virtual_machine() -> Option<String> {
    let information = fs::read_to_string("/proc/cpuinfo").ok()?;
    let flags = information.lines().find(|line| line.starts_with("flags"))?;
    let is_virtual = flags.split_whitespace().any(|flag| flag == "hypervisor");
    Some(if is_virtual { "yes" } else { "no" }.to_owned())
}

fn memory() -> Option<String> {
    let information = fs::read_to_string("/proc/meminfo").ok()?;
    let line = information
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(format!("{:.0} GiB", kib / 1024.0 / 1024.0))
}

/// The load average over the last minute.
fn load() -> Option<String> {
    Some(read("/proc/loadavg")?.split(' ').next()?.to_owned())
}

fn priority() -> Option<String> {
    Some(rustix::process::getpriority_process(None).ok()?.to_string())
}

fn allocator() -> String {
    if cfg!(target_env = "gnu") {
        "the system's: glibc"
    } else {
        "the system's"
    }
    .to_owned()
}
