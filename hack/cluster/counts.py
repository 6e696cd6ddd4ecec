"""Reads from the output of test runners how many tests passed and failed."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """How many tests passed and how many did not."""

    passed: int = 0
    failed: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.passed + other.passed, self.failed + other.failed)


def of_cargo_test(output: str) -> Counts:
    """The sum over all test binaries, doc tests included."""
    found = re.findall(r"^test result: \w+\. (\d+) passed; (\d+) failed;", output, re.MULTILINE)
    return Counts(sum(int(passed) for passed, _ in found), sum(int(failed) for _, failed in found))


def of_unittest(output: str) -> Counts:
    """Python's unittest names the sum and the bad ones; what was skipped did not pass."""
    ran = sum(int(number) for number in re.findall(r"^Ran (\d+) tests? in", output, re.MULTILINE))
    failed = skipped = 0
    for words in re.findall(r"^(?:FAILED|OK) \((.*)\)$", output, re.MULTILINE):
        numbers = {name.strip(): int(number) for name, number in re.findall(r"([a-z ]+)=(\d+)", words)}
        failed += sum(numbers.get(name, 0) for name in ("failures", "errors", "unexpected successes"))
        skipped += numbers.get("skipped", 0)
    return Counts(max(0, ran - failed - skipped), failed)


def of_node_test(output: str) -> Counts:
    """Node's runner with its TAP reporter."""
    numbers = {name: int(number) for name, number in re.findall(r"^# (pass|fail|cancelled) (\d+)$", output, re.MULTILINE)}
    return Counts(numbers.get("pass", 0), numbers.get("fail", 0) + numbers.get("cancelled", 0))


def of_go_test(output: str) -> Counts:
    """`go test -v` names every test; those within others are indented."""
    verdicts = re.findall(r"^--- (PASS|FAIL): ", output, re.MULTILINE)
    return Counts(verdicts.count("PASS"), verdicts.count("FAIL"))
