"""The one exception for failures that a person can do something about."""

import os
import sys
from collections.abc import Callable


class Failure(Exception):
    """An expected failure: its message is one line that says what is wrong and what to do."""


def run_command(main: Callable[[], int]) -> None:
    """Runs a command's main and leaves with its exit code; an expected failure costs one line, not a traceback."""
    try:
        code = main()
        sys.stdout.flush()
        sys.exit(code)
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python must not try to flush the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
