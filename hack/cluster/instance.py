"""What one cluster instance is called, where its files lie and which addresses are its own.

Several instances live on one machine at once: that of hack/up, that of hack/test, and those of
other clones. Everything that could clash is derived here from the instance's name or its slot.
"""

import fcntl
import hashlib
import ipaddress
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .failure import Failure

CLONE = Path(__file__).resolve().parents[2]

# Machine-wide on purpose, whatever MUON_STATE says: slots must be unique among all clones.
RUNTIME_ROOT = Path("/run/muon-dev")
SLOTS = 16

API_PORT = 6443
INGRESS_PORT = 8000


def state_root() -> Path:
    """The folder that holds the state of all instances."""
    return Path(os.environ.get("MUON_STATE", "/var/lib/muon-dev")).absolute()


@dataclass(frozen=True)
class Addresses:
    """The addresses of one slot, all from 198.18.0.0/15, the range set aside for benchmarks.

    A private range could be somebody's real network; this one is nobody's.
    """

    slot: int

    @property
    def pods(self) -> ipaddress.IPv4Network:
        """Pod addresses: 2,046, far above the kubelet's limit, so that none is reused too soon."""
        return ipaddress.IPv4Network(f"198.18.{8 * self.slot}.0/21")

    @property
    def services(self) -> ipaddress.IPv4Network:
        """Service addresses."""
        return ipaddress.IPv4Network(f"198.19.{8 * self.slot}.0/21")

    @property
    def link(self) -> ipaddress.IPv4Network:
        """The cable between the machine and the node: two usable addresses."""
        return ipaddress.IPv4Network(f"198.18.255.{4 * self.slot}/30")

    @property
    def host(self) -> str:
        """The machine's end of the cable."""
        return str(self.link[1])

    @property
    def node(self) -> str:
        """The node's own address: API server, kubelet, Ingress port."""
        return str(self.link[2])

    @property
    def api_service(self) -> str:
        """The ClusterIP of the `kubernetes` Service: always the first of the range."""
        return str(self.services[1])

    @property
    def dns(self) -> str:
        """The ClusterIP of the cluster's DNS."""
        return str(self.services[10])


@dataclass(frozen=True)
class Instance:
    """One cluster instance of one clone."""

    kind: str
    clone: Path = CLONE

    def __post_init__(self) -> None:
        # Eight letters keep every derived name (cgroup, network namespace, node) far below its limit.
        if not re.fullmatch(r"[a-z]{1,8}", self.kind):
            raise Failure(f"instance {self.kind!r} is no name: use 1 to 8 small letters, like 'up' or 'test'")

    @cached_property
    def name(self) -> str:
        """Unique on the machine: two clones have two hashes."""
        return f"{self.kind}-{hashlib.sha256(str(self.clone).encode()).hexdigest()[:8]}"

    @property
    def netns(self) -> str:
        """The network namespace, which is also the name of the cgroup and of the CNI network."""
        return f"muon-{self.name}"

    @property
    def forward_pid(self) -> Path:
        """The forward proxy for builds, which lives on the machine's network and not on the node's."""
        return self.state / "run" / "forward.pid"

    @property
    def netns_path(self) -> Path:
        """Where iproute2 pins the network namespace."""
        return Path("/run/netns") / self.netns

    @property
    def state(self) -> Path:
        """Everything that should outlive the processes: keys, etcd's data, images, logs."""
        return state_root() / self.name

    @property
    def runtime(self) -> Path:
        """Sockets and what containerd knows of running containers: worthless after a reboot."""
        return RUNTIME_ROOT / self.name

    @property
    def logs(self) -> Path:
        """One log file for each component."""
        return self.state / "logs"

    @property
    def bin(self) -> Path:
        """Links to the programs that this instance runs, and kubectl."""
        return self.state / "bin"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "kubeconfig"

    @property
    def containerd_socket(self) -> Path:
        """The container runtime's socket."""
        return self.runtime / "containerd.sock"

    @property
    def audit_log(self) -> Path:
        """Every write that the API server accepted or refused, and by whom."""
        return self.logs / "audit.log"

    @property
    def status_file(self) -> Path:
        """What `hack/status -o json` printed when hack/up last finished."""
        return self.state / "status.json"

    def slot(self) -> int | None:
        """The slot that this instance holds, if it holds one."""
        entry = _read_slots().get(self.name)
        return entry["slot"] if entry else None

    def addresses(self) -> Addresses:
        """The addresses of the slot that this instance holds."""
        slot = self.slot()
        if slot is None:
            raise Failure(f"instance {self.name} is not up: run hack/up")
        return Addresses(slot)

    def take_slot(self, when_first: Callable[[], None] = lambda: None) -> Addresses:
        """Gives the instance a slot: the one that it has or, if nobody took it meanwhile, had."""
        with _slots_locked() as slots:
            if not slots:
                when_first()
            if self.name not in slots:
                taken = {entry["slot"] for entry in slots.values()}
                before = self.previous_slot()
                free_again = before is not None and before not in taken and not _routed_elsewhere(Addresses(before))
                slot = before if free_again else choose_slot(taken, _routed_elsewhere)
                slots[self.name] = {"slot": slot, "kind": self.kind, "clone": str(self.clone), "state": str(self.state)}
            return Addresses(slots[self.name]["slot"])

    def previous_slot(self) -> int | None:
        """The slot for which the present state folder was made; its data names addresses of that slot."""
        try:
            return int((self.state / "slot").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def release_slot(self, when_last: Callable[[], None] = lambda: None) -> None:
        """Gives the slot back."""
        with _slots_locked() as slots:
            if slots.pop(self.name, None) is not None and not slots:
                when_last()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lets one command at a time change this instance; the next one waits and says so."""
        with _locked(RUNTIME_ROOT / f"{self.name}.lock", f"another command on {self.name}"):
            yield

    def locked(self) -> bool:
        """Whether some command is changing this instance right now."""
        try:
            with open(RUNTIME_ROOT / f"{self.name}.lock") as held:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def remove_lock(self) -> None:
        """Removes the lock's file, by who holds it: whoever waits for it notices and makes a new one."""
        (RUNTIME_ROOT / f"{self.name}.lock").unlink(missing_ok=True)
        with suppress(OSError):
            RUNTIME_ROOT.rmdir()


def orphans() -> list[Instance]:
    """Instances whose clone is gone: nobody can take them down any more but we."""
    found = []
    for entry in _read_slots().values():
        instance = Instance(entry["kind"], Path(entry["clone"]))
        if not instance.clone.exists() and str(instance.state) == entry["state"] and not instance.locked():
            found.append(instance)
    return found


def choose_slot(taken: set[int], unusable=lambda addresses: False) -> int:
    """The lowest slot that nobody holds and whose addresses the machine does not already route."""
    for slot in range(SLOTS):
        if slot not in taken and not unusable(Addresses(slot)):
            return slot
    raise Failure(f"all {SLOTS} cluster slots of this machine are taken: take one down with hack/down in its clone")


def _routed_elsewhere(addresses: Addresses) -> bool:
    """Whether some other software already uses these addresses on this machine."""
    for network in (addresses.pods, addresses.services, addresses.link):
        found = subprocess.run(["ip", "-o", "route", "show", "root", str(network)], capture_output=True, text=True)
        if found.stdout.strip():
            return True
    return False


def _read_slots() -> dict[str, dict]:
    try:
        return json.loads((RUNTIME_ROOT / "slots.json").read_text())
    except FileNotFoundError:
        return {}


@contextmanager
def _slots_locked() -> Iterator[dict[str, dict]]:
    with _locked(RUNTIME_ROOT / "slots.lock", "the table of cluster slots"):
        slots = _read_slots()
        yield slots
        if not slots:
            for file in ("slots.json", "slots.lock"):
                (RUNTIME_ROOT / file).unlink(missing_ok=True)
            return
        replacement = RUNTIME_ROOT / "slots.json.new"
        replacement.write_text(json.dumps(slots))
        replacement.rename(RUNTIME_ROOT / "slots.json")


@contextmanager
def _locked(path: Path, what: str) -> Iterator[None]:
    while True:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        try:
            held = open(path, "a+")
        except FileNotFoundError:
            # The last instance's end has just removed the folder.
            continue
        with held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held.seek(0)
                print(f"waiting for {what} (pid {held.read().strip()})", file=sys.stderr)
                fcntl.flock(held, fcntl.LOCK_EX)
            # Its last holder may have removed the file: then this lock guards nothing any more.
            if not path.exists() or path.stat().st_ino != os.fstat(held.fileno()).st_ino:
                continue
            held.truncate(0)
            held.write(str(os.getpid()))
            held.flush()
            yield
            return
