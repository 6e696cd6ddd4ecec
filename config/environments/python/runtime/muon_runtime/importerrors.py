"""What the author of a package reads when it fails to import: own frames and the error, nothing of this runtime."""

import os
import traceback


def describe_import_error(error, root, dependency_directories):
    """One line a frame, outermost first, and the error's own line last."""
    report = traceback.TracebackException.from_exception(error)
    inside = [frame for frame in report.stack if _is_inside(frame.filename, root)]
    dependencies = tuple(os.path.join(root, name) + os.sep for name in dependency_directories)
    own = [frame for frame in inside if not frame.filename.startswith(dependencies)]
    lines = [_frame_line(frame, root) for frame in own or inside]
    if isinstance(error, SyntaxError) and error.filename:
        lines.append(f"{_shorten(error.filename, root)}:{error.lineno}: {(error.text or '').strip()}")
        lines.append(f"{type(error).__name__}: {error.msg}")
    else:
        lines.extend("".join(report.format_exception_only()).strip().splitlines())
    return lines


def _frame_line(frame, root):
    where = f"{_shorten(frame.filename, root)}:{frame.lineno}, in {frame.name}"
    return f"{where}: {frame.line}" if frame.line else where


def _is_inside(filename, root):
    return filename == root or filename.startswith(root + os.sep)


def _shorten(filename, root):
    if filename == root:
        return os.path.basename(filename)
    return os.path.relpath(filename, root) if _is_inside(filename, root) else filename
