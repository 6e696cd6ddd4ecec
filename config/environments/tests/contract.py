"""What every environment of a compiled language must do, as tests of one function that each of them has: the probe.

A language's own test class adds this one, a package built from its probe, and what only that language has.
"""

import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

from harness import PATIENCE, PROBES, Runtime, Scratch, build

GREETING = "grün \"$(A)\"\n\\"
TOGETHER = 8


class Contract:
    """Of a class that has `make_tools(folder)`, which sets `builder` and `command` (starts the runtime), and `entrypoint`."""

    probe: str
    """Whose folder of probes is built."""
    command: list
    entrypoint: str
    lost: str
    """What an answer says of the error that the probe raises."""
    environ: dict = {}
    build_environ: dict = {}

    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.remove)
        cls.make_tools(cls.scratch.path)
        cls.package = cls.scratch.path / "package"
        done = build(cls.builder, PROBES / cls.probe, cls.package, **cls.build_environ)
        assert done.returncode == 0, done.stderr

    def runtime(self, **environ):
        runtime = Runtime(self.command, **{**self.environ, **environ})
        self.addCleanup(runtime.kill)
        return runtime

    def serving(self, entrypoint=None, env=None, **environ):
        runtime = self.runtime(**environ)
        reply = runtime.load(self.package, self.entrypoint if entrypoint is None else entrypoint, env=env or {})
        self.assertEqual(reply.status, 200, reply.text)
        return runtime

    def assert_error(self, reply, status, component, reason, executed="no"):
        self.assertEqual(reply.status, status, reply.text)
        error = reply.json()
        self.assertEqual((error["component"], error["reason"], error["executed"]), (component, reason, executed), error)
        return error

    def test_before_a_load_only_health_is_answered(self):
        runtime = self.runtime()
        self.assertEqual(runtime.request("GET", "/healthz").status, 200)
        for method, path in (("GET", "/"), ("POST", "/healthz"), ("GET", "/v2/specialize"), ("DELETE", "/a/b")):
            reply = runtime.request(method, path, headers={"x-request-id": "r-1"})
            error = self.assert_error(reply, 503, "runtime", "NotLoaded")
            self.assertEqual(error["requestId"], "r-1")

    def test_a_bad_order_is_refused_and_a_good_one_taken_after_it(self):
        runtime = self.runtime()
        for body in ("", "[]", "{", '{"filepath": 3}', '{"filepath": "/x", "env": {"A": 1}}', '{"filepath": ""}'):
            self.assert_error(runtime.request("POST", "/v2/specialize", body), 400, "runtime", "OrderInvalid")
        self.assert_error(runtime.load("/nowhere/at/all", self.entrypoint), 500, "runtime", "PackageNotFound")
        reply = runtime.load(self.package, self.entrypoint)
        self.assertEqual(reply.status, 200, reply.text)
        self.assertEqual(runtime.request("GET", "/hello").text, "hello\n")

    def test_the_same_order_again_is_fine_and_another_is_refused(self):
        runtime = self.runtime()
        with ThreadPoolExecutor(4) as pool:
            replies = list(pool.map(lambda _: runtime.load(self.package, self.entrypoint), range(4)))
        self.assertEqual([reply.status for reply in replies], [200] * 4)
        reply = runtime.load(self.package, self.entrypoint + "Other")
        self.assert_error(reply, 400, "runtime", "AlreadyLoaded")
        self.assertEqual(runtime.request("GET", "/hello").text, "hello\n")
        self.assertEqual(runtime.request("GET", "/healthz").text, "ok\n")

    def test_an_entrypoint_that_is_not_there(self):
        runtime = self.runtime()
        reply = runtime.load(self.package, self.missing)
        error = self.assert_error(reply, 500, "runtime", "EntrypointNotFound")
        self.assertIn(self.entrypoint, error["message"])
        self.assertEqual(runtime.load(self.package, self.entrypoint).status, 200)

    def test_everything_a_handler_can_learn_of_its_request(self):
        runtime = self.serving()
        headers = {"x-request-id": "abc", "X-TWO": "2", "muon-path-param-id": "j%C3%BCrgen%2F1"}
        reply = runtime.request("POST", "/request?a=1&a=2&b=x%20y", "grüße".encode(), headers)
        wanted = {"method": "POST", "path": "/request", "id": "jürgen/1", "a": "1", "b": "x y", "two": "2", "body": "grüße"}
        self.assertEqual(reply.json(), wanted)

    def test_a_handler_sets_status_headers_and_body(self):
        reply = self.serving().request("GET", "/made")
        self.assertEqual((reply.status, reply.headers["x-made"], reply.text), (201, "yes", "made"))

    def test_each_piece_of_a_body_can_be_answered_before_the_next(self):
        runtime = self.serving()
        with socket.create_connection(("127.0.0.1", runtime.port), PATIENCE) as connection:
            connection.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
            self.read_until(connection, b"ONE")
            connection.sendall(b"3\r\ntwo\r\n")
            self.read_until(connection, b"TWO")
            connection.sendall(b"0\r\n\r\n")
            self.read_until(connection, b"0\r\n\r\n")

    def read_until(self, connection, word):
        text = b""
        while word not in text:
            piece = connection.recv(4096)
            self.assertTrue(piece, f"the connection ended after {text!r}")
            text += piece

    def test_a_large_body_comes_back_whole(self):
        body = b"muon" * 500_000
        self.assertEqual(self.serving().request("POST", "/echo", body).body, body.upper())

    def test_requests_run_side_by_side(self):
        runtime = self.serving()
        with ThreadPoolExecutor(TOGETHER) as pool:
            replies = list(pool.map(lambda _: runtime.request("GET", "/meet"), range(TOGETHER)))
        self.assertEqual([reply.text for reply in replies], ["met"] * TOGETHER)

    def test_an_error_is_answered_for_and_its_stack_is_in_the_log(self):
        runtime = self.serving()
        reply = runtime.request("GET", "/fail", headers={"x-request-id": "r-7"})
        error = self.assert_error(reply, 500, "function", "Exception", "yes")
        self.assertEqual(error["requestId"], "r-7")
        self.assertIn(self.lost, error["message"])
        record = runtime.wait_for_log(lambda r: r.get("requestId") == "r-7" and r.get("level") == "ERROR")
        self.assertIn(self.lost, record["error"])
        self.assertIn(self.deeper, record["traceback"])
        self.assertEqual(runtime.request("GET", "/hello").text, "hello\n")

    def test_an_error_after_the_head_is_a_cut(self):
        runtime = self.serving()
        with self.assertRaises(Exception):
            runtime.request("GET", "/late")
        self.assertEqual(runtime.request("GET", "/hello").text, "hello\n")

    def test_variables_and_files_of_the_package(self):
        runtime = self.serving(env={"GREETING": GREETING, "EMPTY": ""})
        self.assertEqual(runtime.request("GET", "/env").text, f"{GREETING}|data\n")

    def test_what_a_function_logs_carries_the_request(self):
        runtime = self.serving()
        runtime.request("GET", "/log", headers={"x-request-id": "r-9"})
        record = runtime.wait_for_log(lambda r: r.get("message") == "a line")
        self.assertEqual((record["requestId"], record["level"], record["target"]), ("r-9", "WARNING", "function"))

    def test_a_request_in_flight_is_finished_on_sigterm(self):
        runtime = self.serving(env={"GATE": str(self.gate())})
        replies = []
        asking = threading.Thread(target=lambda: replies.append(runtime.request("GET", "/hold").text))
        asking.start()
        runtime.wait_for_log(lambda r: r.get("message") == "begun")
        runtime.process.terminate()
        runtime.wait_for_log(lambda r: r.get("message") == "stopping")
        with open(self.scratch.path / "gate", "w") as gate:
            gate.write("finished")
        asking.join(PATIENCE)
        self.assertEqual(replies, ["finished"])
        self.assertEqual(runtime.process.wait(PATIENCE), 0)

    def gate(self):
        path = self.scratch.path / "gate"
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        return path

    def test_what_does_not_end_is_cut_after_the_grace_period(self):
        runtime = self.serving(MUON_GRACE_SECONDS="0.2")
        cut = []

        def ask():
            try:
                runtime.request("GET", "/never")
            except Exception as error:
                cut.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        runtime.wait_for_log(lambda r: r.get("message") == "begun")
        self.assertEqual(runtime.stop(), 0)
        asking.join(PATIENCE)
        self.assertEqual(len(cut), 1)

    def test_an_idle_runtime_ends_with_zero(self):
        self.assertEqual(self.runtime().stop(), 0)
        self.assertEqual(self.serving().stop(), 0)
