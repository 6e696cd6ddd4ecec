"""Which request is ours and which the user's: the runtime contract as one ASGI application."""

from muon.request import request_id_of
from muon_runtime.reply import send_error

HEALTH_PATH = "/healthz"
LOAD_PATHS = {"/v2/specialize": 2, "/specialize": 1}


class Application:
    def __init__(self, loading):
        self._loading = loading

    async def __call__(self, scope, receive, send):
        handler = self._loading.handler
        if scope["type"] == "http":
            path, method = scope["path"], scope["method"]
            if path == HEALTH_PATH and method in ("GET", "HEAD"):
                await send_health(send)
            elif path in LOAD_PATHS and method == "POST":
                await self._loading.serve(scope, receive, send, LOAD_PATHS[path])
            elif handler is not None:
                await handler.http(scope, receive, send)
            else:
                request_id = request_id_of(scope)
                await send_error(send, 503, "runtime", "NotLoaded", "no function is loaded in this pod yet", request_id)
        elif handler is not None:
            await handler.websocket(scope, receive, send)
        else:
            await send({"type": "websocket.close"})


async def send_health(send):
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"3")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok\n"})
