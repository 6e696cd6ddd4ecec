import contextlib
import io
import tempfile
import unittest
from collections.abc import Iterable
from pathlib import Path

from cluster.counts import Counts
from cluster.failure import Failure
from cluster.suite import Phase, Report, Suite


class SuiteTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.logs = Path(folder.name)
        self.ran: list[str] = []

    def test_what_a_phase_needs_comes_with_it_and_before_it(self) -> None:
        suite = self.suite()
        self.assertEqual([phase.name for phase in suite.chosen(["nest"])], ["twig", "branch", "nest"])
        self.assertEqual([phase.name for phase in suite.chosen([])], ["twig", "branch", "lone", "nest"])

    def test_an_unknown_phase_is_named(self) -> None:
        with self.assertRaisesRegex(Failure, "'wing'.*twig, branch"):
            self.suite().chosen(["wing"])

    def test_a_failure_blocks_those_that_need_it_and_only_those(self) -> None:
        suite = self.suite(failing="branch")
        said = self.run_suite(suite, [])
        self.assertEqual(self.ran, ["twig", "branch", "lone"])
        self.assertEqual(suite.total(), Counts(4, 2))
        self.assertIn("not run: it needs branch", suite.table())
        self.assertIn("error: the branch broke", said)

    def test_all_well(self) -> None:
        suite = self.suite()
        self.run_suite(suite, ["lone"])
        self.assertEqual(suite.total(), Counts(2, 0))

    def test_the_end_of_a_blamed_log_is_shown(self) -> None:
        def run(report: Report) -> Counts:
            log = report.part("wing")
            log.write_text("the feather that broke\n")
            report.blamed.append(log)
            return Counts(1, 1)

        self.assertIn("the feather that broke", self.run_suite(Suite([Phase("egg", "", run)], self.logs), []))

    def suite(self, failing: str = "") -> Suite:
        def phase(name: str, *needs: str) -> Phase:
            def run(report: Report) -> Counts:
                self.ran.append(name)
                if name == failing:
                    raise Failure(f"the {name} broke")
                return Counts(passed=2)

            return Phase(name, "about", run, needs)

        return Suite([phase("twig"), phase("branch", "twig"), phase("lone"), phase("nest", "branch")], self.logs)

    def run_suite(self, suite: Suite, names: Iterable[str]) -> str:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            suite.run(names)
        return said.getvalue()
