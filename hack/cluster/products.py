"""The programs that are built here: the node's, the Ingress controller's and our own."""

import json
import os
import shutil
from pathlib import Path

from . import cache
from .failure import Failure
from .instance import CLONE
from .progress import Step
from .shell import logged, output
from .targets import target_folder

SOURCES = Path(__file__).resolve().parent
KUBERNETES, TRAEFIK = "1.34.4", "3.6.12"
NODE_PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")

TARGET = "x86_64-unknown-linux-gnu"
PROFILE = os.environ.get("MUON_PROFILE", "image")
"""Which profile of Cargo.toml our programs for the images are built with: `quick` is for the developer's own loop,
`flame` for hack/bench/flame."""


def go_environment() -> dict[str, str]:
    """Static programs, by the toolchain that is installed: a download of another would not be ours to trust."""
    return {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false -mod=readonly"}


def cargo_environment() -> dict[str, str]:
    """One target folder for everything that runs cargo in this clone, outside the tree."""
    return {"CARGO_TARGET_DIR": str(target_folder())}


def rust_flags() -> str:
    """Static programs; what is profiled keeps its frame pointers, by which stacks are read."""
    return "-C target-feature=+crt-static" + (" -C force-frame-pointers=yes" if PROFILE == "flame" else "")


def kubenode() -> Path:
    """The node's multi-call program."""
    major, minor, _ = KUBERNETES.split(".")
    stamps = {"gitVersion": f"v{KUBERNETES}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    # Two packages hold a version: what the programs say of themselves, and what clients tell servers.
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    stamped = {f"{package}.{name}": value for package in packages for name, value in stamps.items()}
    return _go_program(SOURCES / "node", "kubenode", ".", stamped)


def coredns() -> Path:
    """CoreDNS; it carries its own version."""
    return _go_program(SOURCES / "coredns", "coredns", ".", {})


def traefik() -> Path:
    """The Ingress controller."""
    module = "github.com/traefik/traefik/v3"
    return _go_program(SOURCES / "traefik", "traefik", f"{module}/cmd/traefik", {f"{module}/pkg/version.Version": TRAEFIK})


PACKAGING = CLONE / "hack" / "packaging"


def packaging() -> Path:
    """What hack/package runs."""
    return _go_program(PACKAGING, "muon-packaging", ".", {})


# The runtimes that are programs themselves, by the folders of their sources, and the package that they have in common.
CONTRACT = CLONE / "config" / "environments" / "contract"
RUNTIMES = {
    "muon-binary": CLONE / "config" / "environments" / "binary" / "runtime",
    "muon-launcher": CLONE / "config" / "environments" / "launcher",
}


def runtime(name: str) -> Path:
    """One of these runtimes."""
    return _go_program(RUNTIMES[name], name, ".", {}, CONTRACT)


def _go_program(source: Path, name: str, package: str, stamps: dict[str, str], *more: Path) -> Path:
    """Builds a Go program unless the same sources gave one before."""
    flags = " ".join(["-s", "-w", *(f"-X {variable}={value}" for variable, value in stamps.items())])
    folders = (source, *more)
    inputs = sorted(path for folder in folders for path in folder.iterdir() if path.suffix in (".go", ".mod", ".sum"))
    environment = go_environment()

    def build(place: Path) -> None:
        with Step(f"building {name} (once; kept in {cache.root()})") as step:
            argv = ["go", "build", "-v", "-trimpath", "-ldflags", flags, "-o", place / name, package]
            logged(argv, cache.root() / "logs" / f"build-{name}.log", step=step, cwd=source, env=environment)

    parts = [output(["go", "version"], env=environment), flags, package, json.dumps(environment), *inputs]
    return cache.product(name, cache.key(parts), build) / name


def rust_binaries() -> dict[str, Path]:
    """Our two programs for the images, static; cargo itself knows what has changed.

    Two calls of cargo: in one, each would get the features that the other needs of a common crate.
    """
    environment = {**cargo_environment(), "RUSTFLAGS": rust_flags()}
    clone = cache.key([str(CLONE)])
    place = cache.root() / "programs" / clone
    place.mkdir(parents=True, exist_ok=True)
    built = {}
    for package, binary in (("muon-runtime", "muon"), ("muon-agent", "muon-agent")):
        with Step(f"building {binary}") as step, cache.exclusive(f"rust-programs-{clone}"):
            argv = ["cargo", "build", "--locked", "--profile", PROFILE, "--target", TARGET, "-p", package, "--bin", binary]
            logged(argv, cache.root() / "logs" / f"build-{binary}.log", step=step, cwd=CLONE, env=environment)
            built[binary] = place / binary
            _take(Path(environment["CARGO_TARGET_DIR"]) / TARGET / PROFILE / binary, built[binary])
    return built


def _take(program: Path, place: Path) -> None:
    """Copies a program out of the target folder, where the next build, of another clone perhaps, replaces it."""
    there, here = program.stat(), place.stat() if place.exists() else None
    if here is None or (here.st_size, here.st_mtime_ns) != (there.st_size, there.st_mtime_ns):
        unfinished = place.with_suffix(".unfinished")
        shutil.copy2(program, unfinished)
        unfinished.rename(place)


def link_programs(folder: Path) -> None:
    """Puts links to all programs of a node into an instance's folder, under their own names."""
    node, dns = kubenode(), coredns()
    wanted = {name: node for name in NODE_PROGRAMS} | {"coredns": dns}
    for name in ("containerd", "ctr"):
        found = next((place for place in ("/usr/bin", "/usr/local/bin") if os.access(f"{place}/{name}", os.X_OK)), None)
        if found is None:
            raise Failure(f"{name} is not installed: run hack/up as root, it installs Debian's containerd")
        wanted[name] = Path(found) / name
    folder.mkdir(parents=True, exist_ok=True)
    for name, target in wanted.items():
        link = folder / name
        if not link.is_symlink() or link.readlink() != target:
            link.unlink(missing_ok=True)
            link.symlink_to(target)
