"""The supervisor with components that are shell scripts: a real process, real signals, no cluster."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from cluster.instance import CLONE
from cluster.processes import Process, recorded, wait_until

PATIENCE = 10.0


class SupervisorTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.state = Path(folder.name)
        (self.state / "logs").mkdir()
        # Ready is who has a listening socket; the test holds it, so every script is ready at once.
        self.socket = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.socket.close)
        self.socket.bind(str(self.state / "ready"))
        self.socket.listen(64)
        self.addCleanup(self.end_everything)

    def test_components_start_in_order_and_stop_on_sigterm(self) -> None:
        self.want(crane=[], heron=["crane"])
        supervisor = self.supervise()
        crane, heron = self.pid("crane"), self.pid("heron")
        self.assertLessEqual(crane.started, heron.started)
        supervisor.send_signal(signal.SIGTERM)
        supervisor.wait(PATIENCE)
        self.assertFalse(crane.alive() or heron.alive())
        self.assertEqual(list((self.state / "run").glob("*.pid")), [])

    def test_what_dies_is_started_again_and_nothing_else_is(self) -> None:
        self.want(crane=[], heron=["crane"])
        self.supervise()
        crane, heron = self.pid("crane"), self.pid("heron")
        crane.signal(signal.SIGKILL)
        self.assertTrue(wait_until(lambda: self.reported("crane")["restarts"] == 1 and self.runs("crane"), PATIENCE))
        self.assertNotEqual(self.pid("crane"), crane)
        self.assertEqual(self.pid("heron"), heron)

    def test_a_killed_supervisor_s_components_are_taken_over(self) -> None:
        self.want(crane=[], heron=["crane"])
        first = self.supervise()
        crane, heron = self.pid("crane"), self.pid("heron")
        first.kill()
        first.wait()
        heron.signal(signal.SIGKILL)
        self.assertTrue(crane.alive())
        self.supervise()
        self.assertEqual(self.pid("crane"), crane)
        self.assertNotEqual(self.pid("heron"), heron)
        crane.signal(signal.SIGKILL)
        self.assertTrue(wait_until(lambda: self.reported("crane")["restarts"] == 1, PATIENCE), "the adopted one is watched")

    def test_sighup_replaces_exactly_what_changed(self) -> None:
        self.want(crane=[], heron=[], egret=[])
        supervisor = self.supervise()
        crane, heron, egret = self.pid("crane"), self.pid("heron"), self.pid("egret")
        self.want("changed", crane=[], heron=[])
        supervisor.send_signal(signal.SIGHUP)
        self.assertTrue(wait_until(lambda: self.state_json().get("digest") == "changed" and self.all_ready(), PATIENCE))
        self.assertFalse(egret.alive(), "what is not wanted any more is stopped")
        self.assertEqual(self.pid("crane"), crane)
        self.assertNotEqual(self.pid("heron"), heron)

    def want(self, digest: str = "first", **after: list[str]) -> None:
        components = []
        for name, needs in after.items():
            own = digest if name == "heron" else "same"
            argv = ["sleep", "600"]
            components.append({"name": name, "argv": argv, "after": needs, "ready": str(self.state / "ready"), "digest": own})
        (self.state / "components.json").write_text(json.dumps({"digest": digest, "components": components}))

    def supervise(self) -> subprocess.Popen:
        (self.state / "run" / "state.json").unlink(missing_ok=True)
        argv = [sys.executable, "-m", "cluster.supervisor", str(self.state), os.devnull]
        environment = {**os.environ, "PYTHONPATH": str(CLONE / "hack")}
        running = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL)
        self.addCleanup(running.wait)
        self.addCleanup(running.kill)
        self.assertTrue(wait_until(self.all_ready, PATIENCE))
        return running

    def state_json(self) -> dict:
        try:
            return json.loads((self.state / "run" / "state.json").read_text())
        except FileNotFoundError:
            return {}

    def reported(self, name: str) -> dict:
        return self.state_json()["components"][name]

    def all_ready(self) -> bool:
        components = self.state_json().get("components", {})
        return bool(components) and all(each["ready"] for each in components.values())

    def runs(self, name: str) -> bool:
        return recorded(self.state / "run" / f"{name}.pid") is not None

    def pid(self, name: str) -> Process:
        found = recorded(self.state / "run" / f"{name}.pid")
        assert found is not None
        return found[0]

    def end_everything(self) -> None:
        for file in (self.state / "run").glob("*.pid"):
            found = recorded(file)
            if found:
                found[0].signal(signal.SIGKILL)
