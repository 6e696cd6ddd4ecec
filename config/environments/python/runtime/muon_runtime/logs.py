"""One JSON object a line on stdout: our own records, `logging`, and whatever user code prints.

User output gets the id of the request in which it was written. A printed line that is a JSON object already
is passed on as it is: user code that logs in its own structure keeps it.
"""

import io
import json
import logging
import os
import sys
import threading
import traceback
from datetime import datetime, timezone

from muon.request import current_connection

RUNTIME_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
STDOUT = 1

_lock = threading.Lock()


def emit(level, target, message, **fields):
    """Writes one record."""
    record = {
        "timestamp": datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": level,
        "target": target,
        "message": message,
    }
    connection = current_connection.get(None)
    if connection is not None:
        record["requestId"] = connection.request_id
    record.update(fields)
    _write(json.dumps(record, default=str))


def _write(line):
    data = memoryview(line.encode("utf-8", "backslashreplace") + b"\n")
    with _lock:
        try:
            while data:
                data = data[os.write(STDOUT, data) :]
        except OSError:
            pass  # nobody reads the log any more; that is no reason to fail a request


def user_traceback(error):
    """The formatted traceback without the frames of this runtime that called the user's code."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(RUNTIME_ROOT):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames)).rstrip()


def describe(error):
    """`ValueError: no such colour`, as the last line of a traceback has it."""
    return "".join(traceback.format_exception_only(type(error), error)).strip()


def exception(message, error, **fields):
    emit("ERROR", "function", message, error=describe(error), traceback=user_traceback(error), **fields)


class JsonLogHandler(logging.Handler):
    """Sends records of the `logging` module the same way."""

    def emit(self, record):
        try:
            fields = {"logger": record.name}
            if record.exc_info and record.exc_info[1]:
                fields["traceback"] = user_traceback(record.exc_info[1])
            emit(record.levelname, "function", record.getMessage(), **fields)
        except Exception:
            self.handleError(record)


class LineStream(io.TextIOBase):
    """Stands in for sys.stdout or sys.stderr; every line becomes one record at once.

    An unfinished line is kept per thread, so that two handlers printing at the same time do not mix their words.
    """

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, level, original):
        self._level = level
        self._original = original
        self._local = threading.local()

    @property
    def buffer(self):
        return self._original.buffer

    def fileno(self):
        return self._original.fileno()

    def writable(self):
        return True

    def write(self, text):
        *lines, rest = (getattr(self._local, "rest", "") + text).split("\n")
        self._local.rest = rest
        for line in lines:
            self._line(line)
        return len(text)

    def flush(self):
        rest, self._local.rest = getattr(self._local, "rest", ""), ""
        if rest:
            self._line(rest)

    def _line(self, line):
        if line.startswith("{") and line.endswith("}") and _is_json(line):
            _write(line)
        elif line:
            emit(self._level, "function", line)


def _is_json(line):
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def install():
    """Takes over stdout, stderr, `logging`, and the reports of threads that die."""
    sys.stdout = LineStream("INFO", sys.stdout)
    sys.stderr = LineStream("ERROR", sys.stderr)
    root = logging.getLogger()
    root.addHandler(JsonLogHandler())
    root.setLevel(os.environ.get("MUON_LOG_LEVEL", "INFO").upper())
    # uvicorn reports what we answer and log ourselves, only worse (no request id, the whole stack of the server)
    for name in ("uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
        logging.getLogger(name).propagate = False
    threading.excepthook = lambda args: exception("a thread died", args.exc_value or args.exc_type())
    sys.excepthook = lambda kind, error, frames: exception("uncaught", error)
