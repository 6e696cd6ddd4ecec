"""The mounts of this machine, and taking away those below a folder."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mount:
    """One line of /proc/self/mountinfo."""

    path: Path
    kind: str
    options: tuple[str, ...]


def mounted() -> list[Mount]:
    """Every mount, in the order in which they were made."""
    return [parse(line) for line in Path("/proc/self/mountinfo").read_text().splitlines()]


def parse(line: str) -> Mount:
    """Reads one line: the file system's kind and options stand behind a lone dash."""
    before, _, after = line.partition(" - ")
    path = before.split()[4]
    for octal, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(octal, character)
    kind, _, options = after.split(maxsplit=2)
    return Mount(Path(path), kind, tuple(options.split(",")))


def unmount_below(*folders: Path) -> int:
    """Takes away every mount below the folders, the latest first; says how many there were."""
    real = [folder.resolve() for folder in folders]
    found = [mount.path for mount in reversed(mounted()) if any(mount.path.is_relative_to(folder) for folder in real)]
    # Lazily: a process that still holds one must not keep the name from going.
    for start in range(0, len(found), 100):
        subprocess.run(["umount", "--lazy", *map(str, found[start : start + 100])], capture_output=True)
    return len(found)
