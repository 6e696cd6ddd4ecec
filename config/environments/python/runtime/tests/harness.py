"""Starts the runtime as a process and speaks HTTP with it, as the agent and the proxy do."""

import base64
import functools
import os
import socket
import struct
import sys
import tempfile
import unittest
from pathlib import Path

RUNTIME = Path(__file__).resolve().parent.parent
PACKAGES = RUNTIME.parent / "packages.txt"
sys.path.insert(0, str(RUNTIME.parents[1] / "tests"))

import process  # noqa: E402

# Debian's interpreter, since the image has that one and its packages (packages.txt).
PYTHON = os.environ.get("MUON_TEST_PYTHON", "/usr/bin/python3")

# How long a test waits for something that must come; only a broken runtime makes it wait that long.
PATIENCE = 30


run_together = functools.partial(process.run_together, patience=PATIENCE)


class Runtime(process.Process):
    """One runtime process on a free loopback port."""

    patience = PATIENCE
    hint = f"; the runtime needs the packages in {PACKAGES}"

    def __init__(self, **environ):
        environ = {"PATH": os.environ["PATH"], **environ, "PYTHONDONTWRITEBYTECODE": "1"}
        super().__init__([PYTHON, RUNTIME], environ)


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
