"""How each kind of entrypoint is called: plain and async functions, WebSocket handlers, ASGI and WSGI applications."""

import asyncio
import functools
import inspect
from contextvars import copy_context

from muon.request import BodyTooLarge, ClientDisconnected, Request, current_connection, request_id_of
from muon.websocket import WebSocket, WebSocketClosed
from muon_runtime import logs, streams
from muon_runtime.reply import Reply, ReplyInvalid, send_error
from muon_runtime.wsgi import run_wsgi

# User code can raise more than Exception (sys.exit() in a handler); none of it may reach the event loop and end it.
# Nobody but the user cancels a handler: a stream whose caller left deals with its own cancellation.
USER_ERRORS = (Exception, SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError)


class EntrypointInvalid(Exception):
    """The entrypoint exists but cannot be called as a handler."""


class Threads:
    """Runs plain code beside the event loop, with the request's context variables."""

    def __init__(self, executor, loop):
        self._executor = executor
        self.loop = loop

    async def call(self, function, *arguments):
        context = copy_context()
        outcome = await self.loop.run_in_executor(self._executor, context.run, _outcome, function, arguments)
        value, error = outcome
        if error is not None:
            raise error
        return value


def _outcome(function, arguments):
    """Calls and hands an error over as a value: a future cannot carry StopIteration, and must not carry SystemExit."""
    try:
        return function(*arguments), None
    except USER_ERRORS as error:
        return None, error


def make_handler(entry, threads, body_limit):
    """The right handler for what the entrypoint turned out to be."""
    target = entry if inspect.isroutine(entry) or inspect.isclass(entry) else getattr(type(entry), "__call__", entry)
    names = _parameter_names(entry)
    if names[:3] == ["scope", "receive", "send"]:
        return AsgiHandler(entry)
    if names[:2] == ["environ", "start_response"] or hasattr(entry, "wsgi_app"):
        return WsgiHandler(entry, threads, body_limit)
    takes_request = _takes_request(entry)
    on_loop = any(map(_is_on_loop, (entry, target, getattr(entry, "func", None))))
    if takes_request and _wants_websocket(entry, names):
        if not on_loop:
            raise EntrypointInvalid("a WebSocket handler must be an `async def`")
        return WebSocketHandler(entry)
    return FunctionHandler(entry, takes_request, on_loop, threads, body_limit)


def _is_on_loop(function):
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _parameter_names(entry):
    try:
        return list(inspect.signature(entry).parameters)
    except (TypeError, ValueError):
        return []


def _wants_websocket(entry, names):
    annotation = getattr(entry, "__annotations__", {}).get(names[0]) if names else None
    return names[:1] in (["ws"], ["websocket"]) or annotation in (WebSocket, "WebSocket", "muon.WebSocket")


def _takes_request(entry):
    """`main()` or `main(request)`? A parameter with a default is the user's own, unless it is called request."""
    try:
        parameters = list(inspect.signature(entry).parameters.values())
    except (TypeError, ValueError):
        return True
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p for p in positional if p.default is p.empty]
    keywords = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if len(required) > 1 or keywords:
        wanted = ", ".join(p.name for p in required + keywords)
        raise EntrypointInvalid(f"a handler takes one argument, the request, or none; this one requires ({wanted})")
    return bool(required) or (bool(positional) and positional[0].name == "request")


class Handler:
    """What every kind answers when it is called in a way that it does not serve."""

    async def startup(self):
        """Runs once after the import; what it raises fails the load."""

    async def shutdown(self):
        """Runs once before the process ends."""

    async def http(self, scope, receive, send):
        raise NotImplementedError

    async def websocket(self, scope, receive, send):
        await send({"type": "websocket.close"})


class FunctionHandler(Handler):
    """`def main()`, `def main(request)`, and the same with `async def`."""

    def __init__(self, entry, takes_request, on_loop, threads, body_limit):
        self._entry = entry
        self._takes_request = takes_request
        self._on_loop = on_loop
        self._threads = threads
        self._body_limit = body_limit
        self._reads_body_itself = getattr(entry, "__muon_streaming__", False)

    async def http(self, scope, receive, send):
        request = Request(scope, receive, self._threads.loop, self._body_limit)
        current_connection.set(request)
        head = streams.Head(send)
        try:
            if not self._reads_body_itself:
                await request.read()
            reply = Reply(await self._call(request))
            if reply.streamed:
                await streams.send_stream(reply, request, receive, head, self._threads)
            else:
                await head.complete(reply)
        except ClientDisconnected:
            logs.emit("DEBUG", "runtime", "the caller went away before its request had arrived")
        except BodyTooLarge as error:
            await head.fail(413, "runtime", "BodyTooLarge", str(error), request)
        except ReplyInvalid as error:
            logs.emit("ERROR", "function", "the handler's reply cannot be sent", error=str(error))
            await head.fail(500, "function", "ReplyInvalid", str(error), request)
        except USER_ERRORS as error:
            logs.exception("the handler raised", error)
            await head.fail(500, "function", "Exception", logs.describe(error), request)

    async def _call(self, request):
        arguments = (request,) if self._takes_request else ()
        if self._on_loop:
            value = self._entry(*arguments)
        else:
            value = await self._threads.call(self._entry, *arguments)
        return await value if inspect.isawaitable(value) else value


class WebSocketHandler(Handler):
    """`async def main(ws)`: the parameter's name says that the function speaks WebSocket."""

    def __init__(self, entry):
        self._entry = entry

    async def http(self, scope, receive, send):
        await send_error(
            send,
            426,
            "function",
            "UpgradeRequired",
            "this function speaks WebSocket only",
            request_id_of(scope),
            headers=[(b"upgrade", b"websocket")],
        )

    async def websocket(self, scope, receive, send):
        ws = WebSocket(scope, receive, send)
        current_connection.set(ws)
        await receive()  # websocket.connect
        code, reason = 1000, ""
        try:
            await self._entry(ws)
        except WebSocketClosed:
            return
        except USER_ERRORS as error:
            logs.exception("the WebSocket handler raised", error)
            code, reason = 1011, "the function failed"
        if not ws.closed:
            await ws.close(code, reason)


class AsgiHandler(Handler):
    """An application with the three ASGI parameters; its lifespan is run, so that frameworks' start-up hooks work."""

    def __init__(self, application):
        self._application = application
        self._events = asyncio.Queue()
        self._lifespan = None

    async def startup(self):
        started = asyncio.get_running_loop().create_future()
        self._lifespan = asyncio.create_task(self._run_lifespan(started))
        await self._events.put({"type": "lifespan.startup"})
        failure = await started
        if failure is not None:
            raise RuntimeError(failure)

    async def _run_lifespan(self, started):
        async def send(message):
            if message["type"] == "lifespan.startup.failed" and not started.done():
                started.set_result(message.get("message") or "the application's start-up failed")
            elif message["type"] == "lifespan.startup.complete" and not started.done():
                started.set_result(None)

        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}}
        try:
            await self._application(scope, self._events.get, send)
        except USER_ERRORS as error:
            # By the ASGI convention an application that knows no lifespan raises here: that is no failure.
            if started.done():
                logs.exception("the application's lifespan raised", error)
        finally:
            if not started.done():
                started.set_result(None)

    async def shutdown(self):
        if self._lifespan is not None and not self._lifespan.done():
            await self._events.put({"type": "lifespan.shutdown"})
            await asyncio.wait([self._lifespan])

    async def http(self, scope, receive, send):
        request = Request(scope, receive)
        current_connection.set(request)
        head = streams.Head(send)
        try:
            await self._application(scope, receive, head)
        except USER_ERRORS as error:
            logs.exception("the application raised", error)
            await head.fail(500, "function", "Exception", logs.describe(error), request)

    async def websocket(self, scope, receive, send):
        current_connection.set(WebSocket(scope, receive, send))
        try:
            await self._application(scope, receive, send)
        except USER_ERRORS as error:
            logs.exception("the application raised", error)


class WsgiHandler(Handler):
    """A WSGI application (Flask, Django and the like), each request in a thread."""

    def __init__(self, application, threads, body_limit):
        self._application = application
        self._threads = threads
        self._body_limit = body_limit

    async def http(self, scope, receive, send):
        # The adapter is a handler like a user's: called with the request in a thread, it returns a streamed reply.
        call = functools.partial(run_wsgi, self._application)
        await FunctionHandler(call, True, False, self._threads, self._body_limit).http(scope, receive, send)
