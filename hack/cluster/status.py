"""What runs, where its logs are, and how to use it: for a person and for programs."""

import socket

from .failure import Failure
from .instance import INGRESS_PORT, Instance
from .lifecycle import node_ready, supervisor_of, supervisor_state
from .processes import recorded
from .progress import elapsed


def status(instance: Instance) -> dict:
    """All that is known of an instance, `{"ready": false}` at least."""
    if instance.slot() is None:
        return {"instance": instance.name, "ready": False, "problems": ["it is not up"]}
    addresses = instance.addresses()
    supervisor = supervisor_of(instance)
    components = _components(instance)
    problems = [f"{name} does not run" for name, each in components.items() if each["pid"] is None]
    problems += [f"{name} is not ready" for name, each in components.items() if each["pid"] is not None and not each["ready"]]
    if supervisor is None:
        problems.append("the supervisor does not run: what dies stays dead until the next hack/up")
    if not components:
        problems.append("no component was ever started")
    elif not problems:
        problems += _service_problems(instance, addresses.node)
    return {
        "instance": instance.name,
        "ready": not problems,
        "problems": problems,
        "kubeconfig": str(instance.kubeconfig),
        "ingress": f"http://{addresses.node}:{INGRESS_PORT}",
        "node": {"name": instance.name, "address": addresses.node},
        "host": {"address": addresses.host},
        "pods": str(addresses.pods),
        "services": str(addresses.services),
        "netns": instance.netns,
        "cgroup": f"/{instance.netns}",
        "state": str(instance.state),
        "logs": str(instance.logs),
        "auditLog": str(instance.audit_log),
        "bin": str(instance.bin),
        "containerd": str(instance.containerd_socket),
        "supervisor": {"pid": supervisor.pid if supervisor else None},
        "components": components,
    }


def as_text(known: dict) -> str:
    """The same for a person."""
    if "components" not in known:
        return f"{known['instance']}: not up (hack/up brings it up)"
    lines = [f"{known['instance']}: {'ready' if known['ready'] else 'NOT READY'}"]
    lines += [f"  ! {problem}" for problem in known["problems"]]
    for name, each in known["components"].items():
        life = f"pid {each['pid']:<8} up {elapsed(each['uptimeSeconds'])}" if each["pid"] else "does not run"
        again = f", restarted {each['restarts']} times" if each["restarts"] else ""
        lines.append(f"  {name:<24} {life}{again}")
    lines += [
        "",
        f"  Ingress   {known['ingress']}",
        f"  node      {known['node']['address']} in network namespace {known['netns']}",
        f"  pods      {known['pods']} and Services {known['services']}, reachable from this machine",
        f"  logs      {known['logs']}",
        "",
        f"  export KUBECONFIG={known['kubeconfig']} PATH={known['bin']}:$PATH",
    ]
    return "\n".join(lines)


def _components(instance: Instance) -> dict[str, dict]:
    """The components as the pid files show them: the supervisor's own word may be older than its death."""
    found = {}
    for name, each in supervisor_state(instance).get("components", {}).items():
        running = recorded(instance.state / "run" / f"{name}.pid")
        found[name] = {
            "pid": running[0].pid if running else None,
            "uptimeSeconds": round(running[0].age(), 1) if running else None,
            "ready": bool(running) and each["ready"],
            "restarts": each["restarts"],
            "log": str(instance.logs / f"{name}.log"),
        }
    return found


def _service_problems(instance: Instance, node: str) -> list[str]:
    try:
        if not node_ready(instance):
            return ["the node is not Ready"]
    except Failure as failure:
        return [f"the API server does not answer: {failure}"]
    try:
        socket.create_connection((node, INGRESS_PORT), timeout=2).close()
    except OSError:
        return [f"nothing listens on the Ingress port {node}:{INGRESS_PORT}"]
    return []
