"""What a node changes on the machine outside its own folders, and putting that back.

The kubelet has no option for these: it sets kernel parameters and makes folders at fixed places.
What was there before the first instance came is written down, and restored when the last one goes.
"""

import json
import shutil
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
    """Writes down how the machine was, unless an instance is already up."""
    if RECORD.exists():
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
        socket = Path(address.read_text().removeprefix("unix://"))
        if socket.parent == SHIM_SOCKETS:
            socket.unlink(missing_ok=True)


def restore() -> None:
    """Puts the machine back as it was before the first instance; only after the last one went."""
    try:
        before = json.loads(RECORD.read_text())
    except FileNotFoundError:
        return
    for name, value in before["sysctls"].items():
        (Path("/proc/sys") / name).write_text(value)
    for folder in map(Path, before["absent"]):
        if folder == KUBELET_HOME:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            _remove_if_empty(folder)
    RECORD.unlink()
    for leftover in ("slots.json", "slots.lock"):
        (RUNTIME_ROOT / leftover).unlink(missing_ok=True)
    for folder in (RUNTIME_ROOT, state_root()):
        _remove_if_empty(folder)


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not _entries(folder):
        folder.rmdir()
