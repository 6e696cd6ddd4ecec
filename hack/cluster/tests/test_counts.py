import unittest

from cluster.counts import Counts, of_cargo_test, of_go_test, of_node_test, of_unittest


class CountsTest(unittest.TestCase):
    def test_cargo_sums_over_binaries_and_doc_tests(self) -> None:
        output = (
            "running 3 tests\ntest result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n"
            "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s\n"
            "   Doc-tests crane\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n"
        )
        self.assertEqual(of_cargo_test(output), Counts(8, 2))

    def test_cargo_that_did_not_compile_counts_nothing(self) -> None:
        self.assertEqual(of_cargo_test("error[E0308]: mismatched types\n"), Counts(0, 0))

    def test_unittest(self) -> None:
        self.assertEqual(of_unittest("Ran 7 tests in 0.1s\n\nOK\n"), Counts(7, 0))
        self.assertEqual(of_unittest("Ran 7 tests in 0.1s\n\nOK (skipped=2)\n"), Counts(5, 0))
        self.assertEqual(of_unittest("Ran 1 test in 0.1s\n\nFAILED (failures=1)\n"), Counts(0, 1))
        self.assertEqual(of_unittest("Ran 9 tests in 2s\n\nFAILED (failures=1, errors=2, skipped=1)\n"), Counts(5, 3))

    def test_node(self) -> None:
        output = "# tests 5\n# suites 0\n# pass 3\n# fail 1\n# cancelled 1\n# skipped 0\n"
        self.assertEqual(of_node_test(output), Counts(3, 2))

    def test_go(self) -> None:
        output = "=== RUN   TestA\n--- PASS: TestA (0.00s)\n    --- PASS: TestA/b (0.00s)\n--- FAIL: TestC (0.01s)\nFAIL\n"
        self.assertEqual(of_go_test(output), Counts(1, 1))

    def test_sums(self) -> None:
        self.assertEqual(Counts(1, 2) + Counts(3, 4), Counts(4, 6))
