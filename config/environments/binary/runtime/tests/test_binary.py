"""The runtime of executables: what every runtime promises, by a shell script; and what programs that serve HTTP can rely on."""

import atexit
import http.client
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

RUNTIME = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(RUNTIME.parents[1] / "tests"))

import interpreted as contract  # noqa: E402

PROGRAMS = tempfile.mkdtemp(prefix="muon-binary-")
atexit.register(shutil.rmtree, PROGRAMS)
COMMAND = (Path(PROGRAMS) / "muon-binary",)


def setUpModule():
    environ = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"}
    subprocess.run(["go", "build", "-o", COMMAND[0], "."], cwd=RUNTIME, env=environ, check=True)


SCRIPT = r"""#!/bin/bash
deeper() { echo "deeper: no luck" >&2; exit 3; }

case "$PATH_INFO" in
/learn)
  printf 'Content-Type: application/json\n\n'
  printf '{"method":"%s","path":"%s","id":"%s","user":"%s","x":"%s","body":"%s","env":"%s","trace":"%s"}' \
    "$REQUEST_METHOD" "$PATH_INFO" "$MUON_REQUEST_ID" "$MUON_PARAM_USER" "$HTTP_X_TWO" "$(cat)" "$GREETING" "${TRACEPARENT:3:32}" ;;
/text) printf grüße ;;
/json) printf 'Content-Type: application/json\r\n\r\n{"a":[1,null]}' ;;
/nothing) ;;
/made) printf 'Status: 201 Created\nX-A: b\nSet-Cookie: a=1\nSet-Cookie: b=2\n\nmade' ;;
/stream) printf 'Content-Type: text/plain\n\none'; cat "$GATE" >/dev/null; printf two ;;
/throw) deeper ;;
/print) echo "a printed line" >&2 ;;
/sha) sha256sum | cut -c 1-64 | tr -d '\n' ;;
/wait) echo begun >&2; cat "$GATE$MUON_QUERY_I" ;;
esac
"""

SERVER = r"""#!/usr/bin/python3
import os, signal, socket, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def address_string(self): return "caller"
    def log_message(self, *words): pass
    def do_GET(self):
        if self.path == "/crash": os._exit(7)
        if self.headers.get("upgrade"):
            self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
            self.wfile.write(self.rfile.readline().upper())
            self.close_connection = True
            return
        if self.path == "/wait":
            print("begun", flush=True)
            text = open(os.environ["GATE"]).read().encode()
        else:
            text = f"{self.path} {self.headers.get('x-request-id')} {self.headers.get('muon-path-param-id')} {self.headers.get('x-forwarded-for')}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

class OnSocket(ThreadingHTTPServer):
    address_family = socket.AF_UNIX
    def server_bind(self): self.socket.bind(self.server_address); self.server_name = self.server_port = ""

signal.signal(signal.SIGTERM, lambda *_: (print("told to end", flush=True), os._exit(0)))
print("starting", file=sys.stderr, flush=True)
if len(sys.argv) > 1: raise SystemExit("no arguments were expected")
where = os.environ.get("WHERE", "port")
server = OnSocket(os.environ["SOCKET"], Handler) if where == "socket" else ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
server.serve_forever()
"""


class Contract(contract.Contract):
    COMMAND = COMMAND
    FILES = {"main.sh": SCRIPT}
    BROKEN = (
        {"main.sh": "#!/bin/bash\n\nif true; then\n  echo hello\n\n"},
        "main.sh",
        ("main.sh: line 6: syntax error: unexpected end of file",),
    )


class Cut(contract.Cut):
    COMMAND = COMMAND
    FILES = {"main.sh": SCRIPT}


class ScriptTest(contract.RuntimeTest):
    COMMAND = COMMAND

    def script(self, body):
        return self.serve({"main.sh": f"#!/bin/sh\n{body}\n"})

    def test_a_file_without_a_mode_is_run_by_its_interpreter(self):
        self.write({"tool.py": "#!/usr/bin/env python3\nimport os\nprint(os.environ['MUON_QUERY_A_B'], os.getcwd(), end='')\n"})
        (self.package / "tool.py").chmod(0o644)
        self.assertEqual(self.runtime.load(self.package, "tool.py").status, 200)
        self.assertEqual(self.runtime.request("GET", "/?a-b=1%202").text, f"1 2 {self.package}")

    def test_a_single_file_whatever_its_name(self):
        file = self.package / "8f14e45f"
        file.write_text("#!/bin/sh\necho alone\n")
        self.assertEqual(self.runtime.load(file, "main.sh").status, 200)
        self.assertEqual(self.runtime.request().text, "alone\n")

    def test_what_is_not_there(self):
        for entrypoint, reason, words in (
            ("main.sh", "EntrypointNotFound", "the package has no file main.sh; it has: other.sh"),
            ("", "EntrypointNotFound", "the package has no file main and no main.sh; it has: other.sh"),
            ("../other.sh", "EntrypointInvalid", "not the path of a file in the package"),
        ):
            error = self.failure({"other.sh": "#!/bin/sh\n"}, entrypoint)
            self.assertEqual(error["reason"], reason)
            self.assertIn(words, error["message"])

    def test_a_text_that_only_looks_like_a_header_is_a_text(self):
        self.script("printf 'Name: Ada\\n\\nnothing more\\n'")
        self.assertEqual(self.runtime.request().text, "Name: Ada\n\nnothing more\n")

    def test_a_failure_after_the_header_cuts_the_answer(self):
        self.script("printf 'Content-Type: text/plain\\n\\npart'\nexit 1")
        with self.assertRaises(http.client.IncompleteRead) as caught:
            self.runtime.request()
        self.assertEqual(caught.exception.partial, b"part")

    def test_a_failure_before_it_is_one_answer(self):
        self.script('[ "$PATH_INFO" = /status ] && printf "Status: 99\\n\\n" && exit 0\necho part\nexit 4')
        reply = self.runtime.request()
        self.assertEqual((reply.status, reply.json()["reason"]), (500, "ScriptFailed"))
        self.assertIn("exit status 4", reply.json()["message"])
        self.assertIn("200 to 599", self.runtime.request("GET", "/status").json()["message"])

    def test_the_script_ends_with_its_caller(self):
        gate = self.gate()
        self.serve({"main.sh": f"#!/bin/sh\ntrap '' HUP\necho $$ >&2\ncat {gate}\n"})
        connection = self.runtime.connect()
        connection.request("GET", "/")
        record = self.runtime.wait_for_log(lambda r: r.get("message", "").isdigit())
        connection.sock.close()
        with self.assertRaises(ProcessLookupError):
            for _ in range(10**9):  # until it is gone, which it is at once; the test's own patience is the suite's
                os.kill(int(record["message"]), 0)


class ProgramTest(contract.RuntimeTest):
    COMMAND = COMMAND

    def program(self, **env):
        return self.serve({"server.py": SERVER}, "http:server.py", env=env)

    def test_requests_are_passed_on_to_a_port_or_a_socket(self):
        for where in ("port", "socket"):
            with self.subTest(where):
                runtime = contract.Runtime(COMMAND)
                self.addCleanup(runtime.stop)
                loaded = runtime.load(self.write({"server.py": SERVER}), "http:server.py", env={"WHERE": where})
                self.assertEqual(loaded.status, 200, loaded.text)
                headers = {"x-request-id": "r-1", "muon-path-param-id": "7", "x-forwarded-for": "198.18.0.9"}
                self.assertEqual(runtime.request("GET", "/a%2Fb?c=d", headers=headers).text, "/a%2Fb?c=d r-1 7 198.18.0.9")
                runtime.wait_for_log(lambda r: r.get("message") == "starting")

    def test_upgrades_go_through(self):
        self.program()
        connection = self.runtime.connect()
        self.addCleanup(connection.close)
        connection.connect()
        connection.sock.sendall(b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        said = connection.sock.makefile("rb")
        self.addCleanup(said.close)
        self.assertEqual(said.readline(), b"HTTP/1.1 101 Switching Protocols\r\n")
        while said.readline() != b"\r\n":
            pass
        connection.sock.sendall(b"hello\n")
        self.assertEqual(said.readline(), b"HELLO\n")

    def test_a_program_that_does_not_come_up_is_told_with_its_last_words(self):
        message = self.failure({"main.py": "#!/usr/bin/python3\nimport no_such_thing\n"}, "http:main.py")["message"]
        self.assertIn("the program ended before it listened: exit status 1", message)
        self.assertIn("main.py\", line 2", message)
        shutil.copyfile("/bin/true", self.package / "main")  # a program, without the mode of one
        reply = self.runtime.load(self.package)
        self.assertIn("ended before it listened: exit status 0", reply.json()["message"])

    def test_the_runtime_ends_with_a_program_that_crashes(self):
        self.program()
        reply = self.runtime.request("GET", "/crash", headers={"x-request-id": "r-3"})
        self.assertEqual((reply.status, reply.json()["component"], reply.json()["executed"]), (502, "function", "unknown"))
        self.assertEqual(self.runtime.process.wait(contract.PATIENCE), 1)
        self.runtime.wait_for_log(lambda r: r.get("message") == "the program has ended" and "exit status 7" in r["error"])

    def test_at_the_end_requests_are_finished_before_the_program_is_told(self):
        gate = self.gate()
        self.program(GATE=str(gate))

        def act(i):
            if i == 0:
                return self.runtime.request("GET", "/wait").text
            self.runtime.wait_for_log(lambda r: r.get("message") == "begun")
            self.runtime.process.send_signal(signal.SIGTERM)
            self.runtime.wait_for_log(lambda r: r.get("message") == "stopping")
            self.assertFalse([r for r in self.runtime.log if r.get("message") == "told to end"])
            gate.write_text("through")

        self.assertEqual(contract.run_together(2, act)[0], "through")
        self.assertEqual(self.runtime.process.wait(contract.PATIENCE), 0)
        self.runtime.wait_for_log(lambda r: r.get("message") == "told to end")


if __name__ == "__main__":
    unittest.main()
