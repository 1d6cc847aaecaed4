//! What is found out, on systems that are folders here.

use std::collections::BTreeMap;

use super::*;
use crate::config::environment::Environment;

/// A system of these files and variables.
fn resource(
    files: &[(&str, &str)],
    variables: &[(&str, &str)],
    inputs: ResourceInputs,
) -> BTreeMap<String, String> {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let variables = variables
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    let environment = Environment::Fixed(variables.collect());
    let mut reader = Reader::new(&environment);
    let attributes = attributes_below(root.path(), &mut reader, inputs);
    assert_eq!(reader.warnings, [""; 0]);
    attributes
        .into_iter()
        .map(|a| (a.key.into_owned(), a.value.to_string()))
        .collect()
}

fn detected(
    files: &[(&str, &str)],
    variables: &[(&str, &str)],
    detectors: &[ResourceDetector],
    expected: &[(&str, &str)],
) {
    let inputs = ResourceInputs {
        detectors: Some(detectors.to_vec()),
        ..ResourceInputs::default()
    };
    let mut found = resource(files, variables, inputs);
    found.retain(|key, _| !key.starts_with("service.") && !key.starts_with("telemetry."));
    let found: Vec<_> = found
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_uuid_has_its_version_and_variant() {
    let id = random_uuid();
    let groups: Vec<_> = id.split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12]);
    assert_eq!(id.as_bytes()[14], b'4');
    assert!(b"89ab".contains(&id.as_bytes()[19]), "{id}");
    assert_ne!(id, random_uuid());
}

#[test]
fn a_host_is_named_and_known_by_its_id() {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    detected(
        &[
            ("proc/sys/kernel/hostname", "shop-1\n"),
            ("var/lib/dbus/machine-id", "0123abcd\n"),
        ],
        &[],
        &[ResourceDetector::Host],
        &[
            ("host.arch", arch),
            ("host.id", "0123abcd"),
            ("host.name", "shop-1"),
        ],
    );
    detected(&[], &[], &[ResourceDetector::Host], &[("host.arch", arch)]);
}

#[test]
fn a_system_is_known_by_its_release() {
    let kind = if cfg!(target_os = "macos") {
        "darwin"
    } else {
        std::env::consts::OS
    };
    let release = "NAME=\"Debian GNU/Linux\"\nVERSION_ID='13'\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n";
    detected(
        &[("usr/lib/os-release", release)],
        &[],
        &[ResourceDetector::Os],
        &[
            ("os.description", "Debian GNU/Linux 13 (trixie)"),
            ("os.name", "Debian GNU/Linux"),
            ("os.type", kind),
            ("os.version", "13"),
        ],
    );
}

#[test]
fn a_process_says_what_it_runs_but_not_with_which_arguments() {
    let found = |variable: &[(&str, &str)]| resource(&[], variable, ResourceInputs::default());
    let process = found(&[]);
    assert_eq!(process["process.pid"], std::process::id().to_string());
    assert_eq!(process["process.runtime.name"], "rustc");
    assert!(
        process["process.runtime.version"].starts_with("1."),
        "{process:?}"
    );
    let path = std::env::current_exe().unwrap();
    assert_eq!(process["process.executable.path"], path.to_string_lossy());
    assert!(!process.contains_key("process.command_args"));
    let all = found(&[("OTEL_RESOURCE_DETECTORS", "all,process_arguments")]);
    assert!(all.contains_key("process.command_args"));
    assert!(all.contains_key("process.pid"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_says_when_it_began() {
    // Whatever it is called.
    let stat = "7 (a) b (c) R 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 12345678 23 24";
    let machine = "cpu  1 2 3\nintr 5\nbtime 1700000000\nprocesses 9\n";
    let found = |files: &[(&str, &str)]| {
        let found = resource(files, &[], ResourceInputs::default());
        found.get("process.creation.time").cloned()
    };
    let both = [("proc/stat", machine), ("proc/self/stat", stat)];
    assert_eq!(found(&both).as_deref(), Some("2023-11-16T08:30:56Z"));
    for broken in [
        &both[..1],
        &both[1..],
        &[both[0], ("proc/self/stat", "7 (a R 1 2")],
        &[both[0], ("proc/self/stat", "7 (a) R 1 2")],
        &[("proc/stat", "btime soon\n"), both[1]],
        &[("proc/stat", "btime 18446744073709551615\n"), both[1]],
    ] {
        assert_eq!(found(broken), None, "{broken:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn this_process_began_before_now_and_after_its_executable_was_made() {
    use std::os::unix::fs::MetadataExt as _;
    let environment = Environment::Fixed(BTreeMap::new());
    let mut reader = Reader::new(&environment);
    let attributes = attributes(&mut reader, ResourceInputs::default());
    let found = attributes
        .iter()
        .find(|one| one.key == "process.creation.time");
    let began = found.unwrap().value.to_string();
    let made = std::fs::metadata(std::env::current_exe().unwrap()).unwrap();
    // The kernel says to the second when the machine began.
    let made = crate::rfc3339::of_seconds(made.mtime().cast_unsigned().saturating_sub(1));
    let now = ringlight_clock::wall_unix_nano() / 1_000_000_000;
    let now = crate::rfc3339::of_seconds(now + 1);
    assert!(made <= began && began <= now, "{made} {began} {now}");
}

#[cfg(unix)]
#[test]
fn the_owner_of_a_process_is_a_name_where_there_is_one() {
    use std::os::unix::fs::MetadataExt as _;
    let root = tempfile::tempdir().unwrap();
    let user = std::fs::metadata(root.path()).unwrap().uid();
    let users = format!("other:x:4294967294:1::/:/bin/sh\nada:x:{user}:1::/:/bin/sh\n");
    let found = resource(
        &[("proc/self/cgroup", ""), ("etc/passwd", &users)],
        &[],
        ResourceInputs::default(),
    );
    assert_eq!(found["process.owner"], "ada");
    let nameless = resource(&[("proc/self/cgroup", "")], &[], ResourceInputs::default());
    assert_eq!(nameless["process.owner"], user.to_string());
}

#[test]
fn a_container_is_known_by_its_control_group_or_its_mounts() {
    const ID: &str = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970";
    let group = format!("12:cpu:/docker/{ID}\n");
    let mount = format!(
        "983 961 0:56 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw - ext4 /dev/sda rw\n"
    );
    for files in [
        &[("proc/self/cgroup", group.as_str())][..],
        &[
            ("proc/self/cgroup", "0::/\n"),
            ("proc/self/mountinfo", &mount),
        ],
    ] {
        detected(
            files,
            &[],
            &[ResourceDetector::Container],
            &[("container.id", ID)],
        );
    }
    detected(&[], &[], &[ResourceDetector::Container], &[]);
}

#[test]
fn a_pod_is_known_by_variables_and_files() {
    const UID: &str = "1d3a3ad2-0f3c-4b8c-9a0e-1f2d3c4b5a69";
    let mount =
        format!("1 2 0:5 /var/lib/kubelet/pods/{UID}/etc-hosts /etc/hosts rw - ext4 /dev/sda rw\n");
    let namespace = "var/run/secrets/kubernetes.io/serviceaccount/namespace";
    let host = ("KUBERNETES_SERVICE_HOST", "10.0.0.1");
    detected(
        &[("proc/self/mountinfo", &mount), (namespace, "shop")],
        &[host, ("HOSTNAME", "api-7f9c-x2x"), ("NODE_NAME", "node-3")],
        &[ResourceDetector::Kubernetes],
        &[
            ("k8s.namespace.name", "shop"),
            ("k8s.node.name", "node-3"),
            ("k8s.pod.name", "api-7f9c-x2x"),
            ("k8s.pod.uid", UID),
        ],
    );
    detected(
        &[(namespace, "shop")],
        &[
            host,
            ("HOSTNAME", "other"),
            ("K8S_POD_NAME", "api"),
            ("POD_NAMESPACE", "own"),
        ],
        &[ResourceDetector::Kubernetes],
        &[("k8s.namespace.name", "own"), ("k8s.pod.name", "api")],
    );
    // Outside of a cluster, such variables may mean anything.
    detected(
        &[],
        &[("POD_NAME", "api")],
        &[ResourceDetector::Kubernetes],
        &[],
    );
}

#[test]
fn what_is_said_holds_over_what_is_found() {
    let found = resource(
        &[("proc/sys/kernel/hostname", "found")],
        &[
            ("OTEL_SERVICE_NAME", "by name"),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "service.name=by list,host.name=said,process.pid=7",
            ),
        ],
        ResourceInputs {
            attributes: vec![KeyValue::new("process.pid", "by code")],
            ..ResourceInputs::default()
        },
    );
    assert_eq!(found["service.name"], "by name");
    assert_eq!(found["host.name"], "said");
    assert_eq!(found["process.pid"], "by code");
}

#[test]
fn a_variable_says_which_detectors_run() {
    use ResourceDetector::{Host, Os};
    let check = |variable: &str, value: &str, expected: &[ResourceDetector], warnings: usize| {
        let variables = [(variable.to_owned(), value.to_owned())];
        let environment = Environment::Fixed(variables.into());
        let mut reader = Reader::new(&environment);
        assert_eq!(detectors::wanted(&mut reader), expected, "{value}");
        assert_eq!(reader.warnings.len(), warnings, "{:?}", reader.warnings);
    };
    let name = "OTEL_RESOURCE_DETECTORS";
    check(name, "", &ResourceDetector::ALL, 0);
    check(name, "all", &ResourceDetector::ALL, 0);
    check(name, "none", &[], 0);
    check(name, "env, host,os", &[Host, Os], 0);
    check(name, "hosts,os", &[Os], 1);
    check(
        "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS",
        "otel,host",
        &[Host],
        0,
    );
}
