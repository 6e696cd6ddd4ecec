"""The forward proxy carries what it is meant to, and nothing else."""

import socket
import threading
import unittest
from unittest import mock

from cluster import forward, registries


class Forward(unittest.TestCase):
    def setUp(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    def tearDown(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _serve(self):
        try:
            forward.serve(self.listener, {"registry.test"})
        except OSError:
            pass

    def ask(self, line):
        client = socket.create_connection(self.listener.getsockname(), 30)
        client.sendall(f"{line} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return client

    def test_only_tunnels_to_registries_are_made(self):
        for line, expected in (
            ("GET http://registry.test/", b"405"),
            ("CONNECT other.test:443", b"403"),
            ("CONNECT registry.test:22", b"403"),
            ("CONNECT 127.0.0.1:443", b"403"),
            ("nonsense", b"405"),
        ):
            with self.ask(line) as client:
                self.assertIn(expected, client.recv(1000), line)

    def test_a_tunnel_carries_both_ways(self):
        target = socket.create_server(("127.0.0.1", 0))
        connect = socket.create_connection
        to_target = lambda address, *more: connect(target.getsockname() if address[0] == "registry.test" else address, *more)
        with target, mock.patch.object(forward.socket, "create_connection", to_target):
            with self.ask("CONNECT registry.test:443") as client:
                server, _ = target.accept()
                with server:
                    self.assertIn(b"200", client.recv(1000))
                    client.sendall(b"question")
                    self.assertEqual(server.recv(100), b"question")
                    server.sendall(b"answer")
                    self.assertEqual(client.recv(100), b"answer")


class Registries(unittest.TestCase):
    def test_hosts_are_found_in_settings_of_any_kind(self):
        text = "https://a.test/simple,direct <url>https://b.test:8443/x</url> 'https://u:p@c.test' http://plain.test"
        self.assertEqual(registries.hosts_in(text), ["a.test", "b.test", "c.test"])
