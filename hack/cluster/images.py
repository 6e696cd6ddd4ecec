"""The images of the project, built by buildah from the Containerfiles that any other builder takes as well.

An image's tag is a hash over everything that decides its content, so an image that has been built before is found
without running any tool. Results are docker-archives below the cache, each ready to be imported or pushed.
To try: `python3 -m cluster.images --help`, from hack/.
"""

import argparse
import hashlib
import json
import os
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from . import cache as caches
from . import environments
from .failure import Failure, run_command
from .imagebuild import BASE_REFERENCE, Buildah, Order, base_key

CLONE = Path(__file__).resolve().parents[2]
IMAGES = CLONE / "config" / "images"

# Archives of earlier contents that are kept: another clone, or the branch one came from, may want them again.
KEPT_ARCHIVES = 4


@dataclass(frozen=True)
class Image:
    """A built image: its name in the manifests, its reference by content, and the archive that holds it."""

    name: str
    reference: str
    archive: Path


@dataclass(frozen=True)
class Recipe:
    """How one image is made: its Containerfile, and what that copies into it."""

    name: str
    folder: Path
    binary: str | None = None
    """The program that the build argument BINARY names, among those the caller has built."""
    source: Path | None = None
    """Or the C source that it is compiled from."""

    @property
    def containerfile(self) -> Path:
        return self.folder / "Containerfile"


RECIPES = (
    Recipe("local/pause", IMAGES / "pause", source=IMAGES / "pause" / "pause.c"),
    Recipe("local/traefik", IMAGES / "traefik", binary="traefik"),
    Recipe("muon/agent", IMAGES / "agent", binary="muon-agent"),
    Recipe("muon/muon", IMAGES / "muon", binary="muon"),
)
# The programs that images of Environments hold, where a language has one of its own.
ENVIRONMENT_PROGRAMS: Mapping[str, str] = {
    "muon/binary": "muon-binary",
    **{f"muon/{name}": "muon-launcher" for name in environments.LAUNCHED},
}
ENVIRONMENT_RECIPES = tuple(
    Recipe(name, folder, binary=ENVIRONMENT_PROGRAMS.get(name))
    for name, folder in environments.image_folders(environments.known()).items()
)
ALL_NAMES = tuple(recipe.name for recipe in RECIPES + ENVIRONMENT_RECIPES)


def names_with(chosen: Iterable[str]) -> tuple[str, ...]:
    """What an installation with these Environments needs."""
    return tuple(recipe.name for recipe in RECIPES) + tuple(environments.image_folders(chosen))


NAMES = names_with(environments.DEFAULT)

# What no installation needs.
TEST_RECIPES = tuple(Recipe(f"e2e/{name}", CLONE / "e2e" / "images" / name) for name in ("foreign", "stubborn"))
TEST_NAMES = tuple(recipe.name for recipe in TEST_RECIPES)


class Builder(Protocol):
    """What makes an archive when none is there: buildah, or a test's stand-in."""

    def build(self, order: Order) -> None: ...


class FileDigests:
    """Hashes of file contents, remembered by size and time: programs of 200 MB are not read again at every start."""

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._known: dict[str, list] = {}
        self._changed = False
        try:
            self._known = json.loads(memory.read_text())
        except (OSError, ValueError):
            pass

    def of(self, file: Path) -> str:
        seen = file.stat()
        stamp = [seen.st_size, seen.st_mtime_ns, seen.st_ino]
        known = self._known.get(str(file))
        if known is None or known[:3] != stamp:
            with open(file, "rb") as content:
                known = [*stamp, hashlib.file_digest(content, "sha256").hexdigest()]
            self._known[str(file)] = known
            self._changed = True
        return known[3]

    def save(self) -> None:
        if self._changed:
            unfinished = self._memory.with_suffix(f".{os.getpid()}")
            unfinished.write_text(json.dumps({path: known for path, known in self._known.items() if Path(path).exists()}))
            unfinished.replace(self._memory)


def build_all(cache: Path, binaries: Mapping[str, Path], report: Callable[[str], None]) -> dict[str, Image]:
    """Every image by its name; `binaries` are the programs muon, muon-agent and traefik."""
    return build(cache, binaries, report)


def build(
    cache: Path,
    binaries: Mapping[str, Path],
    report: Callable[[str], None],
    names: Iterable[str] = NAMES,
    builder: Builder | None = None,
) -> dict[str, Image]:
    """The named images; only those whose content is new are built."""
    folder = cache / "images"
    folder.mkdir(parents=True, exist_ok=True)
    digests = FileDigests(folder / "digests.json")
    builder = builder or Buildah(cache, report)
    images = {}
    for recipe in map(recipe_of, names):
        files = inputs(recipe, binaries)
        tag = content_tag(recipe, files, digests)
        image = Image(recipe.name, f"docker.io/{recipe.name}:{tag}", folder / f"{_prefix(recipe)}{tag}.tar")
        if not image.archive.exists():
            report(f"{recipe.name}: building")
            builder.build(order_for(recipe, files, image))
        image.archive.touch()
        _forget_old_archives(folder, _prefix(recipe))
        images[recipe.name] = image
    digests.save()
    return images


def order_for(recipe: Recipe, files: Mapping[str, Path], image: Image) -> Order:
    if recipe.source is not None:
        return Order(recipe.containerfile, {}, image.reference, image.archive, recipe.source.stem, recipe.source)
    return Order(recipe.containerfile, files, image.reference, image.archive, recipe.binary)


def recipe_of(name: str) -> Recipe:
    for recipe in RECIPES + ENVIRONMENT_RECIPES + TEST_RECIPES:
        if recipe.name == name:
            return recipe
    raise Failure(f"there is no image {name}: the images are {', '.join(ALL_NAMES + TEST_NAMES)}")


def inputs(recipe: Recipe, binaries: Mapping[str, Path]) -> dict[str, Path]:
    """What goes into the build, by its path in the build context (for a source: what it is compiled from)."""
    if recipe.source is not None:
        return {recipe.source.name: recipe.source}
    files: dict[str, Path] = {}
    if recipe.binary is not None:
        program = binaries.get(recipe.binary)
        if program is None or not program.is_file():
            raise Failure(f"the image {recipe.name} needs the program {recipe.binary}, which has not been built")
        files[recipe.binary] = program
    for source in copied(recipe.containerfile.read_text()):
        if source == "${BINARY}":
            continue
        path = recipe.folder / source
        if not path.exists():
            raise Failure(f"{recipe.containerfile} copies {source}, which does not exist")
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                files[str(file.relative_to(recipe.folder))] = file
    return files


def copied(containerfile: str) -> list[str]:
    """The sources of every COPY from the build context; those from another stage are not inputs."""
    sources = []
    for line in containerfile.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if not words or words[0].upper() != "COPY" or any(word.startswith("--from") for word in words):
            continue
        paths = [word for word in words[1:] if not word.startswith("--")]
        sources.extend(paths[:-1])
    return sources


def content_tag(recipe: Recipe, files: Mapping[str, Path], digests: FileDigests) -> str:
    """A hash over the Containerfile, every input and, for what stands on Debian, the base image."""
    containerfile = recipe.containerfile.read_text()
    parts = [containerfile, base_key() if BASE_REFERENCE in containerfile else ""]
    for path, file in sorted(files.items()):
        parts += [path, digests.of(file)]
    return caches.key(parts)


def _prefix(recipe: Recipe) -> str:
    return f"{recipe.name.replace('/', '-')}-"


def _forget_old_archives(folder: Path, prefix: str) -> None:
    archives = sorted(folder.glob(f"{prefix}*.tar"), key=lambda path: path.stat().st_mtime, reverse=True)
    for archive in archives[KEPT_ARCHIVES:]:
        archive.unlink(missing_ok=True)


def _main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m cluster.images", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(NAMES), metavar="NAME", help=f"any of: {', '.join(ALL_NAMES)}")
    parser.add_argument(
        "--binary", action="append", default=[], metavar="KEY=PATH", help="a program: muon, muon-agent or traefik"
    )
    parser.add_argument("--cache", type=Path, default=caches.root(), help="where images are kept (%(default)s)")
    arguments = parser.parse_args()
    binaries = {key: Path(path) for key, _, path in (word.partition("=") for word in arguments.binary)}
    images = build(arguments.cache, binaries, lambda line: print(f"  {line}", flush=True), arguments.names)
    for image in images.values():
        print(f"{image.reference}  {image.archive}  {image.archive.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    run_command(_main)
