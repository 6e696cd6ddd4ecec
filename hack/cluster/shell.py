"""Runs other programs: quietly when they succeed, with their own words and a log when they fail."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .failure import Failure
from .progress import Step

LOOK_SECONDS = 0.2


def output(
    argv: Sequence[str | Path],
    *,
    stdin: str | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Runs a short command and returns what it printed."""
    words = [str(word) for word in argv]
    environment = {**os.environ, **(env or {})}
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, cwd=cwd, env=environment)
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
    code = exit_code(argv, log, step=step, cwd=cwd, env=env)
    if code != 0:
        raise Failure(f"{_brief(argv)} failed ({last_line(log)}); the whole story is in {log}")


def last_line(log: Path) -> str:
    """The last thing that a log says, cut to what fits into a message."""
    said = [line for line in log.read_text(errors="replace").splitlines() if line.strip()] if log.exists() else []
    return said[-1].strip()[:200] if said else "it said nothing"


def exit_code(
    argv: Sequence[str | Path],
    log: Path,
    *,
    step: Step | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> int:
    """The same for a command whose failure is a result and not the end."""
    log.parent.mkdir(parents=True, exist_ok=True)
    # Into the file and not through a pipe of ours: a grandchild that stays would keep the pipe open.
    with open(log, "w") as sink, open(log, errors="replace") as written:
        running = subprocess.Popen(
            [str(word) for word in argv],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
        while True:
            try:
                return running.wait(LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                new = [line for line in written.read().splitlines() if line.strip()]
                if step is not None and new:
                    step.note(new[-1])
            except BaseException:
                # An interrupted command of ours leaves none of its own running.
                running.terminate()
                running.wait()
                raise


def _brief(argv: Sequence[str | Path]) -> str:
    """The command's name and its first words: enough to recognise it."""
    words = [str(word) for word in argv[1:] if not str(word).startswith("--")]
    return " ".join([Path(str(argv[0])).name, *words[:4]])
