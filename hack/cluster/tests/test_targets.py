import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from cluster import targets

DEPENDENCY = "[package]\nname = 'egg'\nversion = '1.0.0'\nedition = '2021'\n"
WORKSPACE = "[workspace]\nresolver = '2'\nmembers = ['nest']\n"
MEMBER = "[package]\nname = 'nest'\nversion = '0.1.0'\nedition = '2021'\n[dependencies]\negg = {{path = '{egg}'}}\n"
PROGRAM = 'fn main() {{ println!("{{}} in {}", egg::NAME); }}\n'
# Older than any build of today, as the files of a clone that nobody has touched for long.
LONG_AGO = 1_000_000_000


class Targets(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.enterContext(mock.patch.dict("os.environ", {"MUON_CACHE": str(self.root / "cache")}))
        (self.root / "egg" / "src").mkdir(parents=True)
        (self.root / "egg" / "Cargo.toml").write_text(DEPENDENCY)
        (self.root / "egg" / "src" / "lib.rs").write_text('pub const NAME: &str = "egg";\n')

    def test_a_clone_with_older_files_runs_its_own_program(self) -> None:
        one, other = self.clone("one"), self.clone("other")
        self.assertEqual(self.run_program(one)[0], "egg in one\n")
        said, log = self.run_program(other)
        self.assertEqual(said, "egg in other\n")
        self.assertIn("Compiling nest", log)
        # And the first one's is still there.
        said, log = self.run_program(one)
        self.assertEqual(said, "egg in one\n")
        self.assertNotIn("Compiling", log)

    def test_a_new_clone_takes_the_dependencies_and_nothing_of_the_workspace(self) -> None:
        one = self.clone("one")
        self.run_program(one)
        before = {path: path.stat().st_mtime_ns for path in targets.target_folder(one).rglob("*") if path.is_file()}
        seeded = targets.target_folder(self.clone("other"))
        names = {path.name.rpartition("-")[0] for path in (seeded / "debug" / ".fingerprint").iterdir()}
        self.assertEqual(names, {"egg"})
        built = sorted(path.name for path in (seeded / "debug" / "deps").iterdir())
        self.assertTrue(built and all("egg" in name for name in built), built)
        self.assertFalse((seeded / "debug" / "incremental").exists())
        after = {path: path.stat().st_mtime_ns for path in before if path.name != targets.OWNER}
        self.assertEqual(after, {path: time for path, time in before.items() if path.name != targets.OWNER})

    def test_the_dependencies_are_not_compiled_again(self) -> None:
        self.run_program(self.clone("one"))
        _, log = self.run_program(self.clone("other"))
        self.assertNotIn("Compiling egg", log)

    def test_the_folder_of_a_clone_that_is_gone_serves_the_next_one_and_goes(self) -> None:
        gone = self.clone("gone")
        self.run_program(gone)
        folder = targets.target_folder(gone)
        shutil.rmtree(gone)
        seeded = targets.target_folder(self.clone("next"))
        self.assertTrue(list((seeded / "debug" / "deps").glob("libegg-*.rlib")))
        self.assertFalse(folder.exists())

    def test_what_was_interrupted_is_begun_anew(self) -> None:
        one = self.clone("one")
        folder = targets.target_folder(one)
        (folder / targets.OWNER).unlink()
        (folder / "rest").write_text("of something")
        self.assertEqual(targets.target_folder(one), folder)
        self.assertEqual([path.name for path in folder.iterdir()], [targets.OWNER])

    def clone(self, name: str) -> Path:
        place = self.root / name
        (place / "nest" / "src").mkdir(parents=True)
        (place / "Cargo.toml").write_text(WORKSPACE)
        (place / "nest" / "Cargo.toml").write_text(MEMBER.format(egg=self.root / "egg"))
        (place / "nest" / "src" / "main.rs").write_text(PROGRAM.format(name))
        for file in place.rglob("*"):
            os.utime(file, (LONG_AGO, LONG_AGO))
        return place

    def run_program(self, clone: Path) -> tuple[str, str]:
        """What the clone's program prints, and what cargo said while it was built."""
        environment = {**os.environ, "CARGO_TARGET_DIR": str(targets.target_folder(clone)), "CARGO_TERM_COLOR": "never"}
        words = ["cargo", "run", "--offline"]
        done = subprocess.run(words, cwd=clone, env=environment, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout, done.stderr
