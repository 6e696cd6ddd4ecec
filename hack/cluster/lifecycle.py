"""Brings an instance up, whatever a killed one left behind, and takes it down without a trace."""

import json
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from . import bootstrap, cache, configs, host, mounts, network, pki, products
from .cgroups import cgroups
from .components import components
from .configs import Site
from .failure import Failure
from .instance import CLONE, Instance, orphans
from .kubectl import Kubectl
from .processes import Process, boot_id, kill_all, record, recorded, wait_until
from .progress import Step
from .shell import last_line

COMPONENTS_SECONDS = 90
NODE_SECONDS = 60


def up(instance: Instance, pause_image: str) -> Site:
    """Brings the cluster up, or makes one that is up as it should be; costs a second if it already is."""
    with Step(f"cluster {instance.name}") as step:
        site = _prepare(instance, pause_image, step)
        none_survived, since = not cgroups(instance).has_containers(), datetime.now(UTC)
        if none_survived:
            host.forget_dead_shims(instance)
        _supervise(site, step)
        wait_for_components(instance, step, only={"kube-apiserver"})
        bootstrap.apply(site)
        wait_for_components(instance, step)
        _wait_for_node(instance, step)
        if none_survived:
            _wait_for_pods_since(instance, since, step)
    return site


def down(instance: Instance) -> bool:
    """Removes all that the instance started or wrote; says whether there was anything."""
    existed = instance.state.exists() or instance.runtime.exists() or instance.netns_path.exists()
    _kill_everything(instance)
    mounts.unmount_below(instance.state, instance.runtime)
    host.forget(instance)
    slot = instance.slot()
    if slot is not None:
        network.destroy(instance, instance.addresses())
    cgroups(instance).remove()
    for folder in (instance.state, instance.runtime):
        shutil.rmtree(folder, ignore_errors=True)
    instance.release_slot(when_last=host.restore)
    instance.remove_lock()
    return existed


def supervisor_of(instance: Instance) -> Process | None:
    """The instance's supervisor, if it lives."""
    found = recorded(instance.state / "run" / "supervisor.pid")
    return found[0] if found else None


def supervisor_state(instance: Instance) -> dict:
    """What the supervisor last wrote of its components."""
    try:
        return json.loads((instance.state / "run" / "state.json").read_text())
    except FileNotFoundError:
        return {}


def node_ready(instance: Instance) -> bool:
    """Whether the API server says that the node is Ready."""
    path = '{.items[*].status.conditions[?(@.type=="Ready")].status}'
    return Kubectl.of_instance(instance)("get", "nodes", "-o", f"jsonpath={path}") == "True"


def wait_for_components(instance: Instance, step: Step, only: set[str] | None = None) -> None:
    """Waits until the components, or only some of them, are ready; names the one to blame, and its log."""

    def unready() -> list[str]:
        state = supervisor_state(instance)
        if not state or state.get("digest") != _written_digest(instance):
            return ["supervisor"]
        return [name for name, each in state["components"].items() if not each["ready"]]

    def all_ready() -> bool:
        waiting = unready()
        step.note(f"waiting for {', '.join(waiting)}")
        return not waiting or bool(only and only.isdisjoint(waiting) and waiting != ["supervisor"])

    if not wait_until(all_ready, COMPONENTS_SECONDS):
        # In their order: the first is the one that the others wait for.
        first = unready()[0]
        log = instance.logs / f"{first}.log"
        raise Failure(f"{first} is not ready after {COMPONENTS_SECONDS} s ({last_line(log)}); see {log}")


def _prepare(instance: Instance, pause_image: str, step: Step) -> Site:
    """Everything that the components find in place when they start."""
    for orphan in orphans():
        step.note(f"removing {orphan.name}, whose clone is gone")
        with orphan.lock():
            down(orphan)
    addresses = instance.take_slot(when_first=host.remember)
    if instance.previous_slot() not in (None, addresses.slot):
        # Services in etcd have addresses of a slot that somebody else has now.
        step.note("the old addresses are taken: starting with an empty cluster")
        _drop_node(instance)
        shutil.rmtree(instance.state)
    elif not network.exists(instance) or _boot_of(instance) not in (None, boot_id()):
        step.note("clearing the remains of an earlier life")
        _drop_node(instance)
    for folder in (instance.logs, instance.state / "run", instance.runtime):
        folder.mkdir(parents=True, exist_ok=True)
    (instance.state / "slot").write_text(str(addresses.slot))
    (instance.runtime / "boot").write_text(boot_id())
    network.create(instance, addresses)
    cgroups(instance).create()
    products.link_programs(instance.bin)
    site = Site(instance, addresses, pki.ensure(instance, addresses), pause_image)
    configs.write(site)
    return site


def _supervise(site: Site, step: Step) -> None:
    """Writes down what should run, and has the supervisor see to it."""
    instance = site.instance
    described = components(site)
    sources = sorted(Path(__file__).parent.glob("*.py"))
    supervisor_sources = [path for path in sources if path.stem in ("supervisor", "processes", "readiness")]
    digest = cache.key([*(component.digest for component in described), *supervisor_sources])
    wanted = {"digest": digest, "components": [component.as_json() for component in described]}
    (instance.state / "components.json").write_text(json.dumps(wanted, indent=2))
    running = supervisor_of(instance)
    if running is None:
        _start_supervisor(instance)
    elif supervisor_state(instance).get("digest") != digest:
        step.note("replacing components whose configuration changed")
        running.signal(signal.SIGHUP)


def _start_supervisor(instance: Instance) -> None:
    argv = [*network.inside(instance), sys.executable, "-m", "cluster.supervisor"]
    argv += [str(instance.state), str(cgroups(instance).supervised / "cgroup.procs")]
    # What the last supervisor wrote must not be taken for the new one's word.
    (instance.state / "run" / "state.json").unlink(missing_ok=True)
    with open(instance.logs / "supervisor.log", "a") as log:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=instance.state,
            env=_clean_environment(),
        )
    process = Process.of(child.pid)
    if process is None:
        raise Failure(f"the supervisor ended at once; see {instance.logs / 'supervisor.log'}")
    record(instance.state / "run" / "supervisor.pid", process)


def _clean_environment() -> dict[str, str]:
    """An environment that does not depend on who called: no proxies and no KUBECONFIG for components."""
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(CLONE / "hack"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _wait_for_node(instance: Instance, step: Step) -> None:
    step.note("waiting for the node to be Ready")

    if not wait_until(lambda: node_ready(instance), NODE_SECONDS):
        raise Failure(f"the node is not Ready after {NODE_SECONDS} s; see {instance.logs / 'kubelet.log'}")


def _wait_for_pods_since(instance: Instance, since: datetime, step: Step) -> None:
    """Waits until no pod is called Ready on the word of a node that was killed.

    Until the kubelet has looked at every pod, the API server still shows what was true before, and
    whatever waits for Ready next would go on too early.
    """
    step.note("waiting for the pods of an earlier life to be looked at")

    def outdated() -> list[str]:
        pods = Kubectl.of_instance(instance).get("pods", "--all-namespaces")["items"]
        return [pod["metadata"]["name"] for pod in pods if _ready_before(pod, since)]

    # Not worth a failure: what really does not come up is seen by those who wait for it.
    wait_until(lambda: not outdated(), NODE_SECONDS)


def _ready_before(pod: dict, since: datetime) -> bool:
    for condition in pod["status"].get("conditions", []):
        if condition["type"] == "Ready" and condition["status"] == "True":
            return datetime.fromisoformat(condition["lastTransitionTime"]) < since.replace(microsecond=0)
    return False


def _kill_everything(instance: Instance) -> None:
    """Ends every process of the instance: the supervisor first, so that it starts nothing anew."""
    running = supervisor_of(instance)
    if running is not None:
        running.signal(signal.SIGKILL)
    if forwarding := recorded(instance.forward_pid):
        forwarding[0].signal(signal.SIGKILL)
    kill_all(cgroups(instance).members)


def _drop_node(instance: Instance) -> None:
    """Forgets the node's containers but not the cluster's objects, as a reboot of a real node does."""
    _kill_everything(instance)
    mounts.unmount_below(instance.state, instance.runtime)
    host.forget(instance)
    cgroups(instance).remove()
    for folder in (instance.runtime, instance.state / "containerd", instance.state / "kubelet", instance.state / "run"):
        shutil.rmtree(folder, ignore_errors=True)


def _boot_of(instance: Instance) -> str | None:
    try:
        return (instance.runtime / "boot").read_text()
    except FileNotFoundError:
        return None


def _written_digest(instance: Instance) -> str:
    return json.loads((instance.state / "components.json").read_text())["digest"]
