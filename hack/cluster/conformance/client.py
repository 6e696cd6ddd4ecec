"""HTTP to a runtime under test: as the agent beside it, or as somebody from another pod."""

import http.client
import json
import socket
import time
from dataclasses import dataclass

from .container import OUTSIDE, Network

PATIENCE = 60


@dataclass(frozen=True)
class Answer:
    """One reply, whole."""

    status: int
    body: str

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def __str__(self) -> str:
        return f"{self.status} {self.body.strip()[:200]!r}" if self.body.strip() else str(self.status)


class Client:
    """Calls one port in the network of the container."""

    def __init__(self, network: Network, port: int) -> None:
        self._network, self._port = network, port

    def connect(self, outside: bool = False) -> http.client.HTTPConnection:
        """A connection, from loopback or from the other address."""
        address = OUTSIDE if outside else "127.0.0.1"
        connection = http.client.HTTPConnection(address, self._port, timeout=PATIENCE)
        with self._network.inside():
            connection.sock = socket.create_connection((address, self._port), PATIENCE, (address, 0))
        return connection

    def call(self, method: str, path: str, body: str | None = None, *, outside: bool = False, **headers: str) -> Answer:
        """One request on a connection of its own."""
        connection = self.connect(outside)
        try:
            return on(connection, method, path, body, **headers)
        finally:
            connection.close()

    def load(self, filepath: str, entrypoint: str, *, outside: bool = False, **more: object) -> Answer:
        """The load of the second contract."""
        order = {"filepath": filepath, "functionName": entrypoint, "url": "", "envVersion": 2, **more}
        order["FunctionMetadata"] = {"name": "conformance", "namespace": "default"}
        return self.call("POST", "/v2/specialize", json.dumps(order), outside=outside, content_type="application/json")

    def wait(self, is_over) -> bool:
        """Until the port takes connections; false if the container ends before, or takes too long."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and not is_over():
            try:
                self.connect().close()
                return True
            except OSError:
                time.sleep(0.02)
        return False

    def health(self) -> Answer:
        """What /healthz says, once it is not 503: a runtime may still be starting."""
        deadline = time.monotonic() + PATIENCE
        while (answer := self.call("GET", "/healthz")).status == 503 and time.monotonic() < deadline:
            time.sleep(0.05)
        return answer


def on(connection: http.client.HTTPConnection, method: str, path: str, body: str | None = None, **headers: str) -> Answer:
    """One request on an open connection."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body.encode() if body is not None else None, named)
    reply = connection.getresponse()
    return Answer(reply.status, reply.read().decode(errors="replace"))
