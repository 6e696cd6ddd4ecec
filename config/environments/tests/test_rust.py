"""The environment rust: its builder, the crate muon, and the program that they make of a function."""

import os
import shutil
import socket
import unittest

from contract import Contract
from harness import ENVIRONMENTS, PATIENCE, Builds, run
from test_go import make_launcher

RUST = ENVIRONMENTS / "rust/builder"
HELLO = """use muon::Request;

pub fn handle(_request: &mut Request) -> String {
    "hi".to_owned()
}
"""


class RustTools:
    """Builder and launcher, compiled once for a class."""

    @classmethod
    def make_tools(cls, folder):
        program = folder / "build"
        run(["rustc", "--edition", "2021", "-D", "warnings", "-o", program, "src/main.rs"], RUST)
        # Where a builder image has it: outside of this repository and its workspace.
        library = shutil.copytree(RUST / "muon", folder / "muon")
        cls.library = library
        cls.builder = [program, library]
        cls.command = [make_launcher(folder)]
        # The machine's own Cargo knows where registries are.
        cls.build_environ = {"CARGO_HOME": os.environ.get("CARGO_HOME", os.path.expanduser("~/.cargo"))}


class RustContract(RustTools, Contract, unittest.TestCase):
    probe = "rust"
    entrypoint = "handle"
    missing = "absent"
    lost = "lost"
    deeper = "function::deeper"

    def test_a_handler_in_a_module(self):
        self.assertEqual(self.serving("api::greet").request().text, "greetings")

    def test_an_error_that_is_returned(self):
        reply = self.serving().request("GET", "/error")
        self.assertEqual(self.assert_error(reply, 500, "function", "Exception", "yes")["message"], "lost by return")

    def test_only_the_package_is_left(self):
        self.assertEqual(sorted(path.name for path in self.package.iterdir()), ["data.txt", "program"])

    def test_a_connection_serves_one_request_after_the_other(self):
        connection = self.serving().connect()
        for body in ("", "x" * 1000, ""):
            connection.request("POST", "/hello", body)
            self.assertEqual(connection.getresponse().read(), b"hello\n")
            if body:  # what was not read cannot be told from a next request
                connection.close()
        connection.close()

    def test_a_connection_becomes_something_else(self):
        runtime = self.serving()
        with socket.create_connection(("127.0.0.1", runtime.port), PATIENCE) as connection:
            # What follows at once is not lost: it is the other protocol's already.
            connection.sendall(b"GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\nmuon")
            self.read_until(connection, b"\r\nUpgrade: shout\r\n\r\nMUON")
            connection.sendall(b"over")
            self.read_until(connection, b"OVER")
            self.assertEqual(connection.recv(1), b"")

    def test_the_crates_own_tests(self):
        environ = {"CARGO_TARGET_DIR": str(self.scratch.path / "target"), "RUSTFLAGS": "-D warnings"}
        run(["cargo", "test", "--quiet"], self.library, **environ)


class RustBuilds(RustTools, Builds, unittest.TestCase):
    def test_a_crate_of_its_own(self):
        manifest = '[package]\nname = "shop-front"\nversion = "2.0.0"\nedition = "2021"\n\n[profile.release]\nopt-level = 0\n'
        done, target = self.build({"Cargo.toml": manifest, "src/lib.rs": "mod words;\n" + HELLO.replace('"hi"', "words::HI"),
                                   "src/words.rs": 'pub const HI: &str = "hi from a module";\n'})  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.answer(target), "hi from a module")

    def test_errors_have_file_and_line(self):
        needing = '[package]\nname = "a"\nversion = "1.0.0"\n\n[dependencies]\nserde = "1"\n'
        cases = {
            " lib.rs:4:5": {"lib.rs": HELLO.replace('"hi".to_owned()', "missing")},
            "lib.rs:4:5\n": {"lib.rs": HELLO.replace('"hi".to_owned()', "7")},
            "there is no Cargo.lock that says which": {"Cargo.toml": needing, "src/lib.rs": HELLO},
            "lib.rs has no handler": {"lib.rs": "pub fn other() {}\n"},
            "the source has no src/lib.rs": {"readme.txt": ""},
        }
        for message, files in cases.items():
            with self.subTest(message):
                done, _ = self.build(files)
                self.assertEqual(done.returncode, 1)
                self.assertIn(message, done.stderr)


if __name__ == "__main__":
    unittest.main()
