"""Flame graphs: samples of stacks, as `perf script` prints them, drawn as an SVG whose size is bounded."""

import bisect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html import escape

WIDTH, ROW, TOP = 1200, 15, 34
LETTER = 6.6
LARGEST = 300_000
"""Bytes of an SVG: the narrowest frames are left out until it is no larger."""

HASH = re.compile(r"::h[0-9a-f]{16}$|\+0x[0-9a-f]+$")


@dataclass(frozen=True)
class Sample:
    """One sample: whose it is, and its frames from the outermost to the innermost, with the program of each."""

    pid: int
    frames: tuple[tuple[str, str], ...]


@dataclass
class Frame:
    """A function as called from there, with the samples in which it was on the stack."""

    samples: int = 0
    below: dict[str, "Frame"] = field(default_factory=dict)


class Symbols:
    """The functions of a program, by their place in its file. perf of Debian 12 takes that place for an address, which it is not
    in programs that lld has linked, and tells wrong names; so it is done here."""

    def __init__(self, names: str, headers: str) -> None:
        """Of what `nm --demangle` and `readelf --segments --wide` print."""
        found = [line.split(maxsplit=2) for line in names.splitlines()]
        functions = sorted((int(words[0], 16), words[2]) for words in found if len(words) == 3 and words[1] in "tTwW")
        self._places = [place for place, _ in functions]
        self._names = [function for _, function in functions]
        loads = [line.split() for line in headers.splitlines() if line.split()[:1] == ["LOAD"]]
        # Offset, address, size in the file.
        self._loads = [(int(words[1], 16), int(words[2], 16), int(words[4], 16)) for words in loads]

    def at(self, offset: int) -> str:
        """The function that lies there."""
        for begin, address, size in self._loads:
            if begin <= offset < begin + size:
                found = bisect.bisect_right(self._places, offset - begin + address) - 1
                return self._names[found] if found >= 0 else "[unknown]"
        return "[unknown]"


def samples(lines: Iterable[str], programs: Mapping[str, Symbols]) -> Iterator[Sample]:
    """The samples of `perf script -F pid,ip,sym,dso`: a head with the process, a line a frame, an empty line. The functions of
    some programs are known here."""
    pid: int | None = None
    frames: list[tuple[str, str]] = []
    for line in [*lines, ""]:
        if not line.strip():
            if pid is not None:
                yield Sample(pid, tuple(reversed(frames)))
            pid, frames = None, []
        elif pid is None:
            pid = int(line.split()[0])
        else:
            # An address, the function, the program in parentheses.
            text, _, program = line.strip().rpartition(" (")
            program = program.rstrip(")")
            address, _, function = text.partition(" ")
            symbols = programs.get(program.rpartition("/")[2])
            frames.append((name(symbols.at(int(address, 16)) if symbols else function), program))


def name(symbol: str) -> str:
    """A function's name without what only a linker needs."""
    return HASH.sub("", HASH.sub("", symbol.strip())) or "[unknown]"


def tree(stacks: Iterable[Sample]) -> Frame:
    """All stacks as one tree."""
    root = Frame()
    for stack in stacks:
        root.samples += 1
        place = root
        for function, _ in stack.frames:
            place = place.below.setdefault(function, Frame())
            place.samples += 1
    return root


def svg(title: str, root: Frame, largest: int = LARGEST) -> str:
    """The tree as a picture of at most so many bytes; the outermost function lies at the bottom."""
    narrowest = 0.3
    while True:
        text = _svg(title, root, narrowest)
        if len(text.encode()) <= largest:
            return text
        narrowest *= 1.5


def _svg(title: str, root: Frame, narrowest: float) -> str:
    shapes: list[tuple[int, float, float, str, int]] = []
    _place(root, 0, 0.0, WIDTH / max(root.samples, 1), narrowest, shapes)
    height = TOP + ROW * (1 + max((depth for depth, *_ in shapes), default=0)) + 6
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="monospace" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="8" y="20" font-size="14">{escape(title)}: {root.samples} samples</text>',
    ]
    for depth, x, width, function, count in shapes:
        y = height - ROW * (depth + 1) - 4
        share = 100 * count / max(root.samples, 1)
        # Warm colours; a function has the same one everywhere.
        shade = sum(function.encode()) % 90
        letters = int(width / LETTER)
        label = escape(function[:letters]) if letters >= 4 else ""
        parts.append(
            f'<g><title>{escape(function[:160])} {share:.1f} %</title>'
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW - 1}" fill="rgb(250,{120 + shade},70)"/>'
            + (f'<text x="{x + 2:.1f}" y="{y + 11}">{label}</text>' if label else "")
            + "</g>"
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _place(
    frame: Frame,
    depth: int,
    x: float,
    scale: float,
    narrowest: float,
    shapes: list[tuple[int, float, float, str, int]],
) -> None:
    for function, below in sorted(frame.below.items()):
        width = below.samples * scale
        if width >= narrowest:
            shapes.append((depth, x, width, function, below.samples))
            _place(below, depth + 1, x, scale, narrowest, shapes)
        x += width
