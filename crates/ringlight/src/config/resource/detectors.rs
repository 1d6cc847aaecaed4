//! What is found out about where the process runs.

use std::path::Path;

use ringlight_model::Value;

use super::files::Files;
use super::{container, kubernetes};
use crate::config::environment::Reader;

/// Something that finds out where this process runs, for the resource of everything it sends. Names and
/// meanings of the attributes are those of the semantic conventions; what cannot be found out is left
/// out.
///
/// Which ones run says [`Builder::resource_detectors`](crate::Builder::resource_detectors), else
/// `OTEL_RESOURCE_DETECTORS` (or `OTEL_EXPERIMENTAL_RESOURCE_DETECTORS`, as some SDKs call it): their names separated
/// by commas, `all` or `none`. Default: all but [`ProcessArguments`](Self::ProcessArguments). The name, version and
/// instance of the service and what is in `OTEL_RESOURCE_ATTRIBUTES` are there in any case, and hold over what is
/// found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResourceDetector {
    /// `host`: `host.name`, `host.id` (of `/etc/machine-id`), `host.arch`.
    Host,
    /// `os`: `os.type`, and of `/etc/os-release` `os.name`, `os.version` and `os.description`.
    Os,
    /// `process`: `process.pid`, `process.parent_pid`, `process.executable.name` and `.path`, `process.command`,
    /// `process.owner`, `process.creation.time` (on Linux), `process.runtime.name` (`rustc`) and `.version`.
    Process,
    /// `process_arguments`: `process.command_args`, all arguments as they are. They may hold secrets, so that it
    /// is not part of `all`.
    ProcessArguments,
    /// `container`: `container.id`, of the control group or of what is mounted.
    Container,
    /// `k8s`: in a pod, `k8s.pod.name`, `k8s.pod.uid`, `k8s.namespace.name`, `k8s.node.name`, `k8s.container.name`,
    /// `k8s.deployment.name` and `k8s.cluster.name`, as far as variables (`K8S_POD_NAME` or `POD_NAME` and
    /// so on, which the pod's description fills in), the service account and the control group tell.
    Kubernetes,
}

impl ResourceDetector {
    /// All that run by default.
    pub const ALL: [Self; 5] = [
        Self::Host,
        Self::Os,
        Self::Process,
        Self::Container,
        Self::Kubernetes,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Os => "os",
            Self::Process => "process",
            Self::ProcessArguments => "process_arguments",
            Self::Container => "container",
            Self::Kubernetes => "k8s",
        }
    }

    /// The detector of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "host" => Self::Host,
            "os" => Self::Os,
            "process" => Self::Process,
            "process_arguments" => Self::ProcessArguments,
            "container" => Self::Container,
            "k8s" | "kubernetes" => Self::Kubernetes,
            _ => return None,
        })
    }

    /// Finds out what it can.
    pub(super) fn detect(self, system: &System<'_>, add: &mut Add<'_>) {
        match self {
            Self::Host => host(system, add),
            Self::Os => os(system, add),
            Self::Process => process(system, add),
            Self::ProcessArguments => arguments(add),
            Self::Container => container::detect(&system.files, add),
            Self::Kubernetes => kubernetes::detect(system, add),
        }
    }
}

/// Where an attribute goes.
pub(super) type Add<'a> = dyn FnMut(&'static str, Value<'static>) + 'a;

/// Where detectors look.
pub(super) struct System<'a> {
    pub(super) files: Files<'a>,
    pub(super) variables: &'a Reader<'a>,
}

/// What a variable says should run; by default all.
pub(super) fn wanted(reader: &mut Reader<'_>) -> Vec<ResourceDetector> {
    const VARIABLES: [&str; 2] = [
        "OTEL_RESOURCE_DETECTORS",
        "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS",
    ];
    const ALLOWED: &str =
        "`host`, `os`, `process`, `process_arguments`, `container`, `k8s`, `all`, `none`";
    let found = VARIABLES
        .into_iter()
        .find_map(|variable| Some((variable, reader.variable(variable)?)))
        .or_else(|| Some((VARIABLES[0], reader.in_file("resource_detectors")?.0)));
    let Some((variable, text)) = found else {
        return ResourceDetector::ALL.to_vec();
    };
    let mut wanted = Vec::new();
    let names = text.split(',').map(str::trim);
    for name in names.filter(|name| !name.is_empty()) {
        match (name, ResourceDetector::from_name(name)) {
            (_, Some(detector)) => wanted.push(detector),
            ("all" | "*", _) => wanted.extend(ResourceDetector::ALL),
            // What they stand for elsewhere is there in any case.
            ("none" | "env" | "otel" | "service" | "serviceinstance", _) => {}
            _ => reader.warn(variable, name, ALLOWED),
        }
    }
    wanted
}

fn host(system: &System<'_>, add: &mut Add<'_>) {
    let files = &system.files;
    if let Some(name) = files.line("proc/sys/kernel/hostname") {
        add("host.name", name.into());
    }
    let id = files.line("etc/machine-id");
    if let Some(id) = id.or_else(|| files.line("var/lib/dbus/machine-id")) {
        add("host.id", id.into());
    }
    add("host.arch", arch(std::env::consts::ARCH).into());
}

/// The name that the semantic conventions have for an architecture.
fn arch(name: &'static str) -> &'static str {
    match name {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" => "arm32",
        "powerpc" => "ppc32",
        "powerpc64" => "ppc64",
        other => other,
    }
}

fn os(system: &System<'_>, add: &mut Add<'_>) {
    let kind = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    add("os.type", kind.into());
    let release = system.files.text("etc/os-release");
    let release = release.or_else(|| system.files.text("usr/lib/os-release"));
    let release = release.unwrap_or_default();
    for (key, field) in [
        ("os.name", "NAME"),
        ("os.version", "VERSION_ID"),
        ("os.description", "PRETTY_NAME"),
    ] {
        let mut lines = release.lines().filter_map(|line| line.split_once('='));
        if let Some((_, value)) = lines.find(|(name, _)| *name == field) {
            let value = value.trim().trim_matches(['"', '\'']);
            add(key, value.to_owned().into());
        }
    }
}

fn process(system: &System<'_>, add: &mut Add<'_>) {
    add("process.pid", Value::Int(std::process::id().into()));
    #[cfg(unix)]
    {
        let parent = std::os::unix::process::parent_id();
        add("process.parent_pid", Value::Int(parent.into()));
    }
    let executable = std::env::current_exe().ok();
    if let Some(path) = &executable {
        add("process.executable.path", shown(path).into());
    }
    if let Some(name) = super::executable() {
        add("process.executable.name", name.into());
    }
    if let Some(command) = std::env::args_os().next() {
        add("process.command", shown(Path::new(&command)).into());
    }
    if let Some(owner) = owner(system) {
        add("process.owner", owner.into());
    }
    #[cfg(target_os = "linux")]
    if let Some(time) = creation_time(&system.files) {
        add("process.creation.time", time.into());
    }
    add("process.runtime.name", "rustc".into());
    let version = env!("RINGLIGHT_RUSTC_VERSION");
    if !version.is_empty() {
        add("process.runtime.version", version.into());
    }
}

fn arguments(add: &mut Add<'_>) {
    let text = |argument: std::ffi::OsString| argument.to_string_lossy().into_owned().into();
    let arguments = std::env::args_os().map(text);
    add("process.command_args", Value::Array(arguments.collect()));
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// When this process began: the time the machine did, which the kernel has to the second, and so many ticks later.
///
/// Sources: proc_stat(5), proc_pid_stat(5).
#[cfg(target_os = "linux")]
fn creation_time(files: &Files<'_>) -> Option<String> {
    // What the kernel counts in towards programs, on all kinds of processors that Rust runs on, whatever its timer does.
    const TICKS_PER_SECOND: u64 = 100;
    let machine = files.text("proc/stat")?;
    let began = machine
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?;
    let process = files.text("proc/self/stat")?;
    // The name, in parentheses, may have spaces and parentheses in it.
    let (_, rest) = process.rsplit_once(')')?;
    // Field 22, of which two are before.
    let ticks: u64 = rest.split_ascii_whitespace().nth(22 - 3)?.parse().ok()?;
    let began: u64 = began.trim().parse().ok()?;
    let began = began.checked_add(ticks / TICKS_PER_SECOND)?;
    // As long as nanoseconds of it are 64 bits.
    (began <= u64::MAX / 1_000_000_000).then(|| crate::rfc3339::of_seconds(began))
}

/// The name of the user this process runs as, or the user's number where it has none.
#[cfg(unix)]
fn owner(system: &System<'_>) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let user = system.files.metadata("proc/self")?.uid().to_string();
    let users = system.files.text("etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        // The password, and the number.
        (fields.nth(1)? == user).then(|| name.to_owned())
    });
    Some(name.unwrap_or(user))
}

#[cfg(not(unix))]
const fn owner(_: &System<'_>) -> Option<String> {
    None
}
