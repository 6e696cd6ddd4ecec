"""What came of the checks: a table for people, JSON for programs."""

import json
from dataclasses import asdict, dataclass

PASS, FAIL, NOT_APPLICABLE = "pass", "fail", "n/a"


@dataclass(frozen=True)
class Finding:
    """One check: which contract promises it, and what was seen."""

    check: str
    contract: str
    verdict: str
    reason: str = ""


@dataclass
class Report:
    """All findings about one image."""

    image: str
    findings: list[Finding]

    @property
    def conforms(self) -> bool:
        return all(finding.verdict != FAIL for finding in self.findings)

    def verdict(self, check: str) -> str:
        """What came of one check."""
        return next((finding.verdict for finding in self.findings if finding.check == check), FAIL)

    def as_json(self) -> str:
        findings = [asdict(finding) for finding in self.findings]
        return json.dumps({"image": self.image, "conforms": self.conforms, "findings": findings}, indent=2)

    def as_text(self) -> str:
        width = max(len(finding.check) for finding in self.findings)
        lines = [f"{self.image}"]
        for finding in self.findings:
            lines.append(f"  {finding.verdict:<5} {finding.contract:<8} {finding.check:<{width}}  {finding.reason}".rstrip())
        count = {verdict: sum(finding.verdict == verdict for finding in self.findings) for verdict in (PASS, FAIL, NOT_APPLICABLE)}
        word = "conforms" if self.conforms else "does NOT conform"
        return "\n".join([*lines, "", f"{self.image} {word}: " + ", ".join(f"{count[each]} {each}" for each in count)])
