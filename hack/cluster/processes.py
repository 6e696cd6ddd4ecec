"""Processes by an identity that survives restarts of whoever watches them.

A pid alone is no identity: after a crash it may belong to anybody. Pid and start time together are
one, so a process of somebody else's is never signalled.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """One process, recognisable for ever."""

    pid: int
    # Clock ticks since the boot, as in /proc/PID/stat; with the boot's id it never repeats.
    started: int
    boot: str

    @staticmethod
    def of(pid: int) -> "Process | None":
        """The process that has this pid now; none if there is none or it is only waiting to be reaped."""
        fields = _stat_fields(pid)
        if fields is None or fields[0] in ("Z", "X"):
            return None
        return Process(pid, int(fields[19]), boot_id())

    def alive(self) -> bool:
        """Whether this very process still runs."""
        return Process.of(self.pid) == self

    def signal(self, number: signal.Signals) -> None:
        """Signals it, and never a later owner of its pid: the pidfd is checked after it is held."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if self.alive():
                signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            pass
        finally:
            os.close(handle)

    def age(self) -> float:
        """Seconds since it started."""
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        return uptime - self.started / os.sysconf("SC_CLK_TCK")


def boot_id() -> str:
    """Changes with every boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def record(path: Path, process: Process, **more: str) -> None:
    """Writes a pid file; whole or not at all."""
    unfinished = path.with_suffix(".new")
    unfinished.write_text(json.dumps({"pid": process.pid, "started": process.started, "boot": process.boot, **more}))
    unfinished.rename(path)


def recorded(path: Path) -> tuple[Process, dict] | None:
    """The process of a pid file if it still runs, and what else the file says of it."""
    try:
        content = json.loads(path.read_text())
        process = Process(content["pid"], content["started"], content["boot"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return (process, content) if process.alive() else None


def stop(process: Process, grace: float) -> None:
    """Asks a process to end and, when the grace is over, makes it."""
    process.signal(signal.SIGTERM)
    if not wait_until(lambda: not process.alive(), grace):
        process.signal(signal.SIGKILL)
        wait_until(lambda: not process.alive(), 10)


def kill_all(members: Callable[[], Iterable[int]]) -> int:
    """Kills what `members` lists until it lists nothing: a dying process may just have started another."""
    killed: set[int] = set()

    def empty() -> bool:
        left = [process for pid in members() if (process := Process.of(pid))]
        for process in left:
            process.signal(signal.SIGKILL)
            killed.add(process.pid)
        return not left

    wait_until(empty, 20)
    return len(killed)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Waits for a condition; says whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _stat_fields(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on: what stands before may hold spaces."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
