"""What a node changes on the machine outside its own folders, and putting that back.

The kubelet has no option for these: it sets kernel parameters and makes folders at fixed places.
What was there before the first instance came is written down, and restored when the last one goes.
"""

import json
import shutil
import socket
from pathlib import Path

from .instance import RUNTIME_ROOT, Instance, state_root

RECORD = RUNTIME_ROOT / "machine-before.json"

SYSCTLS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
KUBELET_HOME = Path("/var/lib/kubelet")
CONTAINER_LOGS = Path("/var/log/containers")
CNI_RESULTS = Path("/var/lib/cni/results")
SHIM_SOCKETS = Path("/run/containerd/s")
FOLDERS = (KUBELET_HOME, CONTAINER_LOGS, CNI_RESULTS, CNI_RESULTS.parent, SHIM_SOCKETS, SHIM_SOCKETS.parent)


def remember() -> None:
    """Writes down how the machine is before its first instance."""
    if RECORD.exists():
        # The one of before a reboot, or of instances that were lost: it knows the machine unchanged.
        return
    RECORD.parent.mkdir(parents=True, exist_ok=True)
    before = {
        "sysctls": {name: (Path("/proc/sys") / name).read_text().strip() for name in SYSCTLS},
        "absent": [str(folder) for folder in FOLDERS if not folder.exists()],
    }
    RECORD.write_text(json.dumps(before, indent=2))


def forget(instance: Instance) -> None:
    """Removes this instance's entries from the folders that all nodes of a machine share."""
    for link in _entries(CONTAINER_LOGS):
        if link.is_symlink() and link.readlink().is_relative_to(instance.state):
            link.unlink()
    for result in _entries(CNI_RESULTS):
        if result.name.startswith(f"{instance.netns}-"):
            sandbox = result.name.removeprefix(f"{instance.netns}-").removesuffix("-eth0")
            result.unlink()
            (CNI_RESULTS / f"cni-loopback-{sandbox}-lo").unlink(missing_ok=True)
    forget_dead_shims(instance)


def forget_dead_shims(instance: Instance) -> None:
    """Removes the sockets of shims that were killed: containerd forgets such shims, but not their sockets."""
    for address in instance.runtime.glob("containerd/io.containerd.runtime.v2.task/*/*/address"):
        socket_file = Path(address.read_text().removeprefix("unix://"))
        if socket_file.parent == SHIM_SOCKETS:
            socket_file.unlink(missing_ok=True)


def restore() -> None:
    """Puts the machine back as it was before the first instance; only after the last one went."""
    try:
        before = json.loads(RECORD.read_text())
    except FileNotFoundError:
        return
    for name, value in before["sysctls"].items():
        (Path("/proc/sys") / name).write_text(value)
    for socket_file in _entries(SHIM_SOCKETS):
        if socket_file.is_socket() and not _answers(socket_file):
            socket_file.unlink()
    for folder in map(Path, before["absent"]):
        if folder == KUBELET_HOME:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            _remove_empty(folder)
    RECORD.unlink()
    _remove_empty(state_root())


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _remove_empty(folder: Path) -> None:
    """Removes a folder in which there is nothing but empty folders."""
    for inner in _entries(folder):
        if inner.is_dir() and not inner.is_symlink():
            _remove_empty(inner)
    if folder.is_dir() and not _entries(folder):
        folder.rmdir()
