"""Expensive products, kept outside the tree under the hash of everything that decides their content."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


def root() -> Path:
    """The cache's folder."""
    return Path(os.environ.get("MUON_CACHE", Path.home() / ".cache" / "muon"))


def key(parts: Iterable[bytes | str | Path]) -> str:
    """A short hash over texts and file contents, in order."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            content = part.name.encode() + b"\0" + part.read_bytes()
        else:
            content = part.encode() if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "big"))
        digest.update(content)
    return digest.hexdigest()[:16]


def product(name: str, product_key: str, make: Callable[[Path], None]) -> Path:
    """The folder of a product: made by `make` if nobody made it before, then moved into place at once.

    A build that was killed leaves only a folder that nobody will take for a product, and two
    commands that want the same product wait for one build.
    """
    place = root() / "products" / f"{name}-{product_key}"
    if place.is_dir():
        return place
    with exclusive(name):
        if not place.is_dir():
            unfinished = place.parent / f".{name}-{product_key}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            make(unfinished)
            unfinished.rename(place)
    return place


@contextmanager
def exclusive(name: str) -> Iterator[None]:
    """Lets one command at a time make something; the others wait."""
    locks = root() / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with open(locks / name, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
