"""WSGI (PEP 3333) on top of a plain handler: the environ from a request, and the result as a streamed reply."""

import io
import itertools
import sys

from muon.response import Response


def run_wsgi(application, request):
    """Calls the application in the current thread; its result is iterated later, piece by piece."""
    head = {}
    written = []

    def start_response(status, headers, exc_info=None):
        if exc_info is not None and "sent" in head:
            raise exc_info[1]
        head["status"], head["headers"] = int(status.split(" ", 1)[0]), list(headers)
        return written.append

    result = application(environ_of(request), start_response)
    # It may call start_response as late as at its first piece: so that piece is taken here.
    pieces = iter(result)
    first = next((piece for piece in pieces if piece), b"")
    if "status" not in head:
        raise RuntimeError("the WSGI application did not call start_response")
    head["sent"] = True
    return Response(_Body(itertools.chain(written, [first], pieces), result), head["status"], head["headers"])


class _Body:
    """The pieces, with the close() that a WSGI result may have."""

    def __init__(self, pieces, result):
        self._pieces = pieces
        self._result = result

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._pieces)

    def close(self):
        if hasattr(self._result, "close"):
            self._result.close()


def environ_of(request):
    scope = request.scope
    host, port = scope.get("server") or ("localhost", 80)
    environ = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": request.path.encode("utf-8").decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": str(host),
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope.get('http_version', '1.1')}",
        "REMOTE_ADDR": (scope.get("client") or ("",))[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": request.headers.get("x-forwarded-proto", "http"),
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "muon.request": request,
    }
    for name in request.headers:
        # Two names that differ only in - and _ would become one variable: a caller could forge the other by that.
        if "_" in name:
            continue
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = "HTTP_" + key
        environ[key] = ("; " if name == "cookie" else ",").join(request.headers.getall(name))
    environ["CONTENT_LENGTH"] = str(len(request.body))
    return environ
