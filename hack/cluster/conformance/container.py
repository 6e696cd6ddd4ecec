"""An image as a pod of Muon runs it: user 65532, no capabilities, /userfunc and /tmp to write to, a network of its own."""

import ctypes
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..failure import Failure
from ..shell import output

USER = 65532
# Beside loopback, an address that stands for another pod's way in: what comes from it is not from this pod.
OUTSIDE = "198.18.254.1"
CLONE_NEWNET = 0x40000000
ENDS_WITHIN = 60


@dataclass(frozen=True)
class Unpacked:
    """An image's file system and what its configuration says of how it is started."""

    root: Path
    argv: tuple[str, ...]
    env: tuple[str, ...]
    directory: str


@contextmanager
def unpacked(archive: Path) -> Iterator[Unpacked]:
    """Lays an archive out, its layers one over the other, and takes it away again."""
    with tempfile.TemporaryDirectory(prefix="muon-conformance-") as folder:
        root = Path(folder) / "root"
        root.mkdir()
        with tarfile.open(archive) as opened:
            manifest = json.load(_member(opened, "manifest.json"))[0]
            config = json.load(_member(opened, manifest["Config"]))["config"]
            for layer in manifest["Layers"]:
                _apply(opened, layer, root)
        argv = (config.get("Entrypoint") or []) + (config.get("Cmd") or [])
        yield Unpacked(root, tuple(argv), tuple(config.get("Env") or []), config.get("WorkingDir") or "/")


def _member(archive: tarfile.TarFile, name: str):
    found = archive.extractfile(name)
    if found is None:
        raise Failure(f"the archive of the image has no {name}")
    return found


def _apply(archive: tarfile.TarFile, layer: str, root: Path) -> None:
    """One layer; a file called .wh.NAME says that NAME of the layers below is gone."""
    with tarfile.open(fileobj=_member(archive, layer)) as files:
        gone = [Path(name) for name in files.getnames() if Path(name).name.startswith(".wh.")]
    for path in gone:
        place = root / path.parent
        hidden = list(place.iterdir()) if path.name == ".wh..wh..opq" and place.is_dir() else [place / path.name[4:]]
        for each in hidden:
            shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink(missing_ok=True)
    words = ["tar", "-x", "-C", str(root), "--numeric-owner", "--exclude=.wh.*", "-f", "-"]
    with _member(archive, layer) as content:
        child = subprocess.Popen(words, stdin=subprocess.PIPE)
        shutil.copyfileobj(content, child.stdin, 1 << 20)
        child.stdin.close()
        if child.wait() != 0:
            raise Failure(f"layer {layer} of the image cannot be unpacked")


class Network:
    """A network namespace with loopback and one more address; `inside()` makes sockets there."""

    def __init__(self) -> None:
        self.name = f"muon-conformance-{uuid.uuid4().hex[:12]}"
        self.path = Path("/run/netns") / self.name

    def __enter__(self) -> "Network":
        output(["ip", "netns", "add", self.name])
        output(["ip", "-n", self.name, "link", "set", "lo", "up"])
        output(["ip", "-n", self.name, "address", "add", f"{OUTSIDE}/32", "dev", "lo"])
        return self

    def __exit__(self, *_error) -> None:
        output(["ip", "netns", "delete", self.name])

    @contextmanager
    def inside(self) -> Iterator[None]:
        """This thread alone; the sockets that it makes stay there."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/thread-self/ns/net") as home, open(self.path) as there:
            if libc.setns(there.fileno(), CLONE_NEWNET) != 0:
                raise Failure(f"network namespace {self.name} cannot be entered: {os.strerror(ctypes.get_errno())}")
            try:
                yield
            finally:
                libc.setns(home.fileno(), CLONE_NEWNET)


class Container:
    """One container of an image, with the folders that a pod would mount. It ends with the `with`.

    Without a network of its own it has the machine's, as a build that fetches things must.
    """

    def __init__(
        self,
        image: Unpacked,
        network: Network | None,
        *,
        argv: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        mounts: Mapping[str, Path] | None = None,
    ) -> None:
        self._image, self._network = image, network
        self._argv = tuple(argv) or image.argv
        self._env = [*image.env, *(f"{name}={value}" for name, value in (env or {}).items())]
        self._mounts = dict(mounts or {})
        self._name = f"muon-conformance-{uuid.uuid4().hex[:12]}"

    def __enter__(self) -> "Container":
        self._folder = tempfile.TemporaryDirectory(prefix="muon-conformance-")
        folder = Path(self._folder.name)
        self.userfunc = folder / "userfunc"
        (self.userfunc / "code").mkdir(parents=True)
        os.chown(self.userfunc, USER, USER)
        (folder / "config.json").write_text(json.dumps(self._config(), indent=1))
        self.log = folder / "log"
        self._state = folder / "state"
        with open(self.log, "w") as sink:
            argv = ["runc", "--root", str(self._state), "run", "--bundle", str(folder), self._name]
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
        return self

    def __exit__(self, *_error) -> None:
        if self._process.poll() is None:
            self.signal("KILL")
            self._process.wait(ENDS_WITHIN)
        subprocess.run(["runc", "--root", str(self._state), "delete", "--force", self._name], capture_output=True)
        self._folder.cleanup()

    def signal(self, name: str) -> None:
        """Sends a signal to its first process, as kubelet does."""
        subprocess.run(["runc", "--root", str(self._state), "kill", self._name, name], capture_output=True)

    def exit_code(self, within: float) -> int | None:
        """How it ended, or none if it did not."""
        try:
            return self._process.wait(within)
        except subprocess.TimeoutExpired:
            return None

    def said(self) -> str:
        """The end of what it printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-8:])

    def _config(self) -> dict:
        def bind(place: str, source: Path, mode: str) -> dict:
            return {"destination": place, "type": "bind", "source": str(source), "options": ["rbind", mode]}

        def made(place: str, kind: str, *options: str) -> dict:
            return {"destination": place, "type": kind, "source": kind, "options": ["nosuid", *options]}

        mounts = [
            made("/proc", "proc", "noexec", "nodev"),
            made("/dev", "tmpfs", "mode=755", "size=65536k"),
            made("/dev/shm", "tmpfs", "nodev", "mode=1777", "size=65536k"),
            made("/tmp", "tmpfs", "nodev", "mode=1777", "size=1g"),
            bind("/userfunc", self.userfunc, "rw"),
            bind("/userfunc/code", self.userfunc / "code", "ro"),
            *(bind(place, source, "rw") for place, source in self._mounts.items()),
        ]
        spaces = [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]
        if self._network is not None:
            spaces.append({"type": "network", "path": str(self._network.path)})
        return {
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": USER, "gid": USER},
                "args": list(self._argv),
                "env": self._env,
                "cwd": self._image.directory,
                "noNewPrivileges": True,
                "capabilities": {},
            },
            # Nothing but its mounts can be written: what a conforming image needs least.
            "root": {"path": str(self._image.root), "readonly": True},
            "hostname": "conformance",
            "mounts": mounts,
            "linux": {
                "namespaces": spaces,
                "cgroupsPath": f"/{self._name}",
                "maskedPaths": ["/proc/kcore", "/proc/keys"],
                "readonlyPaths": ["/proc/sys", "/proc/sysrq-trigger"],
            },
        }
