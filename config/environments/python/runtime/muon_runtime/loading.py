"""The load contract: who may order a load, that a pod loads once, and that the same order twice is one load."""

import asyncio
import ipaddress
import json
import os
import time

from muon.request import request_id_of
from muon_runtime import logs
from muon_runtime.handlers import EntrypointInvalid, make_handler
from muon_runtime.importerrors import describe_import_error
from muon_runtime.loader import DEPENDENCY_DIRECTORIES, LoadFailure, Loader, LoadOrder
from muon_runtime.reply import send_error, send_json

V1_FILE = "/userfunc/user"
ORDER_LIMIT = 1 << 20


class OrderInvalid(Exception):
    """The load request itself is wrong: the fault of whoever sent it, not of the package."""


def is_loopback(client):
    """Whether a peer address is this machine's own; an unknown peer is not."""
    try:
        address = ipaddress.ip_address(client[0])
    except (TypeError, ValueError, IndexError):
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def parse_order(body):
    """The order in a v2 request's body."""
    try:
        fields = json.loads(body)
    except ValueError as error:
        raise OrderInvalid(f"the body is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise OrderInvalid("the body is not a JSON object")
    filepath, entrypoint, env = fields.get("filepath"), fields.get("functionName") or "", fields.get("env") or {}
    if not isinstance(filepath, str) or not filepath or "\0" in filepath:
        raise OrderInvalid("filepath must be the path of the unpacked package")
    if not isinstance(entrypoint, str):
        raise OrderInvalid("functionName must be text")
    if not isinstance(env, dict) or not all(map(_is_variable, env.items())):
        raise OrderInvalid("env must map names to text")
    return LoadOrder(filepath, entrypoint, env)


def _is_variable(item):
    name, value = item
    return bool(name) and "=" not in name and "\0" not in name and isinstance(value, str) and "\0" not in value


class Loading:
    """Holds the one handler of this process, and how it came to be."""

    def __init__(self, threads, body_limit):
        self.handler = None
        self._threads = threads
        self._body_limit = body_limit
        self._order = None
        self._running = None

    async def serve(self, scope, receive, send, version):
        """Answers POST /v2/specialize and POST /specialize."""
        request_id = request_id_of(scope)
        if not is_loopback(scope.get("client")):
            await send_error(send, 403, "runtime", "NotLoopback", "a load is taken from this pod only", request_id)
            return
        try:
            order = parse_order(await _read(receive)) if version == 2 else LoadOrder(os.environ.get("MUON_V1_FILE", V1_FILE))
            milliseconds = await self.load(order)
        except OrderInvalid as error:
            await send_error(send, 400, "runtime", "OrderInvalid", str(error), request_id)
        except LoadFailure as failure:
            status = 400 if failure.reason == "AlreadyLoaded" else 500
            await send_error(
                send, status, "runtime", failure.reason, failure.message, request_id, traceback=failure.traceback
            )
        else:
            await send_json(send, 200, {"loaded": True, "milliseconds": milliseconds})

    async def load(self, order):
        """Loads once. The same order again joins the load that runs, or finds it done."""
        if self._order is not None and self._order != order:
            loaded = f"{self._order.filepath} {self._order.entrypoint}".strip()
            raise LoadFailure("AlreadyLoaded", f"already loaded: this pod serves {loaded}")
        if self._order is None:
            self._order = order
            self._running = asyncio.ensure_future(self._load(order))
        return await asyncio.shield(self._running)

    async def _load(self, order):
        started = time.perf_counter()
        loader = Loader(order)
        try:
            entry = await self._threads.call(self._import, loader)
            self.handler = await self._start(entry, order)
        except LoadFailure as failure:
            self._order = None
            loader.undo()
            logs.emit(
                "ERROR", "runtime", "load failed", reason=failure.reason, error=failure.message, filepath=order.filepath
            )
            raise
        milliseconds = round((time.perf_counter() - started) * 1000, 3)
        kind = type(self.handler).__name__
        logs.emit("INFO", "runtime", "loaded", filepath=order.filepath, handler=kind, milliseconds=milliseconds)
        return milliseconds

    def _import(self, loader):
        """Imports in a thread, so that /healthz is answered meanwhile; old code may ask for the event loop there."""
        asyncio.set_event_loop(self._threads.loop)
        try:
            return loader.load()
        finally:
            asyncio.set_event_loop(None)

    async def _start(self, entry, order):
        try:
            handler = make_handler(entry, self._threads, self._body_limit)
        except EntrypointInvalid as error:
            raise LoadFailure("EntrypointInvalid", str(error)) from None
        try:
            await handler.startup()
        except Exception as error:
            lines = describe_import_error(error, os.path.realpath(order.filepath), DEPENDENCY_DIRECTORIES)
            raise LoadFailure("StartupFailed", "\n".join(lines[-4:]), lines) from error
        return handler


async def _read(receive):
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > ORDER_LIMIT:
            raise OrderInvalid(f"the body is larger than {ORDER_LIMIT} bytes")
        if message["type"] != "http.request" or not message.get("more_body"):
            return body
