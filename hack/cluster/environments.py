"""Which Environments there are, and what each is made of: a folder of config/environments says it all."""

import re
from collections.abc import Iterable
from pathlib import Path

from .failure import Failure
from .instance import CLONE

FOLDER = CLONE / "config" / "environments"
# What comes without being asked for: a cluster that is up quickly.
DEFAULT = ("python", "node")
# The samples of functions that fail on purpose.
BROKEN = "broken"
# Environments whose functions are programs: they have one runtime, which starts them.
LAUNCHED = ("go", "rust")
# Samples that wait to be applied by hand: what fails on purpose, what needs a package registry, and what would make the
# default wait for a build.
LEFT_OUT = (
    BROKEN,
    "broken-build",
    "csharp-package",
    "go-module",
    "java-maven",
    "node-dependency",
    "php-composer",
    "rust-crate",
    "typescript",
)
# Environments whose images are large, and take minutes: on a node they are tested when hack/test is asked to
# (--environments). The tests of what is in them run on this machine.
BY_HAND = ("csharp", "java", "rust")


def known() -> tuple[str, ...]:
    """The names of all Environments: those that come by default, then the others."""
    found = sorted(path.parent.name for path in FOLDER.glob("*/environment.yaml"))
    return DEFAULT + tuple(name for name in found if name not in DEFAULT)


def tested(more: Iterable[str] = ()) -> tuple[str, ...]:
    """Those whose images the tests of the node use, and those that are asked for."""
    asked = set(more)
    return tuple(name for name in known() if name not in BY_HAND or name in asked)


def parse(words: str) -> tuple[str, ...]:
    """The Environments that a command line names, `all` being every one."""
    names = known() if words == "all" else tuple(dict.fromkeys(word.strip() for word in words.split(",") if word.strip()))
    unknown = [name for name in names if name not in known()]
    if unknown or not names:
        raise Failure(f"no Environment {', '.join(unknown) or 'is named'}: there are {', '.join(known())}, or all")
    return names


def image_folders(names: Iterable[str]) -> dict[str, Path]:
    """By the image's name the folder of its Containerfile: the runtime's and, where there is one, the builder's."""
    found = {}
    for name in names:
        found[f"muon/{name}"] = FOLDER / ("launcher" if name in LAUNCHED else name)
        if (FOLDER / name / "builder" / "Containerfile").exists():
            found[f"muon/{name}-builder"] = FOLDER / name / "builder"
    return found


def tested_images(more: Iterable[str] = ()) -> tuple[str, ...]:
    """The images that tests on a node need: the runtimes, and the builders that come by default or that a sample needs."""
    asked = set(more)
    found = {}
    for name in tested(asked):
        folders = image_folders([name])
        if name not in asked and name not in DEFAULT and not _some_sample_builds(name):
            folders.pop(f"muon/{name}-builder", None)
        found |= folders
    return tuple(found)


def _some_sample_builds(name: str, folder: Path = CLONE / "samples") -> bool:
    texts = (path.read_text() for path in folder.glob("*/*.yaml") if path.parent.name not in LEFT_OUT)
    return any(
        re.search(rf"^ *environment: *{name} *$", text, re.MULTILINE) and re.search(r"^ *build:", text, re.MULTILINE)
        for text in texts
    )


def builder_command(name: str) -> list[str]:
    """The command of an Environment's builder, which its YAML has on one line."""
    text = (FOLDER / name / "environment.yaml").read_text()
    found = re.search(r"^  builder:\n(?:    .*\n)*?    command: \[(.+)\]$", text, re.MULTILINE)
    return [word.strip() for word in found.group(1).split(",")] if found else []


def packages(names: Iterable[str]) -> list[str]:
    """The Debian packages that the runtimes stand on."""
    found: dict[str, None] = {}
    for name in names:
        file = FOLDER / name / "packages.txt"
        lines = file.read_text().splitlines() if file.exists() else []
        found.update(dict.fromkeys(line.strip() for line in lines if line.strip() and not line.startswith("#")))
    return list(found)


def samples_for(names: Iterable[str], folder: Path = CLONE / "samples") -> list[Path]:
    """The samples that these Environments are enough for, without those that are applied by hand."""
    chosen = set(names)
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and path.name not in LEFT_OUT and _needs(path) <= chosen]


def _needs(sample: Path) -> set[str]:
    texts = (path.read_text() for path in sample.glob("*.yaml"))
    return {name for text in texts for name in re.findall(r"^ *environment: *([a-z0-9-]+) *$", text, re.MULTILINE)}
