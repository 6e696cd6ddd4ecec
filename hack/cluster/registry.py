"""A registry for tests, on the machine's end of an instance's cable: Debian's docker-registry, unpacked and not installed."""

import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import cache, configs
from .failure import Failure
from .instance import Instance
from .processes import wait_until
from .progress import Step
from .shell import last_line, logged

PORT = 5000
PACKAGE = "docker-registry"
SUITE = "bookworm"
START_SECONDS = 20


def program() -> Path:
    """The registry's program. The package itself would start a service of the machine's."""

    def unpack(place: Path) -> None:
        with Step(f"unpacking {PACKAGE} (once)") as step:
            logs = cache.root() / "logs"
            logged(["apt-get", "update"], logs / "apt-update.log", step=step)
            logged(["apt-get", "download", PACKAGE], logs / f"apt-{PACKAGE}.log", step=step, cwd=place)
            archive = next(place.glob("*.deb"))
            logged(["dpkg-deb", "--extract", archive, place / "root"], logs / f"unpack-{PACKAGE}.log", step=step)
            archive.unlink()

    return cache.product(PACKAGE, SUITE, unpack) / "root" / "usr" / "bin" / PACKAGE


@contextmanager
def serving(instance: Instance, log: Path) -> Iterator[str]:
    """Runs an empty registry that speaks plain HTTP and is known as such to the instance's containerd; gives host:port."""
    name = f"{instance.addresses().host}:{PORT}"
    folder = instance.state / "registry"
    folder.mkdir(parents=True, exist_ok=True)
    trust(instance, name)
    settings = folder / "config.json"
    settings.write_text(json.dumps(settings_of(name, folder / "data"), indent=2))
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w") as sink:
        # Nothing from the caller's environment: REGISTRY_… variables there would be settings.
        environment = {"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"}
        words = [program(), "serve", settings]
        running = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, env=environment)
    try:
        if not wait_until(lambda: _answers(name) or running.poll() is not None, START_SECONDS) or running.poll() is not None:
            raise Failure(f"the registry does not come up ({last_line(log)}); see {log}")
        yield name
    finally:
        running.terminate()
        running.wait()


def settings_of(name: str, data: Path) -> dict:
    """The registry's configuration; JSON is YAML too."""
    return {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(data)}},
        "http": {"addr": name},
    }


def trust(instance: Instance, name: str) -> None:
    """Tells the instance's containerd to speak plain HTTP with this registry; it looks at every pull."""
    folder = configs.registries(instance) / name
    folder.mkdir(parents=True, exist_ok=True)
    # The section is needed: Debian's containerd does not keep to the scheme of a `server` alone.
    (folder / "hosts.toml").write_text(f'[host."http://{name}"]\n  capabilities = ["pull", "resolve"]\n')


def _answers(name: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://{name}/v2/", timeout=2) as reply:
            return reply.status == 200
    except (OSError, urllib.error.URLError):
        return False
