"""Runs phases of tests one after the other and says what came of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from .counts import Counts
from .failure import Failure
from .progress import Step, elapsed

# Of a failed phase, this much is shown; the log has all of it.
TAIL_LINES = 150


@dataclass(frozen=True)
class Phase:
    """One phase: what it is called, which phases must have passed before, and what it does."""

    name: str
    about: str
    run: Callable[["Report"], Counts]
    needs: tuple[str, ...] = ()


@dataclass
class Report:
    """What a phase is given: where it logs and how it shows what it does."""

    log: Path
    step: Step
    # The logs of those of its commands that failed.
    blamed: list[Path] = field(default_factory=list)

    def part(self, name: str) -> Path:
        """The log of one command of a phase that has several."""
        return self.log.with_name(f"{self.log.stem}-{name}.log") if name else self.log


@dataclass(frozen=True)
class Outcome:
    """What came of a phase."""

    phase: str
    counts: Counts
    seconds: float
    problem: str = ""


@dataclass
class Suite:
    """A list of phases and the folder of their logs."""

    phases: Sequence[Phase]
    logs: Path
    outcomes: list[Outcome] = field(default_factory=list)

    def chosen(self, names: Iterable[str]) -> list[Phase]:
        """The named phases with all that they need, or every phase, in the order of the list."""
        by_name = {phase.name: phase for phase in self.phases}
        wanted: set[str] = set()
        waiting = list(names) or list(by_name)
        while waiting:
            name = waiting.pop()
            if name not in by_name:
                raise Failure(f"there is no phase {name!r}; the phases are: {', '.join(by_name)}")
            if name not in wanted:
                wanted.add(name)
                waiting.extend(by_name[name].needs)
        return [phase for phase in self.phases if phase.name in wanted]

    def run(self, names: Iterable[str]) -> None:
        """Runs phases; one that needs a failed one counts as failed without being run."""
        for phase in self.chosen(names):
            broken = [outcome.phase for outcome in self.outcomes if outcome.counts.failed and outcome.phase in phase.needs]
            if broken:
                self.outcomes.append(Outcome(phase.name, Counts(failed=1), 0.0, f"not run: it needs {', '.join(broken)}"))
            else:
                self.outcomes.append(self._run_one(phase))

    def total(self) -> Counts:
        """Over all phases."""
        return sum((outcome.counts for outcome in self.outcomes), Counts())

    def table(self) -> str:
        """One line for each phase."""
        lines = [f"{'phase':<10} {'time':>13} {'passed':>7} {'failed':>7}"]
        for outcome in self.outcomes:
            numbers = f"{outcome.counts.passed:>7} {outcome.counts.failed:>7}"
            lines.append(f"{outcome.phase:<10} {elapsed(outcome.seconds):>13} {numbers}  {outcome.problem}".rstrip())
        return "\n".join(lines)

    def _run_one(self, phase: Phase) -> Outcome:
        self.logs.mkdir(parents=True, exist_ok=True)
        start, problem = monotonic(), ""
        with Step(f"{phase.name}: {phase.about}") as step:
            report = Report(self.logs / f"{phase.name}.log", step)
            try:
                counts = phase.run(report)
            except Failure as failure:
                counts, problem = Counts(failed=1), str(failure)
            if counts.failed:
                step.fail()
        for log in report.blamed:
            _show_tail(log)
        if problem:
            print(f"error: {problem}")
        return Outcome(phase.name, counts, monotonic() - start, problem or ", ".join(map(str, report.blamed)))


def _show_tail(log: Path) -> None:
    print(f"--- the end of {log}")
    print("\n".join(log.read_text(errors="replace").splitlines()[-TAIL_LINES:]))
    print("---", flush=True)
