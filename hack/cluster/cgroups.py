"""The instance's own cgroup: the kubelet's root, and the one sure list of all its processes.

Whatever the instance starts, however often it forks, stays below this cgroup. So "what is left of
a killed cluster" is a question to the kernel, not a guess from command lines.
"""

from dataclasses import dataclass
from pathlib import Path

from .instance import Instance
from .mounts import mounted

# The controllers that a kubelet and runc want to find below their root (cgroup v2).
CONTROLLERS = "+cpu +cpuset +memory +pids"


@dataclass(frozen=True)
class Cgroups:
    """The cgroups of one instance, in every hierarchy of the machine."""

    # The folder of the instance in each hierarchy.
    folders: tuple[Path, ...]
    # The hierarchy by which processes are found.
    tracking: Path

    def create(self) -> None:
        """Makes the cgroups; the kubelet refuses a root that is missing in any hierarchy."""
        for folder in self.folders:
            folder.mkdir(exist_ok=True)
            for controller_file in ("cpuset.cpus", "cpuset.mems"):
                # A new cpuset of cgroup v1 is empty, and no process may enter it.
                path = folder / controller_file
                if path.exists() and not (folder / "cgroup.controllers").exists() and not path.read_text().strip():
                    path.write_text((folder.parent / controller_file).read_text())
            if (folder / "cgroup.controllers").exists() and folder == self.tracking:
                for level in (folder.parent, folder):
                    (level / "cgroup.subtree_control").write_text(CONTROLLERS)
        self.supervised.mkdir(exist_ok=True)

    @property
    def supervised(self) -> Path:
        """Where the supervisor and its components live, beside the pods."""
        return self.tracking / "supervised"

    def has_containers(self) -> bool:
        """Whether any pod still runs: the kubelet keeps them beside the supervised processes."""
        return any(_read(procs).strip() for procs in (self.tracking / "kubepods").rglob("cgroup.procs"))

    def members(self) -> list[int]:
        """The pids of every process of the instance."""
        return [
            int(pid)
            for procs in [self.tracking / "cgroup.procs", *self.tracking.rglob("cgroup.procs")]
            for pid in _read(procs).split()
        ]

    def remove(self) -> None:
        """Removes the cgroups, innermost first. They must be empty of processes."""
        for folder in self.folders:
            inner = [path for path in folder.rglob("*") if path.is_dir()]
            for path in [*sorted(inner, key=lambda path: len(path.parts), reverse=True), folder]:
                try:
                    path.rmdir()
                except FileNotFoundError:
                    continue


def cgroups(instance: Instance) -> Cgroups:
    """The instance's cgroups on this machine, whether they exist yet or not."""
    points = [point for point in mounted() if point.kind in ("cgroup", "cgroup2")]
    # Where both versions are mounted, version 1 has the controllers; runc puts a folder into both.
    pids = next((point.path for point in points if point.kind == "cgroup" and "pids" in point.options), None)
    tracking = pids or next(point.path for point in points if point.kind == "cgroup2")
    roots = dict.fromkeys(point.path for point in points)
    return Cgroups(tuple(root / instance.netns for root in roots), tracking / instance.netns)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, OSError):
        # A cgroup may go while we walk.
        return ""
