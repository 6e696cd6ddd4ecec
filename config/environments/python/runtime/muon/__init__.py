"""What user code may import: the current request, and the reply and WebSocket types.

    from muon import request, Response

    def main():
        return Response({"hello": request.query.get("name")}, status=201)
"""

from muon.request import BodyTooLarge, ClientDisconnected, Headers, Query, Request, request
from muon.response import Response, streaming
from muon.websocket import WebSocket, WebSocketClosed

__all__ = [
    "BodyTooLarge",
    "ClientDisconnected",
    "Headers",
    "Query",
    "Request",
    "Response",
    "WebSocket",
    "WebSocketClosed",
    "request",
    "streaming",
]
