"""Makes one image with Debian's buildah: no Docker, no registry, the base image bootstrapped from Debian's packages.

Everything lies below the cache: the storage with its layers (so that only steps whose inputs changed run again), the
staged build contexts, and the logs.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import cache as caches
from .failure import Failure
from .shell import logged, output, succeeds

BASE_REFERENCE = "debian:bookworm-slim"
BASE_FULL_REFERENCE = f"docker.io/library/{BASE_REFERENCE}"
SUITE = "bookworm"

# As in the slim images that registries have: no manuals, no translations.
BASE_OPTIONS = (
    "--variant=minbase",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/info/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    '--aptopt=Acquire::Languages "none"',
)

# A mirror that is a snapshot, or a clock that is off, needs these here if the machine itself needed them.
INHERITED_APT_OPTIONS = ("Acquire::Check-Valid-Until", "Acquire::Check-Date")


def base_key() -> str:
    """What decides the base image, apart from the day it was made: a cache is as fresh as its age."""
    return caches.key([SUITE, *BASE_OPTIONS])


@dataclass(frozen=True)
class Order:
    """One image to be made."""

    containerfile: Path
    files: Mapping[str, Path]
    """The build context: its files by their paths in it."""
    reference: str
    archive: Path
    binary: str | None = None
    """The path in the context that the build argument BINARY names."""
    source: Path | None = None
    """The C source that this program is compiled from, if it is not among the files."""


class Buildah:
    """Carries out orders in a storage of its own."""

    def __init__(self, cache: Path, report: Callable[[str], None]) -> None:
        self._folder = cache / "images"
        self._logs = cache / "logs"
        self._report = report
        self._command_words: list[str] | None = None

    def build(self, order: Order) -> None:
        """Leaves the image's docker-archive in place, whole or not at all."""
        name = order.reference.removeprefix("docker.io/").partition(":")[0]
        with self._alone(), tempfile.TemporaryDirectory(prefix="context-", dir=self._temporary()) as folder:
            if order.archive.exists():
                return  # another process made it while this one waited
            context = Path(folder)
            stage(order, context)
            if BASE_REFERENCE in order.containerfile.read_text():
                self._require_base()
            argument = ["--build-arg", f"BINARY={order.binary}"] if order.binary else []
            words = ["build", "--layers", "--isolation", "chroot", "--pull=never", *argument, "--tag", order.reference]
            self._run(f"image-{name.replace('/', '-')}", *words, "--file", order.containerfile, context)
            # Only now: until here the layers of earlier contents served as this one's cache. And an archive holds
            # every name of its image, so an equal image under an older tag must lose that.
            for earlier in self._references(f"docker.io/{name}:") - {order.reference}:
                self._run("image-forget", "rmi", earlier)
            unfinished = order.archive.with_suffix(".unfinished")
            unfinished.unlink(missing_ok=True)
            self._run("image-archive", "push", "--quiet", order.reference, f"docker-archive:{unfinished}:{order.reference}")
            unfinished.rename(order.archive)

    def _require_base(self) -> None:
        """Debian's base image in the storage, from the archive of an earlier bootstrap if there is one."""
        marker = f"localhost/muon-base:{base_key()}"
        if marker in self._references(marker):
            return
        archive = self._folder / f"base-{base_key()}.tar"
        if not archive.exists():
            self._report("bootstrapping Debian's base image (once)")
            unfinished = archive.with_suffix(".unfinished.tar")
            unfinished.unlink(missing_ok=True)
            words = ["mmdebstrap", *BASE_OPTIONS, *inherited_apt_options(), SUITE, str(unfinished)]
            logged(words, self._logs / "image-base.log", step=_Notes(self._report))
            unfinished.rename(archive)
        with tempfile.TemporaryDirectory(prefix="base-", dir=self._temporary()) as folder:
            context = Path(folder)
            _link_or_copy(archive, context / "base.tar")
            (context / "Containerfile").write_text('FROM scratch\nADD base.tar /\nCMD ["/bin/bash"]\n')
            tags = ["--tag", marker, "--tag", BASE_FULL_REFERENCE]
            self._run("image-base-import", "build", "--isolation", "chroot", *tags, context)

    def _references(self, prefix: str) -> set[str]:
        """The names in the storage that begin like this."""
        listed = output([*self._command(), "images", "--format", "{{.Name}}:{{.Tag}}"])
        return {line for line in listed.splitlines() if line.startswith(prefix)}

    def _run(self, log: str, *words: str | Path) -> None:
        environment = {"TMPDIR": str(self._temporary())}
        logged([*self._command(), *words], self._logs / f"{log}.log", step=_Notes(self._report), env=environment)

    def _command(self) -> list[str]:
        """buildah with a storage driver that works here: overlay is fast, vfs works everywhere."""
        if self._command_words is None:
            if shutil.which("buildah") is None:
                raise Failure("buildah is not installed: install Debian's package of that name")
            storage = self._folder / "storage"
            candidates = [
                # The home is not mounted onto itself: nothing of ours must outlive a killed build as a mount.
                ["--storage-driver", "overlay", "--storage-opt", "overlay.skip_mount_home=true"],
                ["--storage-driver", "vfs"],
            ]
            for options in candidates:
                home = storage / options[1]
                words = ["buildah", "--root", str(home), "--runroot", str(home / "run"), *options]
                if succeeds([*words, "images", "--quiet"]):
                    self._command_words = words
                    break
            else:
                said = output([*words, "images", "--quiet"])  # fails again, and tells why
                raise Failure(f"buildah has no storage driver that works in {storage}: {said}")
        return self._command_words

    def _temporary(self) -> Path:
        folder = self._folder / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One build at a time in this cache: two commands that want the same image wait for one build of it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with open(self._folder / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class _Notes:
    """Lets a long command's latest line be reported like any other news."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self.note = report


def stage(order: Order, context: Path) -> None:
    """Lays out the build context: only what is copied, with modes that do not depend on the builder's umask."""
    for path, file in order.files.items():
        target = context / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        target.chmod(0o755 if path == order.binary else 0o644)
    if order.source is not None and order.binary is not None:
        compile_static(order.source, context / order.binary)
    for folder in [context, *(path for path in context.rglob("*") if path.is_dir())]:
        folder.chmod(0o755)


def compile_static(source: Path, program: Path) -> None:
    if shutil.which("gcc") is None:
        raise Failure(f"gcc is not installed, and {source.name} is compiled with it: install gcc and libc6-dev")
    output(["gcc", "-static", "-Os", "-s", "-o", program, source])


def inherited_apt_options() -> list[str]:
    """This machine's own answers to the few apt questions that the base image must answer alike."""
    options = []
    for name in INHERITED_APT_OPTIONS:
        told = subprocess.run(["apt-config", "dump", "--no-empty", name], capture_output=True, text=True)
        options += [f"--aptopt={line.rstrip(';')}" for line in told.stdout.splitlines() if line.startswith(name)]
    return options


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
