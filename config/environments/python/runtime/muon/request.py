"""The request as user code sees it, and the context variable behind `from muon import request`."""

import asyncio
import json
import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from urllib.parse import parse_qsl, unquote

PATH_PARAMETER_PREFIX = "muon-path-param-"
REQUEST_ID_HEADER = "x-request-id"


class ClientDisconnected(ConnectionError):
    """The caller went away before its whole request had arrived."""


class BodyTooLarge(ValueError):
    """The request body is larger than the runtime keeps in memory; `@muon.streaming` reads it in pieces."""


class MultiMapping(Mapping):
    """A read-only mapping of text to text in which a name may stand more than once.

    `mapping[name]` is the first value, `getall(name)` is every one of them.
    """

    __slots__ = ("_values",)

    def __init__(self, pairs):
        self._values = {}
        for name, value in pairs:
            self._values.setdefault(self._key(name), []).append(value)

    @staticmethod
    def _key(name):
        return name

    def __getitem__(self, name):
        return self._values[self._key(name)][0]

    def getall(self, name):
        return list(self._values.get(self._key(name), ()))

    def __iter__(self):
        return iter(self._values)

    def __len__(self):
        return len(self._values)

    def __repr__(self):
        return f"{type(self).__name__}({self._values!r})"


class Query(MultiMapping):
    """The parameters of the query string."""

    __slots__ = ()


class Headers(MultiMapping):
    """Header fields; names are compared without regard to case."""

    __slots__ = ()

    @staticmethod
    def _key(name):
        return name.lower()


class Connection:
    """What an HTTP request and a WebSocket have in common: where it was sent, and with which headers."""

    def __init__(self, scope):
        self.scope = scope
        self._headers = self._query = self._params = self._request_id = None

    @property
    def path(self):
        return self.scope["path"]

    @property
    def headers(self):
        if self._headers is None:
            self._headers = Headers(
                (name.decode("latin-1"), value.decode("latin-1")) for name, value in self.scope["headers"]
            )
        return self._headers

    @property
    def query(self):
        if self._query is None:
            text = self.scope["query_string"].decode("latin-1")
            self._query = Query(parse_qsl(text, keep_blank_values=True))
        return self._query

    @property
    def params(self):
        """Parameters of the route's path pattern. Any case will do: they travel as header names."""
        if self._params is None:
            skip = len(PATH_PARAMETER_PREFIX)
            self._params = Headers(
                (name[skip:], unquote(value))
                for name, value in self.headers.items()
                if name.startswith(PATH_PARAMETER_PREFIX)
            )
        return self._params

    @property
    def request_id(self):
        """The id the proxy gave this request; one of our own when it was called without a proxy."""
        if self._request_id is None:
            self._request_id = request_id_of(self.scope) or secrets.token_hex(8)
        return self._request_id

    @property
    def trace_id(self):
        """The id of the trace that the request belongs to, from `traceparent`; None outside of one."""
        parts = self.headers.get("traceparent", "").split("-")
        return parts[1] if len(parts) >= 4 and len(parts[1]) == 32 else None


class Request(Connection):
    """One HTTP request."""

    def __init__(self, scope, receive, loop=None, body_limit=None):
        super().__init__(scope)
        self._receive = receive
        self._loop = loop
        self._body_limit = body_limit
        self._body = None
        self.body_ended = False

    @property
    def method(self):
        return self.scope["method"]

    @property
    def body(self):
        """The whole body. Under `@muon.streaming` it is fetched by the first use (async code awaits `read()`)."""
        if self._body is None:
            self._from_thread(self.read())
        return self._body

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.body)

    async def read(self):
        """Reads the rest of the body and keeps it, within the runtime's limit."""
        if self._body is None:
            pieces, size = [], 0
            async for piece in self._pieces():
                size += len(piece)
                if self._body_limit is not None and size > self._body_limit:
                    raise BodyTooLarge(f"the request body is larger than {self._body_limit} bytes")
                pieces.append(piece)
            self._body = b"".join(pieces)
        return self._body

    def stream(self):
        """The body in pieces as they arrive: `async for` in async handlers, `for` in plain ones."""
        return BodyStream(self)

    async def _pieces(self):
        if self._body is not None:
            if self._body:
                yield self._body
            return
        while not self.body_ended:
            message = await self._receive()
            if message["type"] != "http.request":
                raise ClientDisconnected("the caller went away while its request was read")
            self.body_ended = not message.get("more_body", False)
            if message.get("body"):
                yield message["body"]

    def _from_thread(self, coroutine):
        """Runs a coroutine of the event loop from a plain handler's thread."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
        coroutine.close()
        raise RuntimeError("in async code, use `await request.read()` or `async for piece in request.stream()`")

    def __repr__(self):
        return f"<Request {self.method} {self.path} {self.request_id}>"


class BodyStream:
    """Iterates over a request's body, from the event loop or from a thread."""

    def __init__(self, request):
        self._request = request
        self._pieces = request._pieces()

    def __aiter__(self):
        return self._pieces

    def __iter__(self):
        return self

    def __next__(self):
        piece = self._request._from_thread(self._next_or_none())
        if piece is None:
            raise StopIteration
        return piece

    async def _next_or_none(self):
        return await anext(self._pieces, None)


def request_id_of(scope):
    """The caller's request id, found without building the header mapping (errors and logs need only this)."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return value.decode("latin-1")
    return None


current_connection = ContextVar("muon_connection")


class CurrentRequest:
    """Stands for the request being handled, in whichever thread or task the code runs."""

    __slots__ = ()

    def _get(self):
        try:
            return current_connection.get()
        except LookupError:
            raise RuntimeError("`muon.request` was used outside of a request") from None

    def __getattr__(self, name):
        return getattr(self._get(), name)

    def __repr__(self):
        return repr(self._get()) if current_connection.get(None) else "<muon.request outside of a request>"


request = CurrentRequest()
