"""Starts the runtime as a process and speaks HTTP with it, as the agent and the proxy do."""

import base64
import http.client
import json
import os
import queue
import socket
import struct
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

RUNTIME = Path(__file__).resolve().parent.parent
PACKAGES = RUNTIME.parent / "packages.txt"

# Debian's interpreter, since the image has that one and its packages (packages.txt).
PYTHON = os.environ.get("MUON_TEST_PYTHON", "/usr/bin/python3")

# How long a test waits for something that must come; only a broken runtime makes it wait that long.
PATIENCE = 30


class Reply:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        return json.loads(self.body)


class Runtime:
    """One runtime process on a free loopback port."""

    def __init__(self, **environ):
        environ = {"PATH": os.environ["PATH"], "MUON_ADDRESS": "127.0.0.1", "MUON_PORT": "0", **environ}
        environ["PYTHONDONTWRITEBYTECODE"] = "1"
        self.process = subprocess.Popen(
            [PYTHON, str(RUNTIME)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ
        )
        self.log = []
        self._arrived = threading.Condition()
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        self.port = self.wait_for_log(lambda record: record.get("message") == "listening")["port"]

    def _read_log(self):
        for line in self.process.stdout:
            try:
                record = json.loads(line)
            except ValueError:
                record = {"notJson": line}
            with self._arrived:
                self.log.append(record)
                self._arrived.notify_all()
        with self._arrived:
            self.log.append({"message": "end of log"})
            self._arrived.notify_all()

    def wait_for_log(self, wanted):
        """The first log record for which `wanted` holds, waiting until it is written."""

        def found():
            return next((r for r in self.log if wanted(r)), None) or next(
                (r for r in self.log if r.get("message") == "end of log"), None
            )

        with self._arrived:
            record = self._arrived.wait_for(found, PATIENCE)
            if record is None or not wanted(record):
                hint = f"; the runtime needs the packages in {PACKAGES}"
                raise AssertionError(f"no such log record; the log: {self.log}{hint}")
            return record

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def request(self, method="GET", path="/", body=None, headers=None):
        connection = self.connect()
        try:
            connection.request(method, path, body, headers or {})
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def load(self, filepath, entrypoint="", **more):
        order = {"filepath": str(filepath), "functionName": entrypoint, "url": "", "envVersion": 2, **more}
        return self.request("POST", "/v2/specialize", json.dumps(order), {"content-type": "application/json"})

    def stop(self):
        """Ends the process as Kubernetes does and returns its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self._reader.join(PATIENCE)
            self.process.stdout.close()


class RuntimeTest(unittest.TestCase):
    """A test with a runtime and a directory for the package that it loads."""

    environ = {}

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="muon-package-")
        self.addCleanup(directory.cleanup)
        self.package = Path(directory.name).resolve()
        self.runtime = Runtime(**self.environ)
        self.addCleanup(self.runtime.stop)

    def write(self, **files):
        """Writes modules of the package: paths without their .py, and their text."""
        for name, text in files.items():
            path = self.package / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return self.package

    def serve(self, main, entrypoint="main.main", **files):
        """Loads a package whose main.py is this text."""
        reply = self.runtime.load(self.write(main=main, **files), entrypoint)
        self.assertEqual(reply.status, 200, reply.text)
        return self.runtime


class WebSocketClient:
    """Just enough of RFC 6455 to talk with a handler: the handshake, and short frames in both directions."""

    TEXT, BINARY, CLOSE = 1, 2, 8

    def __init__(self, port, path="/"):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        self._file = self.socket.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        while self._file.readline() not in (b"\r\n", b""):
            pass

    def send(self, data, opcode=TEXT):
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
        self.socket.sendall(bytes([0x80 | opcode, 0x80 | len(data)]) + mask + masked)

    def receive(self):
        """(opcode, payload) of the next frame."""
        first, second = self._file.read(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", self._file.read(2))
        return first & 0x0F, self._file.read(length)

    def close(self):
        self._file.close()
        self.socket.close()


def run_together(count, function):
    """Calls function(i) in `count` threads at the same time and returns the results in order."""
    results = queue.Queue()
    threads = [threading.Thread(target=lambda i=i: results.put((i, function(i)))) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    return [value for _, value in sorted((results.get_nowait() for _ in threads), key=lambda item: item[0])]
