//! Which container this is.

use super::detectors::Add;
use super::files::Files;

/// Digits of the ids that Docker, containerd, CRI-O and Podman give.
const ID_DIGITS: usize = 64;

pub(super) fn detect(files: &Files<'_>, add: &mut Add<'_>) {
    let by_group = files.text("proc/self/cgroup");
    let id = by_group.and_then(|text| text.lines().find_map(of_group).map(str::to_owned));
    // In a control group namespace of version 2 the path is `/`, whichever container it is.
    let id = id.or_else(|| {
        let text = files.text("proc/self/mountinfo")?;
        text.lines().find_map(of_mount).map(str::to_owned)
    });
    if let Some(id) = id {
        add("container.id", id.into());
    }
}

/// The id in a line of `/proc/self/cgroup`, such as `12:cpu:/kubepods/pod1/<id>` or
/// `0::/system.slice/docker-<id>.scope`.
fn of_group(line: &str) -> Option<&str> {
    let path = line.splitn(3, ':').nth(2)?;
    let last = path.rsplit('/').next()?;
    let last = last.strip_suffix(".scope").unwrap_or(last);
    let id = last.rsplit_once(['-', ':']).map_or(last, |(_, id)| id);
    // On Fargate an id is 32 digits, a dash and a number.
    let is_task = last.len() > 33
        && is_hex(&last[..last.floor_char_boundary(32)])
        && last.as_bytes()[32] == b'-'
        && last[33..].bytes().all(|b| b.is_ascii_digit());
    if is_task { Some(last) } else { id_of(id) }
}

/// The id in a line of `/proc/self/mountinfo`: of what a container's engine mounts there from a folder that
/// is called so, such as `/var/lib/docker/containers/<id>/hostname`. Those of the sandboxes of
/// Kubernetes are ids of other containers.
fn of_mount(line: &str) -> Option<&str> {
    let root = line.split(' ').nth(3)?;
    let mut folders = root.split('/').zip(root.split('/').skip(1));
    folders.find_map(|(folder, next)| {
        let is_engine = matches!(folder, "containers" | "overlay-containers");
        is_engine.then(|| id_of(next)).flatten()
    })
}

fn id_of(text: &str) -> Option<&str> {
    (text.len() == ID_DIGITS && is_hex(text)).then_some(text)
}

fn is_hex(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970";

    #[test]
    fn a_control_group_names_the_container() {
        let check = |line: String, expected: Option<&str>| {
            assert_eq!(of_group(&line), expected, "{line}");
        };
        check(format!("10:memory:/{ID}"), Some(ID));
        check(format!("10:memory:/docker/{ID}"), Some(ID));
        check(format!("0::/system.slice/docker-{ID}.scope"), Some(ID));
        check(
            format!("11:cpu,cpuacct:/kubepods/burstable/pod1d3a3ad2/{ID}"),
            Some(ID),
        );
        check(
            format!("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope"),
            Some(ID),
        );
        check(
            format!(
                "1:name=systemd:/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:{ID}"
            ),
            Some(ID),
        );
        let task = format!("{}-2106216142", &ID[..32]);
        check(format!("9:perf_event:/ecs/t/{task}"), Some(&task));
        check("0::/".to_owned(), None);
        check(
            "0::/user.slice/user-1000.slice/session-2.scope".to_owned(),
            None,
        );
        check(format!("0::/{}", &ID[1..]), None);
        check("0::/ääääääääääääääääääääääääääääääääääää".to_owned(), None);
        check("nothing".to_owned(), None);
    }

    #[test]
    fn a_mount_names_the_container() {
        let check = |root: String, expected: Option<&str>| {
            let line = format!("983 961 0:56 {root} /etc/hostname rw - ext4 /dev/sda1 rw");
            assert_eq!(of_mount(&line), expected, "{line}");
        };
        check(
            format!("/var/lib/docker/containers/{ID}/hostname"),
            Some(ID),
        );
        check(
            format!(
                "/home/ada/.local/share/containers/storage/overlay-containers/{ID}/userdata/hostname"
            ),
            Some(ID),
        );
        check(
            format!("/run/containers/storage/overlay-containers/{ID}/userdata/hosts"),
            Some(ID),
        );
        check(
            format!("/io.containerd.grpc.v1.cri/sandboxes/{ID}/hostname"),
            None,
        );
        check("/".to_owned(), None);
        assert_eq!(of_mount("short"), None);
    }
}
