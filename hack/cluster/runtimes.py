"""The tests of the languages' runtimes: found where they lie, run by what they are written for."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import counts, environments
from .counts import Counts
from .instance import CLONE

# One contract for the languages whose packages are compiled: each has its file here.
SHARED = environments.FOLDER / "tests"


@dataclass(frozen=True)
class RuntimeSuite:
    """One language's tests: the command, and what reads its words."""

    language: str
    argv: list[str | Path]
    parse: Callable[[str], Counts]


def suites(only: str | None) -> list[RuntimeSuite]:
    """Every language that has tests in runtime/tests, and those that share theirs; `only` picks by a part of names."""
    shared = SHARED.relative_to(CLONE)
    found = [RuntimeSuite("compiled", _unittest(shared, only), counts.of_unittest)]
    for language in environments.known():
        folder = (environments.FOLDER / language / "runtime" / "tests").relative_to(CLONE)
        if list((CLONE / folder).glob("test_*.py")):
            found.append(RuntimeSuite(language, _unittest(folder, only), counts.of_unittest))
        files = sorted(file.relative_to(CLONE) for file in (CLONE / folder).glob("*.test.js"))
        if files:
            named = [f"--test-name-pattern={only}"] if only else []
            found.append(RuntimeSuite(language, ["node", "--test", *named, "--test-reporter=tap", *files], counts.of_node_test))
    return found


def _unittest(folder: Path, only: str | None) -> list[str | Path]:
    return ["python3", "-m", "unittest", "discover", "-s", folder, *(["-k", only] if only else [])]
