import os
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from cluster.processes import Process, kill_all, record, recorded, stop, wait_until


class ProcessTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = Path(folder.name) / "crane.pid"

    def test_a_living_process_is_found_again(self) -> None:
        child = self.start("exec sleep 60")
        record(self.file, child, digest="abc")
        found = recorded(self.file)
        assert found is not None
        self.assertEqual((found[0], found[1]["digest"]), (child, "abc"))

    def test_a_dead_one_that_nobody_has_reaped_is_dead(self) -> None:
        child = self.start("true")
        self.assertTrue(wait_until(lambda: not child.alive(), 5))

    def test_another_process_with_its_pid_is_not_it(self) -> None:
        child = self.start("exec sleep 60")
        for impostor in (Process(child.pid, child.started - 1, child.boot), Process(child.pid, child.started, "other boot")):
            record(self.file, impostor)
            self.assertIsNone(recorded(self.file))
            impostor.signal(signal.SIGKILL)
            stop(impostor, 0.1)
        self.assertTrue(child.alive())

    def test_a_missing_torn_or_foreign_pid_file_is_nobody(self) -> None:
        self.assertIsNone(recorded(self.file))
        for content in ("", '{"pid": 1', "4711", "{}"):
            self.file.write_text(content)
            self.assertIsNone(recorded(self.file), content)

    def test_stop_kills_what_does_not_listen(self) -> None:
        child = self.start("trap '' TERM; echo ready; while :; do sleep 0.1; done", waits_for="ready")
        stop(child, 0.2)
        self.assertFalse(child.alive())

    def test_kill_all_also_gets_those_that_came_meanwhile(self) -> None:
        first, second = self.start("exec sleep 60"), self.start("exec sleep 60")
        lists = iter([[first.pid], [first.pid, second.pid]])
        killed = kill_all(lambda: next(lists, [first.pid, second.pid]))
        self.assertEqual(killed, 2)
        self.assertFalse(first.alive() or second.alive())

    def start(self, script: str, waits_for: str = "") -> Process:
        child = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE)
        self.addCleanup(self.finish, child)
        assert child.stdout is not None
        if waits_for:
            child.stdout.readline()
        if script == "true":
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            return Process(child.pid, 0, "")
        process = Process.of(child.pid)
        assert process is not None
        return process

    @staticmethod
    def finish(child: subprocess.Popen) -> None:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()
