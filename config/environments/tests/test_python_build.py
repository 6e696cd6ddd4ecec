"""Python's builder: what it leaves, and how it says what is wrong."""

import unittest

from harness import ENVIRONMENTS, Scratch, build, write

BUILDER = ["/usr/bin/python3", ENVIRONMENTS / "python/builder/build.py"]


class PythonBuilds(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()
        self.source, self.target = self.scratch.path / "source", self.scratch.path / "deploy"

    def tearDown(self):
        self.scratch.remove()

    def build(self, files):
        return build(BUILDER, write(self.source, files), self.target)

    def test_all_files_are_there_and_compiled(self):
        done = self.build({"main.py": "import lib.a\n", "lib/a.py": "A = 1\n", "data.txt": "x"})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual((self.target / "data.txt").read_text(), "x")
        compiled = sorted(path.name.split(".")[0] for path in self.target.rglob("__pycache__/*.pyc"))
        self.assertEqual(compiled, ["a", "main"])
        # Without times in the package: not compared with the source's.
        flags = next(self.target.glob("__pycache__/main.*.pyc")).read_bytes()[4:8]
        self.assertEqual(int.from_bytes(flags, "little"), 0b01)

    def test_the_same_source_is_the_same_result(self):
        files = {"main.py": "def main():\n    return 1\n"}
        self.build(files)
        first = {path.name: path.read_bytes() for path in self.target.rglob("*") if path.is_file()}
        self.target = self.scratch.path / "again"
        self.build(files)
        self.assertEqual(first, {path.name: path.read_bytes() for path in self.target.rglob("*") if path.is_file()})

    def test_every_mistake_is_told_with_file_and_line(self):
        done = self.build({"main.py": "def main(\n", "lib/a.py": "x = 1\n  y = 2\n", "good.py": ""})
        self.assertNotEqual(done.returncode, 0)
        for expected in ('File "main.py", line 1', "was never closed", 'File "lib/a.py", line 2', "unexpected indent"):
            self.assertIn(expected, done.stderr)
        self.assertFalse(self.target.exists())

    def test_what_others_wrote_is_not_held_to_this_pythons_syntax(self):
        done = self.build({"main.py": "", "vendor/old.py": "print 'two'\n"})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue((self.target / "vendor/old.py").exists())


if __name__ == "__main__":
    unittest.main()
