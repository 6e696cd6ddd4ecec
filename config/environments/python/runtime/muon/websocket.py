"""The WebSocket as user code sees it.

    async def main(ws):
        async for message in ws:
            await ws.send(f"echo: {message}")
"""

import json

from muon.request import Connection


class WebSocketClosed(ConnectionError):
    """The other side has closed; `code` is its close code."""

    def __init__(self, code):
        super().__init__(f"the WebSocket was closed with code {code}")
        self.code = code


class WebSocket(Connection):
    """One WebSocket connection. It is accepted by its first use; `reject()` before that refuses it."""

    def __init__(self, scope, receive, send):
        super().__init__(scope)
        self._receive = receive
        self._send = send
        self.accepted = False
        self.closed = False

    @property
    def subprotocols(self):
        return list(self.scope.get("subprotocols", ()))

    async def accept(self, subprotocol=None):
        if self.accepted:
            return
        if self.closed:
            raise WebSocketClosed(1006)
        self.accepted = True
        await self._send({"type": "websocket.accept", "subprotocol": subprotocol})

    async def reject(self):
        """Refuses the upgrade: the caller gets 403."""
        if self.accepted:
            raise RuntimeError("the WebSocket has been accepted already; use close()")
        if not self.closed:
            self.closed = True
            await self._send({"type": "websocket.close"})

    async def send(self, message):
        """Sends text, bytes, or any other value as JSON text."""
        await self.accept()
        if self.closed:
            raise WebSocketClosed(1006)
        if isinstance(message, (bytes, bytearray, memoryview)):
            await self._send({"type": "websocket.send", "bytes": bytes(message)})
        else:
            text = message if isinstance(message, str) else json.dumps(message)
            await self._send({"type": "websocket.send", "text": text})

    async def receive(self):
        """The next message, text or bytes; raises WebSocketClosed at the end."""
        await self.accept()
        while not self.closed:
            event = await self._receive()
            if event["type"] == "websocket.receive":
                return event["text"] if event.get("text") is not None else event["bytes"]
            if event["type"] == "websocket.disconnect":
                self.closed = True
                raise WebSocketClosed(event.get("code", 1005))
        raise WebSocketClosed(1006)

    async def close(self, code=1000, reason=""):
        await self.accept()
        if not self.closed:
            self.closed = True
            await self._send({"type": "websocket.close", "code": code, "reason": reason})

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            return await self.receive()
        except WebSocketClosed:
            raise StopAsyncIteration from None
