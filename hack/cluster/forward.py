"""A forward proxy for builds: tunnels to the package registries that this machine itself uses, and to nothing else.

It knows `CONNECT host:443` for the hosts on its command line. What goes through is between the builder and the registry: TLS.

Run as: python3 -m cluster.forward ADDRESS PORT HOST...
"""

import select
import socket
import sys
import threading
from collections.abc import Collection

MAX_TUNNELS = 64
MAX_HEAD = 8 << 10
CHUNK = 64 << 10
CONNECT_SECONDS, IDLE_SECONDS = 20.0, 120.0
TLS_PORT = 443


def wanted(head: bytes, hosts: Collection[str]) -> tuple[str, int] | str:
    """Where a request's head wants to go, or the status line that refuses it."""
    words = head.split(b"\r\n", 1)[0].decode("ascii", "replace").split()
    if len(words) != 3 or words[0] != "CONNECT":
        return "405 Only CONNECT"
    host, _, port = words[1].rpartition(":")
    if host.lower() not in hosts or port != str(TLS_PORT):
        return "403 Not a registry of this machine"
    return host, TLS_PORT


def serve(listener: socket.socket, hosts: Collection[str]) -> None:
    """Takes connections for ever; beyond the bound they wait in the listener's queue."""
    room = threading.Semaphore(MAX_TUNNELS)
    while True:
        room.acquire()
        client, _ = listener.accept()
        threading.Thread(target=_tunnel, args=(client, hosts, room), daemon=True).start()


def _tunnel(client: socket.socket, hosts: Collection[str], room: threading.Semaphore) -> None:
    try:
        with client:
            client.settimeout(CONNECT_SECONDS)
            target = wanted(_head(client), hosts)
            if isinstance(target, str):
                client.sendall(f"HTTP/1.1 {target}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())
                return
            with socket.create_connection(target, CONNECT_SECONDS) as server:
                client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                _carry(client, server)
    except OSError as error:
        print(f"a tunnel ended: {error}", file=sys.stderr, flush=True)
    finally:
        room.release()


def _head(client: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head and len(head) < MAX_HEAD:
        more = client.recv(MAX_HEAD - len(head))
        if not more:
            break
        head += more
    return head


def _carry(client: socket.socket, server: socket.socket) -> None:
    """Carries bytes both ways until one side ends or nothing moves any more."""
    other = {client: server, server: client}
    while True:
        readable, _, _ = select.select(list(other), [], [], IDLE_SECONDS)
        for side in readable:
            data = side.recv(CHUNK)
            if not data:
                return
            other[side].sendall(data)
        if not readable:
            return


def main(address: str, port: str, *hosts: str) -> None:
    """Listens until it is killed."""
    with socket.create_server((address, int(port)), backlog=128) as listener:
        serve(listener, frozenset(host.lower() for host in hosts))


if __name__ == "__main__":
    main(*sys.argv[1:])
