"""Where packages come from, for builds on a node of our own, whose pods reach nothing outside.

This machine's own settings say it: pip's, npm's, Go's, Cargo's, Maven's, and the files of the others. A forward proxy at the machine's end of the
cable lets builds through to those hosts alone, and the ConfigMaps `registries` and `registries-files` tell builders all of it.
"""

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from .instance import CLONE, Addresses, Instance
from .kubectl import Kubectl
from .processes import Process, record, recorded, stop
from .progress import Step

PORT = 3128
NAME = "registries"
# Where builds find the files.
FILES = "/etc/muon/registries"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# What tools of several languages call the file with the authorities that they trust.
TRUST = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "CARGO_HTTP_CAINFO", "GIT_SSL_CAINFO")
# Settings of tools that are read for the hosts in them.
SETTINGS = (".cargo/config.toml", ".m2/settings.xml", ".nuget/NuGet/NuGet.Config", ".npmrc", ".config/pip/pip.conf", ".gemrc")
GO_VARIABLES = ("GOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE")
# Where Maven's own defaults lie, and which of them says where it looks first.
MAVEN = (Path("/usr/share/maven/lib"), "maven-model-builder-*.jar", "org/apache/maven/model/pom-4.0.0.xml")
PIP_DEFAULTS = "from pip._internal.models.index import PyPI; print(PyPI.simple_url, 'https://' + PyPI.file_storage_domain)"


def variables(addresses: Addresses) -> dict[str, str]:
    """What builders are told: the proxy, the mirrors that this machine is set to, and whom to trust."""
    proxy = f"http://{addresses.host}:{PORT}"
    found = {name: proxy for name in ("HTTPS_PROXY", "https_proxy")}
    found |= {name: os.environ[name] for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL") if os.environ.get(name)}
    found["NPM_CONFIG_REGISTRY"] = _said(["npm", "config", "get", "registry"])
    for name in GO_VARIABLES:
        found[name] = _said(["go", "env", name])
    if CERTIFICATES.exists():
        found |= {name: f"{FILES}/{CERTIFICATES.name}" for name in TRUST}
    return {name: value for name, value in found.items() if value}


def hosts(told: Iterable[str]) -> list[str]:
    """The hosts in these words, in pip's defaults, and in the settings of tools."""
    words = [*told, _said([sys.executable, "-c", PIP_DEFAULTS]), _said([sys.executable, "-m", "pip", "config", "list"])]
    for name in SETTINGS:
        file = Path.home() / name
        words.append(file.read_text(errors="replace") if file.is_file() else "")
    return hosts_in(" ".join([*words, *_of_cargo(), *_of_maven()]))


def _of_cargo() -> list[str]:
    """Each index that cargo has read is in a folder of the host's name, with what the index says of downloads."""
    indexes = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo")) / "registry" / "index"
    files = list(indexes.glob("*/config.json"))
    return [f"https://{file.parent.name.rpartition('-')[0]} {file.read_text(errors='replace')}" for file in files]


def _of_maven() -> list[str]:
    folder, archives, member = MAVEN
    found = []
    for archive in folder.glob(archives):
        with zipfile.ZipFile(archive) as opened:
            found.append(opened.read(member).decode())
    return found


def hosts_in(text: str) -> list[str]:
    """The hosts of all https:// addresses in a text."""
    found = (urlsplit(address).hostname for address in re.findall(r"https://[^\s\"'|,<>]+", text))
    return sorted({host for host in found if host})


def serve(instance: Instance) -> None:
    """Has the forward proxy run, and tells the builds of the default namespace of it."""
    addresses = instance.addresses()
    told = variables(addresses)
    allowed = hosts([value for name, value in told.items() if name.lower() != "https_proxy"])
    with Step("a way to the package registries for builds") as step:
        step.note(f"{len(allowed)} hosts")
        _run(instance, addresses, allowed)
        kubectl = Kubectl.of_instance(instance)
        for name, data in ((NAME, told), (f"{NAME}-files", _files())):
            manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
            kubectl.apply("-n", "default", "-f", "-", stdin=json.dumps(manifest))


def _run(instance: Instance, addresses: Addresses, allowed: list[str]) -> None:
    """Starts the proxy, unless it runs for these very hosts. Whoever takes the instance down ends it."""
    pid_file = instance.forward_pid
    running = recorded(pid_file)
    if running and running[1].get("hosts") == " ".join(allowed):
        return
    if running:
        stop(running[0], grace=1)
    argv = [sys.executable, "-m", "cluster.forward", addresses.host, str(PORT), *allowed]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(CLONE / "hack"), "PYTHONDONTWRITEBYTECODE": "1"}
    with open(instance.logs / "forward.log", "a") as log:
        null = subprocess.DEVNULL
        child = subprocess.Popen(argv, stdin=null, stdout=log, stderr=log, start_new_session=True, env=environment)
    if process := Process.of(child.pid):
        record(pid_file, process, hosts=" ".join(allowed))


def _files() -> dict[str, str]:
    return {CERTIFICATES.name: CERTIFICATES.read_text()} if CERTIFICATES.exists() else {}


def _said(argv: list[str]) -> str:
    """What a tool says, or nothing: one that is not installed has no settings."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
