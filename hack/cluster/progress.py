"""Shows what a long step is doing and for how long, on a terminal and in a log alike."""

import os
import sys
import threading
import time
from types import TracebackType

# A CI log with no line for longer than this looks hung.
HEARTBEAT_SECONDS = 30.0
FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


def elapsed(seconds: float) -> str:
    """A duration as a person says it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


class Step:
    """One named step: a spinner on a terminal, a line at its start, end and every half minute elsewhere."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._detail = ""
        self._done = threading.Event()
        self._tty = sys.stdout.isatty()
        self._thread = threading.Thread(target=self._animate, daemon=True)

    def note(self, detail: str) -> None:
        """What the step is doing right now, in a few words."""
        self._detail = " ".join(detail.split())

    def __enter__(self) -> "Step":
        self._start = time.monotonic()
        if not self._tty:
            print(f"… {self.title}", flush=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._done.set()
        self._thread.join()
        mark = "✓" if kind is None else "✗"
        line = f"{mark} {self.title} ({elapsed(time.monotonic() - self._start)})"
        print(f"\r\033[K{line}" if self._tty else line, flush=True)

    def _animate(self) -> None:
        interval = 0.1 if self._tty else HEARTBEAT_SECONDS
        turn = 0
        while not self._done.wait(interval):
            running = elapsed(time.monotonic() - self._start)
            detail = f": {self._detail}" if self._detail else ""
            if self._tty:
                width = os.get_terminal_size().columns - 1
                frame = FRAMES[turn % len(FRAMES)]
                print(f"\r\033[K{f'{frame} {self.title} ({running}){detail}'[:width]}", end="", flush=True)
                turn += 1
            else:
                print(f"  still {self.title}, {running}{detail[:160]}", flush=True)
