"""Runs other programs: quietly when they succeed, with their own words and a log when they fail."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .failure import Failure
from .progress import Step


def output(argv: Sequence[str | Path], *, stdin: str | None = None, env: Mapping[str, str] | None = None) -> str:
    """Runs a short command and returns what it printed."""
    done = subprocess.run(
        [str(word) for word in argv], input=stdin, capture_output=True, text=True, env={**os.environ, **(env or {})}
    )
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
        raise Failure(f"{_brief(argv)}: {said[-1]}")
    return done.stdout


def succeeds(argv: Sequence[str | Path]) -> bool:
    """Whether a short command succeeds; what it says does not matter."""
    words = [str(word) for word in argv]
    return subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def logged(
    argv: Sequence[str | Path],
    log: Path,
    *,
    step: Step | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> None:
    """Runs a long command with its output in a log file; the step shows the latest line of it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    last = ""
    with open(log, "w") as sink:
        running = subprocess.Popen(
            [str(word) for word in argv],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        assert running.stdout is not None
        for line in running.stdout:
            sink.write(line)
            sink.flush()
            if line.strip():
                last = line.strip()
                if step is not None:
                    step.note(last)
        code = running.wait()
    if code != 0:
        raise Failure(f"{_brief(argv)} failed ({last[:200] or f'exit code {code}'}); the whole story is in {log}")


def _brief(argv: Sequence[str | Path]) -> str:
    """The command's name and its first words: enough to recognise it."""
    words = [Path(str(argv[0])).name, *(str(word) for word in argv[1:4])]
    return " ".join(words)
