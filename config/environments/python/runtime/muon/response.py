"""The reply type for handlers that need more than a plain value, and the mark for handlers that read a body in pieces."""


class Response:
    """A reply with status and headers.

    `body` may be whatever a handler may return alone: text, bytes, a value for JSON, None, or an iterator of pieces.
    `headers` is a mapping, or a sequence of pairs when a name stands more than once.
    """

    __slots__ = ("body", "status", "headers")

    def __init__(self, body=None, status=None, headers=None):
        self.body = body
        self.status = status
        self.headers = headers

    def __repr__(self):
        return f"Response(status={self.status!r}, headers={self.headers!r})"


def streaming(handler):
    """Marks a handler that is called before its request body has arrived, to read it with `request.stream()`."""
    handler.__muon_streaming__ = True
    return handler
