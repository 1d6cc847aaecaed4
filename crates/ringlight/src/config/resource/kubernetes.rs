//! Which pod this is.

use super::detectors::{Add, System};

/// Where a pod finds its namespace.
const NAMESPACE: &str = "var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Attributes, and the variables that a pod's description commonly fills in for them.
const VARIABLES: [(&str, &[&str]); 7] = [
    (
        "k8s.pod.name",
        &[
            "K8S_POD_NAME",
            "KUBERNETES_POD_NAME",
            "POD_NAME",
            "MY_POD_NAME",
        ],
    ),
    (
        "k8s.pod.uid",
        &["K8S_POD_UID", "KUBERNETES_POD_UID", "POD_UID", "MY_POD_UID"],
    ),
    (
        "k8s.namespace.name",
        &[
            "K8S_NAMESPACE_NAME",
            "K8S_NAMESPACE",
            "KUBERNETES_NAMESPACE",
            "POD_NAMESPACE",
            "MY_POD_NAMESPACE",
        ],
    ),
    (
        "k8s.node.name",
        &[
            "K8S_NODE_NAME",
            "KUBERNETES_NODE_NAME",
            "NODE_NAME",
            "MY_NODE_NAME",
        ],
    ),
    (
        "k8s.container.name",
        &["K8S_CONTAINER_NAME", "CONTAINER_NAME"],
    ),
    (
        "k8s.deployment.name",
        &["K8S_DEPLOYMENT_NAME", "DEPLOYMENT_NAME"],
    ),
    ("k8s.cluster.name", &["K8S_CLUSTER_NAME", "CLUSTER_NAME"]),
];

pub(super) fn detect(system: &System<'_>, add: &mut Add<'_>) {
    let System { files, variables } = system;
    // Set in every container of a pod.
    if variables.text("KUBERNETES_SERVICE_HOST").is_none() {
        return;
    }
    for (key, names) in VARIABLES {
        if let Some(value) = names.iter().find_map(|name| variables.text(name)) {
            add(key, value.into());
        }
    }
    // The first value of a key holds.
    if let Some(namespace) = files.line(NAMESPACE) {
        add("k8s.namespace.name", namespace.into());
    }
    let name = variables.text("HOSTNAME");
    if let Some(name) = name.or_else(|| files.line("proc/sys/kernel/hostname")) {
        add("k8s.pod.name", name.into());
    }
    let uid = ["proc/self/mountinfo", "proc/self/cgroup"]
        .into_iter()
        .find_map(|path| uid_in(&files.text(path)?).map(str::to_owned));
    if let Some(uid) = uid {
        add("k8s.pod.uid", uid.into());
    }
}

/// The pod's id in paths such as `/var/lib/kubelet/pods/<uid>/etc-hosts` and `/kubepods/pod<uid>/..`.
fn uid_in(text: &str) -> Option<&str> {
    ["/pods/", "/pod"].into_iter().find_map(|before| {
        let mut rests = text
            .match_indices(before)
            .map(|(at, _)| &text[at + before.len()..]);
        rests.find_map(|rest| rest.get(..36).filter(|uid| is_uuid(uid)))
    })
}

fn is_uuid(text: &str) -> bool {
    let is_right = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.len() == 36 && text.bytes().enumerate().all(is_right)
}
