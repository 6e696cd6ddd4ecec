"""Builds packages as a build pod does, starts a runtime as a process, and speaks HTTP with it as agent and proxy do."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

ENVIRONMENTS = Path(__file__).resolve().parent.parent
PROBES = Path(__file__).resolve().parent / "probes"
CLONE = ENVIRONMENTS.parents[1]

# How long a test waits for something that must come; only a broken runtime makes it wait that long.
PATIENCE = 60
# A compiler on a loaded machine, its standard library not yet compiled.
BUILD_PATIENCE = 900


def run(command, folder, **environ):
    """Runs what a test needs to begin with."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=folder, env={**os.environ, **environ}, capture_output=True, text=True, timeout=BUILD_PATIENCE)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(words)}: {done.stdout}{done.stderr}")


def build(builder, source, target, **environ):
    """Runs a builder's command by its contract; the finished process has what it said."""
    environ = {**os.environ, "SRC_PKG": str(source), "DEPLOY_PKG": str(target), **environ}
    words = [str(word) for word in builder]
    return subprocess.run(words, env=environ, capture_output=True, text=True, timeout=BUILD_PATIENCE)


def write(folder, files):
    """Writes files, {path: text}, below a folder."""
    for name, text in files.items():
        file = Path(folder) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return Path(folder)


class Scratch:
    """A folder for as long as a test class or a test lasts."""

    def __init__(self):
        self.path = Path(tempfile.mkdtemp(prefix="muon-environment-"))

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)


class Reply:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        return json.loads(self.body)


class Runtime:
    """One runtime process on a free loopback port."""

    def __init__(self, command, **environ):
        environ = {**os.environ, "MUON_ADDRESS": "127.0.0.1", "MUON_PORT": "0", **environ}
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environ,
            # So that a program which a runtime has started ends with it.
            start_new_session=True,
        )
        self.log = []
        self._arrived = threading.Condition()
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        self.port = self.logged(lambda record: record.get("message") == "listening")["port"]

    def _read_log(self):
        for line in self.process.stdout:
            try:
                record = json.loads(line)
            except ValueError:
                record = {"notJson": line.rstrip("\n")}
            self._add(record if isinstance(record, dict) else {"notJson": line})
        self._add({"message": "end of log"})

    def _add(self, record):
        with self._arrived:
            self.log.append(record)
            self._arrived.notify_all()

    def logged(self, wanted):
        """The first log record for which `wanted` holds, waiting until it is written."""

        def found():
            ended = {"message": "end of log"}
            return next((r for r in self.log if wanted(r)), None) or (ended if ended in self.log else None)

        with self._arrived:
            record = self._arrived.wait_for(found, PATIENCE)
            if record is None or not wanted(record):
                raise AssertionError(f"no such log record; the log: {self.log}")
            return record

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def request(self, method="GET", path="/", body=None, headers=None):
        connection = self.connect()
        try:
            connection.request(method, path, body, headers or {})
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def load(self, filepath, entrypoint="", **more):
        order = {"filepath": str(filepath), "functionName": entrypoint, "url": "", "envVersion": 2, **more}
        return self.request("POST", "/v2/specialize", json.dumps(order))

    def stop(self):
        """Ends it as Kubernetes does; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def kill(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self._reader.join(PATIENCE)
        self.process.stdout.close()
