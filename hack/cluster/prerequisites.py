"""What must be installed before anything else: Debian's packages by ourselves, toolchains by the user."""

import os
import shutil
from collections.abc import Iterable

from . import cache
from .failure import Failure
from .progress import Step
from .shell import logged, output

CLUSTER_PACKAGES = (
    "containerd",
    "runc",
    "containernetworking-plugins",
    # The portmap plugin writes hostPorts with it.
    "iptables",
    "nftables",
    "iproute2",
    "procps",
    "util-linux",
    "mount",
    # kube-proxy drops stale UDP flows with it.
    "conntrack",
    "openssl",
)
IMAGE_PACKAGES = ("buildah", "skopeo", "mmdebstrap", "gcc", "libc6-dev")
# Somebody else may be installing at this moment.
APT_PATIENCE = ("-o", "DPkg::Lock::Timeout=300")
TOOLCHAINS = {
    "go": "Go 1.25 or newer",
    "cargo": "Rust (rustup)",
}


def require_root() -> None:
    """A node needs namespaces, cgroups and mounts: all of them root's."""
    if os.geteuid() != 0:
        raise Failure("a cluster on this machine needs root: run it as root, or name an existing cluster with --context")


def require_toolchains(names: Iterable[str] = tuple(TOOLCHAINS)) -> None:
    """Toolchains are the user's choice; we only say which is missing."""
    for name in names:
        if shutil.which(name) is None:
            raise Failure(f"{name} is not on the PATH: install {TOOLCHAINS[name]}")


def install_packages(packages: Iterable[str] = CLUSTER_PACKAGES + IMAGE_PACKAGES) -> None:
    """Installs the packages that are missing, and nothing if none is."""
    installed = _installed()
    missing = [package for package in packages if package not in installed]
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise Failure(f"this machine has no apt-get: install by its own means {' '.join(missing)}")
    log = cache.root() / "logs" / "apt.log"
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    with Step(f"installing {', '.join(missing)}") as step:
        logged(["apt-get", *APT_PATIENCE, "update"], log.with_name("apt-update.log"), step=step, env=environment)
        logged(["apt-get", *APT_PATIENCE, "install", "-y", "--no-install-recommends", *missing], log, step=step, env=environment)


def _installed() -> set[str]:
    """The names of all packages that are fully installed."""
    if shutil.which("dpkg-query") is None:
        return set()
    lines = output(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n"]).splitlines()
    return {name for status, _, name in (line.partition(" ") for line in lines) if status == "installed"}
