"""The environment go: its builder, the launcher, and the program that they make of a function."""

import subprocess
import unittest

from contract import Contract
from harness import ENVIRONMENTS, Builds, run, write

HELLO = """package hello

import (
	"io"
	"net/http"
)

func Handle(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hi") }
"""


def go_cache():
    """The compiler's memory of this machine: what a builder image brings along, a test has there."""
    return subprocess.run(["go", "env", "GOCACHE"], capture_output=True, text=True, check=True).stdout.strip()


def make_launcher(folder):
    """The launcher as the image has it."""
    program = folder / "muon-launcher"
    environ = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    run(["go", "build", "-trimpath", "-o", program, "."], ENVIRONMENTS / "launcher", **environ)
    return program


class GoTools:
    """Builder and launcher, compiled once for a class."""

    @classmethod
    def make_tools(cls, folder):
        cls.builder = [folder / "build"]
        run(["go", "build", "-trimpath", "-o", cls.builder[0], "."], ENVIRONMENTS / "go/builder", GOTOOLCHAIN="local", CGO_ENABLED="0")
        cls.command = [make_launcher(folder)]
        cls.build_environ = {"GOCACHE": go_cache()}


class GoContract(GoTools, Contract, unittest.TestCase):
    probe = "go"
    entrypoint = "Handle"
    missing = "Absent"
    lost = "lost"
    deeper = "function.deeper"

    def test_every_kind_of_handler(self):
        for entrypoint in ("api.Mux", "api.New"):
            self.assertEqual(self.serving(entrypoint).request("GET", "/users/ada").text, "ada")
        reply = self.serving("api.Refuse").request("GET", "/")
        error = self.assert_error(reply, 500, "function", "Exception", "yes")
        self.assertEqual(error["message"], "refused")

    def test_what_is_no_handler_is_refused_at_the_load(self):
        wanted = {
            "api.Add": ("EntrypointInvalid", "api.Add is a func(int, int) int; a handler is func(http.ResponseWriter"),
            "api.Limit": ("EntrypointInvalid", "api.Limit is a int; a handler is"),
            "api.Try": ("ImportFailed", "no database"),
            "api.Explode": ("ImportFailed", "api.Explode panicked: no settings\n"),
        }
        runtime = self.runtime()
        for entrypoint, (reason, message) in wanted.items():
            error = self.assert_error(runtime.load(self.package, entrypoint), 500, "runtime", reason)
            self.assertTrue(error["message"].startswith(message), error["message"])
        self.assertEqual(runtime.load(self.package, self.entrypoint).status, 200)

    def test_only_the_package_is_left(self):
        self.assertEqual(sorted(path.name for path in self.package.iterdir()), ["data.txt", "program"])

    def test_a_program_that_ends_ends_the_pods_runtime(self):
        runtime = self.serving()
        found = runtime.wait_for_log(lambda r: r.get("message") == "loaded")
        subprocess.run(["kill", "-KILL", str(found["pid"])], check=True)
        self.assertEqual(runtime.process.wait(60), 1)
        runtime.wait_for_log(lambda r: r.get("message") == "the program ended")


class GoBuilds(GoTools, Builds, unittest.TestCase):
    def test_a_module_with_packages_of_its_own(self):
        done, target = self.build(
            {
                "go.mod": "module example.com/greeter\n\ngo 1.16\n",
                "handler.go": HELLO.replace('"io"', '"io"\n\t"example.com/greeter/internal/words"').replace('"hi"', "words.Hi"),
                "internal/words/words.go": 'package words\n\nconst Hi = "hi from a package"\n',
                "handler_test.go": "package hello\n\nfunc broken( {",
            }
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.answer(target), "hi from a package")

    def test_errors_have_file_and_line(self):
        cases = {
            "handler.go:5:2: ": {"handler.go": 'package hello\n\nimport (\n\t"net/http"\n\t"os"\n)\n\nfunc Handle(w http.ResponseWriter, r *http.Request) {}\n'},
            "handler.go:8:55: undefined: missing": {"handler.go": HELLO.replace('io.WriteString(w, "hi")', 'missing(w); _ = io.EOF')},
            "handler.go:8:81: expected": {"handler.go": HELLO.rstrip("}\n ") + " (\n"},
            "api/deep.go:3:8: ": {"handler.go": HELLO, "api/deep.go": "package api\n\nfunc (\n"},
            "the source exports nothing": {"handler.go": HELLO.replace("Handle", "handle")},
            "no required module provides package": {"handler.go": HELLO.replace('"io"', '"io"\n\t_ "example.com/nothing"')},
        }
        for message, files in cases.items():
            with self.subTest(message):
                done, target = self.build(files)
                self.assertEqual(done.returncode, 1)
                self.assertIn(message, done.stderr)
                self.assertFalse((target / "program").exists())

    def test_a_program_of_its_own(self):
        source = """package main

import (
	"net"
	"net/http"
	"os"
)

func main() {
	listener, err := net.FileListener(os.NewFile(3, "socket"))
	if err != nil {
		panic(err)
	}
	http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("own")) }))
}
"""
        done, target = self.build({"main.go": source})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.answer(target), "own")

    def test_a_panic_before_it_serves_is_told(self):
        source = HELLO + '\nvar settings map[string]int\n\nfunc init() { settings["a"] = 1 }\n'
        done, target = self.build({"handler.go": source})
        self.assertEqual(done.returncode, 0, done.stderr)
        runtime, reply = self.load(target)
        self.assertEqual((reply.status, reply.json()["reason"]), (500, "ImportFailed"))
        self.assertIn("panic: assignment to entry in nil map", reply.json()["message"])
        self.assertIn("handler.go:12", reply.json()["message"])
        self.assertEqual(runtime.request().status, 503)

    def test_source_that_was_not_built_is_told(self):
        source = write(self.scratch.path / "source", {"handler.go": HELLO})
        _, reply = self.load(source, "Handle")
        self.assertEqual((reply.status, reply.json()["reason"]), (500, "EntrypointNotFound"))
        self.assertIn("build: {}", reply.json()["message"])


if __name__ == "__main__":
    unittest.main()
