"""Shows what a long step is doing and for how long, on a terminal and in a log alike."""

import re
import shutil
import sys
import threading
import time
from types import TracebackType
from typing import ClassVar

# A CI log with no line for longer than this looks hung.
HEARTBEAT_SECONDS = 30.0
COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


def elapsed(seconds: float) -> str:
    """A duration as a person says it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


class Step:
    """One named step: a spinner on a terminal, a line at its start, end and every half minute elsewhere.

    Steps nest; only the innermost one shows itself.
    """

    _running: ClassVar[list["Step"]] = []

    def __init__(self, title: str) -> None:
        self.title = title
        self._detail = ""
        self._failed = False
        self._done = threading.Event()
        self._tty = sys.stdout.isatty()
        self._thread = threading.Thread(target=self._animate, daemon=True)

    def note(self, detail: str) -> None:
        """What the step is doing right now, in a few words."""
        # Colours of other programs would be cut in the middle and then colour everything after.
        self._detail = " ".join(COLOUR.sub("", detail).split())

    def fail(self) -> None:
        """Marks the step as failed although nothing was raised: a test's failure is a result."""
        self._failed = True

    def __enter__(self) -> "Step":
        self._start = time.monotonic()
        print("\r\033[K" if self._tty else f"… {self.title}\n", end="", flush=True)
        Step._running.append(self)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._done.set()
        self._thread.join()
        Step._running.remove(self)
        mark = "✓" if kind is None and not self._failed else "✗"
        line = f"{mark} {self.title} ({elapsed(time.monotonic() - self._start)})"
        print(f"\r\033[K{line}" if self._tty else line, flush=True)

    def _animate(self) -> None:
        interval = 0.1 if self._tty else HEARTBEAT_SECONDS
        turn = 0
        while not self._done.wait(interval):
            if Step._running[-1] is not self:
                continue
            running = elapsed(time.monotonic() - self._start)
            detail = f": {self._detail}" if self._detail else ""
            if self._tty:
                width = shutil.get_terminal_size().columns - 1
                frame = FRAMES[turn % len(FRAMES)]
                print(f"\r\033[K{f'{frame} {self.title} ({running}){detail}'[:width]}", end="", flush=True)
                turn += 1
            else:
                print(f"  still {self.title}, {running}{detail[:160]}", flush=True)
