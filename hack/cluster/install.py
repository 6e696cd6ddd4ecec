"""Checks `hack/up --context` as the owner of a cluster would use it: a second cluster, a registry, a kubeconfig of theirs.

The kubeconfig's current context is a decoy that counts who calls: nothing but the named context may be touched.
"""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import calls, diagnostics, lifecycle, registry
from .bringup import bring_up
from .counts import Counts
from .failure import Failure
from .instance import CLONE, Instance
from .kubectl import Kubectl
from .processes import wait_until
from .progress import Step
from .shell import logged, output

CONTEXT, DECOY = "theirs", "decoy"
FORWARD_SECONDS = 30
GONE_SECONDS = 90
# The label of what the operator makes.
MADE = "app.kubernetes.io/managed-by=muon"
CLUSTER_KINDS = ("namespaces", "crd", "clusterroles", "clusterrolebindings", "validatingadmissionpolicies")
NAMESPACED_KINDS = ("pods", "services", "endpointslices", "deployments", "replicasets", "ingresses", "networkpolicies", "pdb")


def check(log: Path) -> Counts:
    """Everything, on an instance that is there only for this; each check that holds counts."""
    instance = Instance("install")
    with instance.lock():
        lifecycle.down(instance)
        try:
            bring_up(instance, only_cluster=True)
            with registry.serving(instance, log.with_name("install-registry.log")) as address, _decoy() as decoy:
                environment = _environment(instance, decoy.port)
                _Installation(instance, f"{address}/somebody/muon", environment, decoy, log).check()
        except Failure:
            diagnostics.collect(instance, log.parent)
            raise
        finally:
            lifecycle.down(instance)
    return Counts(passed=len(CHECKS))


@dataclass
class _Decoy:
    """A server that somebody's current context names, and how often it was called."""

    port: int
    callers: int = 0


@dataclass
class _Installation:
    """The cluster to install on and how to call it."""

    instance: Instance
    prefix: str
    environment: Mapping[str, str]
    decoy: _Decoy
    log: Path
    said: str = ""

    def check(self) -> None:
        for each in CHECKS:
            with Step((each.__doc__ or each.__name__).rstrip(".")):
                each(self)

    def an_unknown_context_is_refused(self) -> None:
        """A context that is not in the kubeconfig is refused, and those that are get named."""
        refused = subprocess.run(self._up("nowhere"), capture_output=True, text=True, env=self._all_variables())
        if refused.returncode == 0 or DECOY not in refused.stderr or CONTEXT not in refused.stderr:
            raise Failure(f"hack/up --context nowhere ended with {refused.returncode}: {refused.stderr.strip()}")

    def it_installs(self) -> None:
        """The command installs and says how to go on."""
        logged(self._up(CONTEXT), self.log, env=self.environment)
        self.said = self.log.read_text()

    def the_images_come_from_the_registry(self) -> None:
        """Every container of Muon's, and of the Environments' pools, runs an image below the prefix."""
        images: set[str] = set()
        for namespace in ("muon-system", "default"):
            for pod in self._kubectl().get("-n", namespace, "pods")["items"]:
                spec = pod["spec"]
                images |= {each["image"] for each in spec["containers"] + spec.get("initContainers", [])}
        strange = sorted(image for image in images if not image.startswith(f"{self.prefix}/"))
        if strange or len(images) < 4:
            raise Failure(f"not from {self.prefix}: {strange}; all images: {sorted(images)}")

    def what_it_says_works(self) -> None:
        """The commands that it prints apply a sample that answers through the forwarded port."""
        words = [line.strip() for line in self.said.splitlines() if line.startswith("  ")]
        for line in (line for line in words if re.match(r"kubectl .* (apply|wait) ", line)):
            output(["sh", "-ec", line], env=self.environment, cwd=CLONE)
        forward = next((line for line in words if " port-forward " in line), "")
        host = next((found[1] for line in words if (found := re.search(r"curl -H 'Host: (\S+)'", line))), "")
        if not forward or not host:
            raise Failure(f"hack/up does not say how to call the sample; it said: {self.said}")
        # On a port that is free here, instead of the one that a person would take.
        argv = re.sub(r" \d+:(\d+) &$", r" :\1", forward).split()
        with _forwarded(argv, self._all_variables()) as port:
            status, body = _get(port, host)
        if (status, body) != (200, "hello from Python\n"):
            raise Failure(f"through the forwarded port came {status}: {body.strip()[:300]}")

    def the_ingress_answers(self) -> None:
        """The Ingress controller of that cluster answers too."""
        timing = calls.time_sample(self.instance.addresses(), "hello-python")
        if timing.reply != "hello from Python\n":
            raise Failure(f"through the Ingress came {timing.reply[:300]!r}")

    def a_second_run_changes_nothing(self) -> None:
        """A second run leaves every workload as it is."""
        before = self._generations()
        logged(self._up(CONTEXT), self.log.with_name("install-again.log"), env=self.environment)
        after = self._generations()
        if before != after:
            raise Failure(f"the second run changed workloads: {before} became {after}")

    def it_can_be_removed(self) -> None:
        """What was installed can be deleted as the README says, functions and all."""
        kubectl = self._kubectl()
        kubectl("delete", "muon", "--all", "--all-namespaces", "--timeout=60s")
        services = ("service", "--all-namespaces", "-l", MADE)
        kubectl("wait", "--for=delete", *services, f"--timeout={GONE_SECONDS}s")
        _wait_until_none("left of functions and routes", self._made_for_users)
        kubectl("delete", "-k", str(CLONE / "config" / "default"), "--timeout=90s")
        _wait_until_none("left of the installation", self._installed)

    def nothing_else_was_touched(self) -> None:
        """The current context, which was not named, was never called."""
        if self.decoy.callers:
            raise Failure(f"the current context of the kubeconfig was called {self.decoy.callers} times")

    def _up(self, context: str) -> list[str]:
        options = ["--context", context, "--image-prefix", self.prefix, "--plain-http"]
        return [sys.executable, str(CLONE / "hack" / "up"), *options]

    def _all_variables(self) -> dict[str, str]:
        return {**os.environ, **self.environment}

    def _kubectl(self) -> Kubectl:
        return Kubectl.of_instance(self.instance)

    def _made_for_users(self) -> list[str]:
        """Names of what the operator made in all namespaces."""
        labelled = ("--all-namespaces", "-l", MADE, "-o", "name")
        return self._kubectl()("get", ",".join(NAMESPACED_KINDS), *labelled).split()

    def _installed(self) -> list[str]:
        """Names of what was installed for the whole cluster. What begins with muon-dev: belongs to the node."""
        names = self._kubectl()("get", ",".join(CLUSTER_KINDS), "-o", "name").split()
        return [name for name in names if "muon" in name and "/muon-dev:" not in name]

    def _generations(self) -> dict[str, int]:
        items = self._kubectl().get("deployments,statefulsets", "--all-namespaces")["items"]
        return {each["metadata"]["name"]: each["metadata"]["generation"] for each in items}


CHECKS: tuple[Callable[[_Installation], None], ...] = (
    _Installation.an_unknown_context_is_refused,
    _Installation.it_installs,
    _Installation.the_images_come_from_the_registry,
    _Installation.what_it_says_works,
    _Installation.the_ingress_answers,
    _Installation.a_second_run_changes_nothing,
    _Installation.it_can_be_removed,
    _Installation.nothing_else_was_touched,
)


def _environment(instance: Instance, decoy: int) -> dict[str, str]:
    """A user's environment: a kubectl, and a kubeconfig with two clusters of which the wrong one is current."""
    kubectl = Kubectl.of_instance(instance)
    known = json.loads(kubectl("config", "view", "--raw", "-o", "json"))
    known["contexts"][0]["name"] = CONTEXT
    known["clusters"].append({"name": DECOY, "cluster": {"server": f"http://127.0.0.1:{decoy}"}})
    known["users"].append({"name": DECOY, "user": {}})
    known["contexts"].append({"name": DECOY, "context": {"cluster": DECOY, "user": DECOY}})
    known["current-context"] = DECOY
    file = instance.state / "their-kubeconfig"
    file.write_text(json.dumps(known))
    file.chmod(0o600)
    return {"KUBECONFIG": str(file), "PATH": f"{instance.bin}:{os.environ['PATH']}"}


@contextmanager
def _decoy() -> Iterator[_Decoy]:
    listener = socket.create_server(("127.0.0.1", 0))
    decoy = _Decoy(listener.getsockname()[1])

    def count() -> None:
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            decoy.callers += 1
            caller.close()

    threading.Thread(target=count, daemon=True).start()
    try:
        yield decoy
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@contextmanager
def _forwarded(argv: list[str], environment: Mapping[str, str]) -> Iterator[int]:
    """Runs a `kubectl port-forward`; gives the port that it took here."""
    running = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(running.stdout or ()), daemon=True)

    def port() -> int | None:
        return next((int(found[1]) for line in said if (found := re.search(r"127\.0\.0\.1:(\d+) ->", line))), None)

    reader.start()
    try:
        wait_until(lambda: port() is not None or running.poll() is not None, FORWARD_SECONDS)
        if (taken := port()) is None:
            raise Failure(f"{' '.join(argv)} forwards nothing: {''.join(said).strip()}")
        yield taken
    finally:
        running.terminate()
        running.wait()
        reader.join()


def _wait_until_none(what: str, names: Callable[[], list[str]]) -> None:
    """Waits for the operator and the garbage collector, which go at their own pace."""
    if not wait_until(lambda: not names(), GONE_SECONDS):
        raise Failure(f"{what}: {', '.join(names())}")


def _get(port: int, host: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/", headers={"Host": host})
        reply = connection.getresponse()
        return reply.status, reply.read().decode(errors="replace")
    finally:
        connection.close()
