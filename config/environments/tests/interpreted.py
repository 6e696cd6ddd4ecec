"""What every runtime of ours whose packages are loaded as they are promises, as tests that a language takes over.

A language's test module subclasses `Contract`, says how the runtime is started, and brings a function that does by its
path what the tests ask for (`FILES`, `ENTRYPOINT`), and code that is wrong (`BROKEN`).
"""

import hashlib
import os
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from process import PATIENCE, Process, run_together

class Runtime(Process):
    """One runtime process that knows nothing of this machine but where programs are."""

    def __init__(self, command, **environ):
        super().__init__(command, {"PATH": os.environ["PATH"], **environ})


class RuntimeTest(unittest.TestCase):
    """A test with a runtime and a directory for the package that it loads."""

    COMMAND = ()
    environ = {}

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="muon-package-")
        self.addCleanup(directory.cleanup)
        self.package = Path(directory.name).resolve()
        self.runtime = Runtime(self.COMMAND, **self.environ)
        self.addCleanup(self.runtime.stop)

    def write(self, files, folder=None):
        """Writes the files of a package; those that begin like a program may be run."""
        folder = folder or self.package
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755 if text.startswith("#!") else 0o644)
        return folder

    def serve(self, files, entrypoint="", **more):
        reply = self.runtime.load(self.write(files), entrypoint, **more)
        self.assertEqual(reply.status, 200, reply.text)
        return self.runtime

    def gate(self, name="gate"):
        """A pipe at which a function waits until the test writes."""
        path = self.package / name
        os.mkfifo(path)
        return path

    def failure(self, files, entrypoint=""):
        """The error of a load that must fail."""
        reply = self.runtime.load(self.write(files), entrypoint)
        self.assertEqual(reply.status, 500, reply.text)
        self.assertEqual(reply.json()["component"], "runtime")
        return reply.json()


class Contract(RuntimeTest):
    """The function of FILES does by its path:

    /learn   JSON of what it knows: method, path, id, user (path parameter), a (all of query's a), x (header x-two), body
    /text    the text grüße          /json  {"a":[1,null]}          /nothing  no body, 204
    /made    status 201, headers x-a: b and two cookies, body made
    /stream  the piece one; then waits for the pipe GATE of the environment, and sends two
    /throw   fails with the words no luck, one call deeper, in a function called deeper
    /print   prints the line a printed line, answers 204
    /sha     the SHA-256 of the body in hex
    /wait    prints begun, waits for the pipe GATE, with the query's i at the end of its name, answers what came through it
    """

    FILES = {}
    ENTRYPOINT = ""
    # (files, entrypoint, what the message must have in it)
    BROKEN = ({}, "", ())

    def start(self):
        gate = self.gate()
        self.serve(self.FILES, self.ENTRYPOINT, env={"GATE": str(gate), "GREETING": "hi"})
        return gate

    def test_before_a_load_only_health_is_answered(self):
        self.assertEqual(self.runtime.request("GET", "/healthz").status, 200)
        for method, path in (("GET", "/"), ("POST", "/healthz"), ("GET", "/v2/specialize"), ("DELETE", "/a/b")):
            reply = self.runtime.request(method, path, headers={"x-request-id": "r-1"})
            self.assertEqual(reply.status, 503, path)
            error = reply.json()
            self.assertEqual((error["component"], error["reason"]), ("runtime", "NotLoaded"))
            self.assertEqual((error["requestId"], error["executed"]), ("r-1", "no"))

    def test_bad_orders_are_refused_and_a_good_one_taken_after_them(self):
        for body in (b"", b"[]", b"{", b'{"filepath": 3}', b'{"filepath": "/x", "env": {"A": 1}}'):
            reply = self.runtime.request("POST", "/v2/specialize", body)
            self.assertEqual((reply.status, reply.json()["reason"]), (400, "OrderInvalid"), body)
        reply = self.runtime.load("/nowhere/at/all", self.ENTRYPOINT)
        self.assertEqual((reply.status, reply.json()["reason"]), (500, "PackageNotFound"))
        self.start()
        self.assertEqual(self.runtime.request("GET", "/text").text, "grüße")

    def test_the_same_order_again_is_fine_and_another_is_refused(self):
        self.start()
        self.assertEqual(self.runtime.load(self.package, self.ENTRYPOINT).status, 200)
        for filepath in (self.package / "other", self.package.parent):
            reply = self.runtime.load(filepath, self.ENTRYPOINT)
            self.assertEqual((reply.status, reply.json()["reason"]), (400, "AlreadyLoaded"))
        self.assertEqual(self.runtime.request("GET", "/healthz").status, 200)
        self.assertEqual(self.runtime.request("GET", "/text").text, "grüße")

    def test_orders_at_the_same_time_are_one_load(self):
        self.write(self.FILES)
        statuses = run_together(8, lambda _: self.runtime.load(self.package, self.ENTRYPOINT).status)
        self.assertEqual(statuses, [200] * 8)
        self.runtime.stop()
        self.assertEqual(len([r for r in self.runtime.log if r.get("message") == "loaded"]), 1)

    def test_a_broken_package_is_told_by_file_and_line_and_another_load_is_possible(self):
        files, entrypoint, words = self.BROKEN
        message = self.failure(files, entrypoint)["message"]
        for word in words:
            self.assertIn(word, message)
        self.assertNotIn("/opt/muon", message)
        record = self.runtime.wait_for_log(lambda r: r.get("message") == "load failed")
        self.assertIn(words[0], record["error"])
        self.assertEqual(self.runtime.request().status, 503)
        self.start()
        self.assertEqual(self.runtime.request("GET", "/text").text, "grüße")

    def test_everything_a_handler_can_learn_of_its_request(self):
        self.start()
        trace = "0af7651916cd43dd8448eb211c80319c"
        headers = {"x-request-id": "abc", "X-TWO": "2", "Muon-Path-Param-User": "j%C3%BCrgen%2F1"}
        headers["traceparent"] = f"00-{trace}-b7ad6b7169203331-01"
        seen = self.runtime.request("POST", "/learn?a=1&a=2", "grüße".encode(), headers).json()
        expected = {"method": "POST", "path": "/learn", "id": "abc", "user": "jürgen/1", "x": "2", "body": "grüße", "env": "hi"}
        expected["trace"] = trace
        self.assertEqual({key: seen.get(key) for key in expected}, expected)

    def test_replies_of_every_kind(self):
        self.start()
        text = self.runtime.request("GET", "/text")
        self.assertEqual((text.status, text.text, text.headers["content-length"]), (200, "grüße", "7"))
        self.assertTrue(text.headers["content-type"].startswith("text/plain"))
        value = self.runtime.request("GET", "/json")
        self.assertEqual((value.json(), value.headers["content-type"]), ({"a": [1, None]}, "application/json"))
        nothing = self.runtime.request("GET", "/nothing")
        self.assertEqual((nothing.status, nothing.body), (204, b""))
        made = self.runtime.request("GET", "/made")
        self.assertEqual((made.status, made.headers["x-a"], made.text), (201, "b", "made"))
        self.assertEqual(made.headers.get_all("set-cookie"), ["a=1", "b=2"])
        head = self.runtime.request("HEAD", "/text")
        self.assertEqual((head.status, head.body), (200, b""))

    def test_a_connection_serves_one_request_after_the_other(self):
        self.start()
        connection = self.runtime.connect()
        self.addCleanup(connection.close)
        for path in ("/text", "/json", "/text", "/nothing", "/text"):
            connection.request("POST", path, b"a body that nobody reads")
            response = connection.getresponse()
            response.read()
            self.assertLess(response.status, 300)

    def test_a_streams_pieces_arrive_as_they_are_sent(self):
        gate = self.start()
        connection = self.runtime.connect()
        self.addCleanup(connection.close)
        connection.request("GET", "/stream")
        response = connection.getresponse()
        self.assertEqual(response.read(3), b"one")
        gate.write_text("go")
        self.assertEqual(response.read(), b"two")

    def test_a_large_body_arrives_whole(self):
        self.start()
        body = bytes(range(256)) * 20_000
        wanted = hashlib.sha256(body).hexdigest()
        self.assertEqual(self.runtime.request("POST", "/sha", body).text, wanted)
        self.assertEqual(self.runtime.request("POST", "/sha", iter([body[:70_000], body[70_000:]])).text, wanted)

    def test_a_failure_is_attributed_and_its_stack_logged(self):
        self.start()
        reply = self.runtime.request("GET", "/throw", headers={"x-request-id": "r-7"})
        error = reply.json()
        self.assertEqual((reply.status, error["component"], error["executed"]), (500, "function", "yes"))
        self.assertIn("no luck", error["message"])
        self.assertEqual(error["requestId"], "r-7")
        record = self.runtime.wait_for_log(lambda r: "traceback" in r)
        self.assertEqual((record["requestId"], record["level"], record["target"]), ("r-7", "ERROR", "function"))
        self.assertIn("deeper", record["traceback"])
        self.assertEqual(self.runtime.request("GET", "/text").status, 200)

    def test_what_is_printed_carries_its_request(self):
        self.start()
        self.assertEqual(self.runtime.request("GET", "/print", headers={"x-request-id": "r-9"}).status, 204)
        record = self.runtime.wait_for_log(lambda r: r.get("message") == "a printed line")
        self.assertEqual((record["requestId"], record["target"]), ("r-9", "function"))

    def test_requests_run_side_by_side_and_health_beside_them(self):
        self.start()
        gates = [self.gate(f"gate{i}") for i in range(8)]

        def act(i):
            if i < 8:
                return self.runtime.request("GET", f"/wait?i={i}").text
            self.runtime.wait_for_log(lambda r: r.get("message") == "begun", 8)
            health = self.runtime.request("GET", "/healthz").status
            for gate in gates:
                gate.write_text("through")
            return health

        self.assertEqual(run_together(9, act), ["through"] * 8 + [200])

    def test_idle_it_ends_at_once_with_zero(self):
        self.start()
        self.assertEqual(self.runtime.stop(), 0)

    def test_a_request_in_flight_is_finished(self):
        gate = self.start()

        def act(i):
            if i == 0:
                return self.runtime.request("GET", "/wait").text
            self.runtime.wait_for_log(lambda r: r.get("message") == "begun")
            self.runtime.process.send_signal(signal.SIGTERM)
            self.runtime.wait_for_log(lambda r: r.get("message") == "stopping")
            gate.write_text("through")

        self.assertEqual(run_together(2, act)[0], "through")
        self.assertEqual(self.runtime.process.wait(PATIENCE), 0)


class BuilderTest(unittest.TestCase):
    """A test with a builder, and folders for its source and its result."""

    BUILDER = ()

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="muon-build-")
        self.addCleanup(directory.cleanup)
        self.source, self.result = Path(directory.name) / "source", Path(directory.name) / "result"

    def write(self, files):
        for name, text in files.items():
            path = self.source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def build(self):
        """The exit code, and what is told to the author."""
        environ = {"PATH": os.environ["PATH"], "SRC_PKG": str(self.source), "DEPLOY_PKG": str(self.result)}
        done = subprocess.run([str(word) for word in self.BUILDER], env=environ, cwd=self.source, capture_output=True, text=True)
        return done.returncode, done.stderr

    def answer(self, command):
        """What GET / of the result says, in its runtime."""
        runtime = Runtime(command)
        self.addCleanup(runtime.stop)
        loaded = runtime.load(self.result)
        self.assertEqual(loaded.status, 200, loaded.text)
        return runtime.request().text


class Cut(RuntimeTest):
    """What does not end is cut off after the grace period; for languages to take over beside `Contract`."""

    environ = {"MUON_GRACE_SECONDS": "0.2"}
    FILES = {}
    ENTRYPOINT = ""

    def test_what_does_not_end_is_cut_after_the_grace_period(self):
        self.serve(self.FILES, self.ENTRYPOINT, env={"GATE": str(self.gate())})
        connection = self.runtime.connect()
        self.addCleanup(connection.close)
        connection.request("GET", "/wait")
        self.runtime.wait_for_log(lambda r: r.get("message") == "begun")
        self.assertEqual(self.runtime.stop(), 0)
        self.runtime.wait_for_log(lambda r: "grace period is over" in r.get("message", ""))
