"""From what a handler returned to a status, headers and bytes; and the JSON shape of every error of ours."""

import dataclasses
import json
import re
from collections.abc import Iterator

from muon.response import Response

TEXT = b"text/plain; charset=utf-8"
BYTES = b"application/octet-stream"
JSON = b"application/json"
EVENT_STREAM = b"text/event-stream"

# The server frames the message; a handler's own idea of its length or of the connection would only contradict it.
FRAMING_HEADERS = {b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"upgrade"}
HEADER_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_VALUE_FORBIDDEN = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class ReplyInvalid(Exception):
    """A handler returned something that cannot be sent."""


class Reply:
    """`body` is bytes, or an iterator (plain or async) of pieces when `streamed`."""

    __slots__ = ("status", "headers", "body", "streamed", "content_type")

    def __init__(self, value):
        status, headers = None, None
        if isinstance(value, tuple):
            value, status, headers = _unpack(value)
        if isinstance(value, Response):
            status = status if status is not None else value.status
            headers = headers if headers is not None else value.headers
            value = value.body
        self.streamed = hasattr(value, "__aiter__") or isinstance(value, Iterator)
        if self.streamed:
            self.body, default_type = value, None
        else:
            self.body, default_type = encode(value)
        self.headers = _headers(headers)
        self.content_type = next((v for n, v in self.headers if n == b"content-type"), None)
        if status is None:
            status = 204 if value is None else 200
        if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 599:
            raise ReplyInvalid(f"{status!r} is not a status that a function can reply with (200 to 599)")
        self.status = int(status)
        if self.content_type is None and default_type is not None:
            self.set_content_type(default_type)

    def set_content_type(self, content_type):
        self.content_type = content_type
        self.headers.append((b"content-type", content_type))

    @property
    def bodyless(self):
        return self.status in (204, 304)


def _unpack(value):
    if len(value) == 2:
        return value[0], value[1], None
    if len(value) == 3:
        return value
    raise ReplyInvalid(f"a tuple of {len(value)} items was returned; (body, status) and (body, status, headers) are replies")


def encode(value):
    """The bytes of one complete value and the content type it has by nature."""
    if value is None:
        return b"", None
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape"), TEXT
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value), BYTES
    try:
        return json.dumps(value, default=_plain, ensure_ascii=False, separators=(",", ":")).encode("utf-8"), JSON
    except (TypeError, ValueError) as error:
        raise ReplyInvalid(f"the returned {type(value).__name__} is not a reply: {error}") from None


def _plain(value):
    """JSON for the few common types that json does not know itself."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, (set, frozenset)):
        return list(value)
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")


def piece(value):
    """One piece of a streamed body."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    raise ReplyInvalid(f"a stream must yield text or bytes, and this one yielded a {type(value).__name__}")


def _headers(headers):
    if not headers:
        return []
    pairs = headers.items() if hasattr(headers, "items") else headers
    encoded = []
    for name, value in pairs:
        name, value = _ascii(name).lower(), _ascii(value)
        if not HEADER_NAME.fullmatch(name) or HEADER_VALUE_FORBIDDEN.search(value):
            raise ReplyInvalid(f"the header {name!r}: {value!r} cannot be sent")
        if name not in FRAMING_HEADERS:
            encoded.append((name, value))
    return encoded


def _ascii(text):
    if isinstance(text, bytes):
        return text
    try:
        return str(text).encode("latin-1")
    except UnicodeEncodeError:
        raise ReplyInvalid(f"the header text {text!r} has characters that headers cannot carry") from None


async def send_json(send, status, value, headers=()):
    body = json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", JSON), (b"content-length", b"%d" % len(body)), *headers],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def send_error(send, status, component, reason, message, request_id=None, executed="no", headers=(), **more):
    """An error that says whose it is, and whether user code ran."""
    error = {
        "component": component,
        "reason": reason,
        "message": message,
        "requestId": request_id,
        "executed": executed,
        **more,
    }
    await send_json(send, status, error, headers)
