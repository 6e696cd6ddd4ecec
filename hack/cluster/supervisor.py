"""Keeps the components of one instance running.

Reads components.json, takes over those that already run, starts the others once what they need is
ready, and starts again whatever dies. Its own death harms nobody: the components run on, and the
next supervisor takes them over. SIGTERM stops all of them; SIGHUP reads components.json again,
which replaces exactly the components whose command line or configuration changed.

Run as: python3 -m cluster.supervisor STATE_FOLDER CGROUP_PROCS_FILE, within the instance's network.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from .processes import Process, record, recorded, stop, wait_until
from .readiness import is_ready

# A component that dies at once is tried again after 0.2 s, then twice as late each time.
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
# After so long a life, a death is news and not the same trouble once more.
CALM_SECONDS = 30.0
# The API server waits for its watchers; what takes longer than this is stuck.
STOP_GRACE = 10.0
LOG_LIMIT = 64 * 1024 * 1024


@dataclass
class Supervised:
    """One component and its present process."""

    name: str
    argv: list[str]
    after: list[str]
    ready_check: str
    digest: str
    process: Process | None = None
    handle: int = -1
    # Once ready, it stays "has been ready": a restart of etcd must not restart all the others.
    ready: bool = False
    restarts: int = 0
    pause: float = FIRST_PAUSE
    not_before: float = 0.0


class Supervisor:
    """The supervisor of the instance whose state lies in a folder."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.run = state / "run"
        self.run.mkdir(exist_ok=True)
        self.authority = state / "pki" / "ca.crt"
        self.wanted = json.loads((state / "components.json").read_text())
        self.supervised = [
            Supervised(each["name"], each["argv"], each["after"], each["ready"], each["digest"]) for each in self.wanted["components"]
        ]
        self.wake_read, wake_write = os.pipe()
        for end in (self.wake_read, wake_write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake_write)
        self.signals: set[int] = set()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda received, _frame: self.signals.add(received))

    def main(self) -> None:
        """Runs until it is told to stop."""
        myself = Process.of(os.getpid())
        assert myself is not None
        record(self.run / "supervisor.pid", myself)
        self.take_over()
        while True:
            if self.signals & {signal.SIGTERM, signal.SIGINT}:
                self.stop_all()
                return
            if signal.SIGHUP in self.signals:
                # A new image of ourselves: one path for a changed file, a changed supervisor and a crash.
                os.execv(sys.executable, [sys.executable, "-m", "cluster.supervisor", *sys.argv[1:]])
            self.signals.clear()
            self.bury_the_dead()
            self.start_what_may()
            self.look_whether_ready()
            self.report()
            self.sleep()

    def take_over(self) -> None:
        """Adopts components that run as wanted and stops those that run otherwise."""
        known = {each.name for each in self.supervised}
        for path in self.run.glob("*.pid"):
            found = recorded(path)
            if found is None or path.stem == "supervisor":
                continue
            if path.stem not in known:
                stop(found[0], STOP_GRACE)
                path.unlink()
        for each in self.supervised:
            found = recorded(self.pid_file(each))
            if found is None:
                continue
            process, content = found
            if content.get("digest") == each.digest:
                self.watch(each, process)
            else:
                self.say(f"{each.name} runs with an older configuration: replacing it")
                stop(process, STOP_GRACE)
                reap(process.pid)

    def start_what_may(self) -> None:
        """Starts what does not run, has waited long enough and has all it needs."""
        ready = {each.name for each in self.supervised if each.ready}
        for each in self.supervised:
            if each.process is None and time.monotonic() >= each.not_before and ready.issuperset(each.after):
                self.start(each)

    def start(self, each: Supervised) -> None:
        """Starts one component in a session of its own, its output in its log."""
        log = self.state / "logs" / f"{each.name}.log"
        if log.exists() and log.stat().st_size > LOG_LIMIT:
            log.replace(log.with_suffix(".log.1"))
        with open(log, "a") as sink:
            child = subprocess.Popen(
                each.argv, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True, cwd=self.state
            )
        # We reap by pidfd and by pid: Popen's own bookkeeping would only warn when it is collected.
        child.returncode = 0
        process = Process.of(child.pid)
        if process is None:
            reap(child.pid)
            self.note_death(each)
            return
        record(self.pid_file(each), process, digest=each.digest)
        self.say(f"{each.name} started, pid {process.pid}")
        self.watch(each, process)

    def watch(self, each: Supervised, process: Process) -> None:
        """Holds a handle that becomes readable when the process ends, child of ours or not."""
        each.process = process
        try:
            each.handle = os.pidfd_open(process.pid)
        except ProcessLookupError:
            self.note_death(each)

    def bury_the_dead(self) -> None:
        """Notes which components ended."""
        for each in self.supervised:
            if each.process is not None and not each.process.alive():
                self.note_death(each)

    def note_death(self, each: Supervised) -> None:
        """Forgets a process that ended and plans the next try."""
        code = None
        if each.process is not None:
            code = reap(each.process.pid)
            if each.process.age() > CALM_SECONDS:
                each.pause = FIRST_PAUSE
        if each.handle >= 0:
            os.close(each.handle)
        each.process, each.handle = None, -1
        each.restarts += 1
        each.not_before = time.monotonic() + each.pause
        self.say(f"{each.name} ended ({'unknown' if code is None else code}); again in {each.pause:.1f} s")
        each.pause = min(each.pause * 2, LONGEST_PAUSE)

    def look_whether_ready(self) -> None:
        """Asks those components that have not been ready yet."""
        for each in self.supervised:
            if each.process is not None and not each.ready:
                each.ready = is_ready(each.ready_check, self.authority)
                if each.ready:
                    self.say(f"{each.name} is ready")

    def report(self) -> None:
        """Writes state.json when it would say something new."""
        now = {
            "supervisor": os.getpid(),
            "digest": self.wanted["digest"],
            "components": {
                each.name: {
                    "pid": each.process.pid if each.process else None,
                    "running": each.process is not None,
                    "ready": each.ready and each.process is not None,
                    "restarts": each.restarts,
                }
                for each in self.supervised
            },
        }
        text = json.dumps(now, indent=2)
        path = self.run / "state.json"
        if not path.exists() or path.read_text() != text:
            unfinished = path.with_suffix(".new")
            unfinished.write_text(text)
            unfinished.rename(path)

    def sleep(self) -> None:
        """Waits for a signal, for a death, for the next try, or a moment if something is not ready."""
        timeout = 60.0
        if any(not each.ready for each in self.supervised):
            timeout = 0.1
        for each in self.supervised:
            if each.process is None:
                timeout = min(timeout, max(0.0, each.not_before - time.monotonic()) + 0.01)
        poll = select.poll()
        poll.register(self.wake_read, select.POLLIN)
        for each in self.supervised:
            if each.handle >= 0:
                poll.register(each.handle, select.POLLIN)
        poll.poll(timeout * 1000)
        try:
            os.read(self.wake_read, 4096)
        except BlockingIOError:
            pass

    def stop_all(self) -> None:
        """Stops the components, those first that need the others."""
        for each in reversed(self.supervised):
            if each.process is not None:
                each.process.signal(signal.SIGTERM)
                if not wait_until(lambda ended=each.process: not ended.alive(), STOP_GRACE):
                    each.process.signal(signal.SIGKILL)
                reap(each.process.pid)
                each.process = None
            self.pid_file(each).unlink(missing_ok=True)
        self.report()
        (self.run / "supervisor.pid").unlink(missing_ok=True)
        self.say("all stopped")

    def pid_file(self, each: Supervised) -> Path:
        """Where the component's process is written down."""
        return self.run / f"{each.name}.pid"

    @staticmethod
    def say(text: str) -> None:
        """One line in the supervisor's log."""
        print(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {text}", flush=True)


def reap(pid: int) -> int | None:
    """Takes the exit code of a dead child; an adopted process has another parent and none for us."""
    try:
        _, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    # Into the instance's cgroup first, so that every process we ever start is found there.
    Path(sys.argv[2]).write_text("0")
    Supervisor(Path(sys.argv[1])).main()
