"""The test of the checks themselves: images that are known to keep the contracts, and one that is known to break them."""

from collections.abc import Callable, Mapping
from pathlib import Path

from ..counts import Counts
from ..images import Image
from ..progress import Step
from . import checks, probes
from .checks import Subject
from .container import unpacked
from .report import FAIL, Report

# Image, port, whose code, and the checks that it must fail.
CASES: tuple[tuple[str, int, str, tuple[Callable, ...]], ...] = (
    ("e2e/foreign", 8881, "foreign", ()),
    ("e2e/foreign", 8882, "foreign", ()),
    (
        "e2e/stubborn",
        8888,
        "foreign",
        (
            checks.nothing_before,
            checks.passes_all,
            checks.loads_once,
            checks.tells_bad_code,
            checks.tells_missing_code,
            checks.ends,
        ),
    ),
    ("muon/python", 8888, "python", ()),
    ("muon/php", 8888, "php", ()),
    ("muon/ruby", 8888, "ruby", ()),
    ("muon/binary", 8888, "binary", ()),
)
# What images of ours keep although the contract does not ask for it.
OURS = (checks.takes_env, checks.refuses_strangers, checks.keeps_connections, checks.health)


def check(built: Mapping[str, Image], log: Path, step: Step) -> Counts:
    """Each image whose report is as it must be counts."""
    passed, texts = 0, []
    for image, port, probe, broken in CASES:
        step.note(image)
        with unpacked(built[image].archive) as opened, Subject(opened, port, probes.package(probe)) as subject:
            report = Report(f"{image} on port {port}", checks.run(subject))
        failed = {finding.check for finding in report.findings if finding.verdict == FAIL}
        missed = [checks.name_of(each) for each in OURS if image.startswith("muon/") and report.verdict(checks.name_of(each)) != "pass"]
        wanted = {checks.name_of(each) for each in broken}
        passed += failed == wanted and not missed
        texts.append(report.as_text())
        if failed != wanted or missed:
            texts.append(f"  NOT AS IT MUST BE: should fail {sorted(wanted)}; should hold as well: {missed}")
    log.write_text("\n\n".join(texts) + "\n")
    return Counts(passed, len(CASES) - passed)
