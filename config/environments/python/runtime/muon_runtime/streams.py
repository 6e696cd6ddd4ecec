"""Sending replies: whole ones, and streams whose pieces leave as they are made."""

import asyncio

from muon_runtime import logs
from muon_runtime.reply import BYTES, EVENT_STREAM, TEXT, piece, send_error

END = object()


class Head:
    """The send function of one reply, which knows whether the status has left already."""

    __slots__ = ("_send", "started")

    def __init__(self, send):
        self._send = send
        self.started = False

    async def __call__(self, message):
        self.started = True
        await self._send(message)

    async def complete(self, reply):
        """Sends a reply whose body is known in full."""
        self.started = True
        body = b"" if reply.bodyless else reply.body
        if not reply.bodyless:
            reply.headers.append((b"content-length", b"%d" % len(body)))
        await self._send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
        await self._send({"type": "http.response.body", "body": body})

    async def begin(self, reply):
        self.started = True
        await self._send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})

    async def more(self, data):
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self):
        await self._send({"type": "http.response.body", "body": b""})

    async def fail(self, status, component, reason, message, request):
        """Answers with an error; once the status has left, the connection is cut instead, which the caller sees."""
        if not self.started:
            self.started = True
            executed = "no" if component == "runtime" else "yes"
            await send_error(self._send, status, component, reason, message, request.request_id, executed)


async def send_stream(reply, request, receive, head, threads):
    """Sends the pieces of an iterator, each at once, and stops it when the caller goes away."""
    pieces = Pieces(reply.body, threads)
    caller = Caller(request, receive, asyncio.current_task() if pieces.is_async else None)
    try:
        # An event stream is open as soon as its head is there. Other heads wait for the first piece, so that a
        # failure before it can still be told by a status.
        if reply.content_type is not None and reply.content_type.startswith(EVENT_STREAM):
            await head.begin(reply)
        while not caller.gone:
            caller.watch()
            value = await pieces.next()
            data = b"" if value is END else piece(value)
            if not head.started:
                if reply.content_type is None and not reply.bodyless:
                    reply.set_content_type(TEXT if isinstance(value, str) else BYTES)
                await head.begin(reply)
            if value is END or reply.bodyless:
                caller.forget()
                await head.end()
                return
            if data:
                await head.more(data)
        logs.emit("DEBUG", "runtime", "the caller went away; its stream was stopped")
    except asyncio.CancelledError:
        if not caller.gone:
            raise
    finally:
        caller.forget()
        await pieces.close()


class Pieces:
    """One way to step through plain iterators (in a thread) and async ones (on the loop)."""

    def __init__(self, iterable, threads):
        self.is_async = hasattr(iterable, "__aiter__")
        self._iterator = aiter(iterable) if self.is_async else iterable
        self._threads = threads

    async def next(self):
        if self.is_async:
            return await anext(self._iterator, END)
        return await self._threads.call(next, self._iterator, END)

    async def close(self):
        """Runs the generator's `finally` blocks now, not when it is collected some day."""
        close = getattr(self._iterator, "aclose" if self.is_async else "close", None)
        if close is None:
            return
        if self.is_async:
            await close()
        else:
            await self._threads.call(close)


class Caller:
    """Watches for the caller's disconnect while a stream is being sent.

    It can be watched only once the request body has been read, because both come through `receive`.
    An async generator is woken from whatever it waits for; a plain one is stopped after its next piece.
    """

    def __init__(self, request, receive, task):
        self.gone = False
        self._request = request
        self._receive = receive
        self._task = task
        self._watch = None

    def watch(self):
        if self._watch is None and self._request.body_ended:
            self._watch = asyncio.ensure_future(self._wait())

    async def _wait(self):
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        if self._task is not None:
            self._task.cancel()

    def forget(self):
        self._task = None
        if self._watch is not None:
            self._watch.cancel()
