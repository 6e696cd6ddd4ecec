"""The process: sockets, signals, and uvicorn as the HTTP server."""

import asyncio
import gc
import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_impl import WebSocketProtocol

from muon_runtime import logs, warmup
from muon_runtime.application import Application
from muon_runtime.handlers import Threads
from muon_runtime.loading import Loading

# Only proxies and the agent keep connections open, and they close what they do not need. A short time of ours would
# only close a connection in the very moment in which a proxy sends its next request on it.
KEEP_ALIVE_SECONDS = 3600


class Settings:
    """Everything that is set from outside, by environment variables."""

    def __init__(self, environ):
        self.port = int(environ.get("MUON_PORT", 8888))
        self.address = environ.get("MUON_ADDRESS", "")  # empty: every address of the pod
        self.concurrency = int(environ.get("MUON_CONCURRENCY", 64))
        self.body_limit = int(environ.get("MUON_BODY_LIMIT", 64 << 20))
        self.grace_seconds = float(environ.get("MUON_GRACE_SECONDS", 25))


def listen(address, port):
    """The listening sockets: IPv4, and beside it IPv6 where the pod has it."""
    if address:
        return [socket.create_server((address, port), reuse_port=False)]
    sockets = [socket.create_server(("0.0.0.0", port))]
    try:
        # create_server makes an IPv6 socket IPV6_V6ONLY: each peer address is then of its own family
        port = sockets[0].getsockname()[1]
        sockets.append(socket.create_server(("::", port), family=socket.AF_INET6))
    except OSError:
        pass
    return sockets


class Server(uvicorn.Server):
    """uvicorn's server without its ten wake-ups a second: an idle runtime sleeps until something arrives."""

    def __init__(self, config, loading, grace_seconds):
        super().__init__(config)
        self._loading = loading
        self._grace_seconds = grace_seconds
        self._stop = asyncio.Event()

    def install_signal_handlers(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.stop)

    def stop(self):
        """Begins the end: requests in flight are finished, but not longer than the grace period lasts."""
        if self._stop.is_set():
            return
        logs.emit("INFO", "runtime", "stopping", graceSeconds=self._grace_seconds)
        # A thread, since a handler may hold the event loop, and user threads may keep the interpreter alive.
        deadline = threading.Timer(self._grace_seconds, _give_up)
        deadline.daemon = True
        deadline.start()
        self._stop.set()

    async def startup(self, sockets=None):
        await super().startup(sockets)
        logs.emit("INFO", "runtime", "listening", port=sockets[0].getsockname()[1])

    async def main_loop(self):
        await self._stop.wait()

    async def shutdown(self, sockets=None):
        await super().shutdown(sockets)
        if self._loading.handler is not None:
            await self._loading.handler.shutdown()


def _give_up():
    logs.emit("WARNING", "runtime", "the grace period is over; what still runs is cut off")
    os._exit(0)


async def serve(settings, loop):
    threads = Threads(ThreadPoolExecutor(settings.concurrency, thread_name_prefix="handler"), loop)
    await threads.call(warmup.run)  # in a thread, so that the load finds one running
    loading = Loading(threads, settings.body_limit)
    config = uvicorn.Config(
        Application(loading),
        http=HttpToolsProtocol,
        ws=WebSocketProtocol,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # the peer's address decides who may load: no header may change it
        server_header=False,
        date_header=False,  # the proxy adds it
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    gc.freeze()  # what is here stays for good: no collection need look at it again
    sockets = listen(settings.address, settings.port)
    server = Server(config, loading, settings.grace_seconds)
    await server.serve(sockets=sockets)
    logs.emit("INFO", "runtime", "stopped")


def main():
    logs.install()
    settings = Settings(os.environ)
    loop = uvloop.new_event_loop()
    loop.set_exception_handler(_log_loop_error)
    serving = loop.create_task(serve(settings, loop))
    while not serving.done():
        try:
            loop.run_until_complete(serving)
        except (SystemExit, KeyboardInterrupt) as error:
            # asyncio ends the loop when a task raises one of these; a task the user started must not end the server.
            if serving.done():
                raise
            logs.exception("a background task raised", error)


def _log_loop_error(loop, context):
    error = context.get("exception")
    if error is not None:
        logs.exception(context.get("message", "a background task failed"), error)
    else:
        logs.emit("ERROR", "function", context.get("message", "a background task failed"))
