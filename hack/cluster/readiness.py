"""Asks a component whether it serves."""

import http.client
import socket
import ssl
import urllib.error
import urllib.request
from pathlib import Path

PATIENCE_SECONDS = 1.0


def is_ready(check: str, authority: Path) -> bool:
    """Whether the socket at a path takes a connection, or an address answers 200."""
    if check.startswith("/"):
        return _socket_answers(check)
    # A client of the cluster's own: no proxy that the environment names may come between.
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if check.startswith("https:"):
        handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(authority))))
    try:
        with urllib.request.build_opener(*handlers).open(check, timeout=PATIENCE_SECONDS) as answer:
            return answer.status == 200
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return False


def _socket_answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(PATIENCE_SECONDS)
        try:
            probe.connect(path)
        except OSError:
            return False
    return True
