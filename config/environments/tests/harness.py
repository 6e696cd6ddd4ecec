"""Builds packages as a build pod does, starts a runtime as a process, and speaks HTTP with it as agent and proxy do."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from process import PATIENCE, Process

ENVIRONMENTS = Path(__file__).resolve().parent.parent
PROBES = Path(__file__).resolve().parent / "probes"
CLONE = ENVIRONMENTS.parents[1]

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


class Builds:
    """Of a test class that has `make_tools(folder)`, which sets `builder`, `command` and, where needed, `build_environ`."""

    build_environ: dict = {}

    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.remove)
        cls.make_tools(cls.scratch.path)

    def build(self, files, **environ):
        """Builds a source of these files: the finished builder, and where its result is."""
        source, target = self.scratch.path / "source", self.scratch.path / "deploy"
        for folder in (source, target):
            shutil.rmtree(folder, ignore_errors=True)
        return build(self.builder, write(source, files), target, **self.build_environ, **environ), target

    def load(self, package, entrypoint=""):
        """A runtime that was told to load a package, and what it answered."""
        runtime = Runtime(self.command)
        self.addCleanup(runtime.kill)
        return runtime, runtime.load(package, entrypoint)

    def answer(self, package, entrypoint=""):
        """What the function of a package says."""
        runtime, reply = self.load(package, entrypoint)
        self.assertEqual(reply.status, 200, reply.text)
        return runtime.request().text


class Runtime(Process):
    """One runtime process, and whatever it has started."""

    def __init__(self, command, **environ):
        # A session of its own, so that a program which a runtime has started ends with it.
        super().__init__(command, {**os.environ, **environ}, stdin=subprocess.DEVNULL, start_new_session=True)

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
