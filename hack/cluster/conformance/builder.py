"""What the builder contract promises: SRC_PKG in, DEPLOY_PKG out, the exit code and the log say how it went."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from .checks import NotApplicable, Package, Subject, Wrong, broken_code, judge, name_of
from .container import USER, Container, Unpacked
from .report import Finding

BUILD_SECONDS = 300


@dataclass
class Build:
    """A builder image, its command, and what it is to build."""

    name: str
    image: Unpacked
    command: Sequence[str]
    source: Package
    # What loads the result.
    runtime: Subject | None = None

    @contextmanager
    def done(self, broken: bool = False) -> Iterator[tuple[int, str, Path]]:
        """Runs it once: exit code, log, and where the result is."""
        with tempfile.TemporaryDirectory(prefix="muon-conformance-") as name:
            folder = Path(name)
            source = Path(shutil.copytree(self.source.folder, folder / "source"))
            if broken:
                for file in (path for path in source.rglob("*") if path.is_file()):
                    file.write_bytes(broken_code(file.read_bytes()))
            for path in (folder, source, *source.rglob("*")):
                os.chown(path, USER, USER)
            env = {"SRC_PKG": "/packages/source", "DEPLOY_PKG": "/packages/result"}
            mounts = {"/packages": folder}
            with Container(self.image, None, argv=self.command, env=env, mounts=mounts) as container:
                code = container.exit_code(BUILD_SECONDS)
                if code is None:
                    raise Wrong(f"it still runs after {BUILD_SECONDS} s")
                yield code, container.said(), folder / "result"


def builds(build: Build) -> str:
    """a build leaves its result at DEPLOY_PKG and ends with 0"""
    with build.done() as (code, said, result):
        if code != 0:
            raise Wrong(f"it ended with {code}: {said or 'it said nothing'}")
        if not result.exists():
            raise Wrong("it ended with 0, and nothing is at DEPLOY_PKG")
        return ""


def result_runs(build: Build) -> str:
    """the runtime loads the result, and answers"""
    with build.done() as (_, _said, result):
        if not result.exists():
            raise Wrong("there is no result")
        if build.runtime is None:
            raise NotApplicable("no runtime to load it")
        package = replace(build.source, folder=result)
        subject = Subject(build.runtime.image, build.runtime.port, package)
        with subject.loaded() as (_, client):
            answer = client.call("GET", "/")
            if not answer.is_success:
                raise Wrong(f"GET / was answered with {answer}")
        return ""


def tells_bad_source(build: Build) -> str:
    """source that is wrong ends the build, with words about it"""
    if not build.source.is_probe:
        raise NotApplicable("it is not known how to break this source")
    with build.done(broken=True) as (code, said, _result):
        if code == 0:
            raise NotApplicable("it does not look into the code: the load will")
        if not said.strip():
            raise Wrong(f"it ended with {code} and no word of what is wrong")
        return said.strip().splitlines()[0][:120]


CHECKS: tuple[Callable[[Build], str], ...] = (builds, result_runs, tells_bad_source)


def run(build: Build, note: Callable[[str], None] = lambda _: None) -> list[Finding]:
    """Every check of the builder."""
    findings = []
    for check in CHECKS:
        note(name_of(check))
        findings.append(judge("builder", lambda check=check: check(build), name_of(check)))
    return findings
