"""A target folder for each clone, so that no clone takes another's build for its own.

Cargo judges by times whether a build of a workspace's crate is fresh, and gives the same name to what two clones build:
in a common folder, a clone with older files than another's last build would get that one's programs. The crates that
the workspace depends on are told apart by version and features alone: a new clone starts with those of another, as hard
links, and compiles only the workspace's own.
"""

import os
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

from . import cache
from .instance import CLONE

# In each target folder: the clone that it belongs to. Its time is that of the last use.
OWNER = "muon-clone"
FINGERPRINTS = ".fingerprint"


def target_folder(clone: Path = CLONE) -> Path:
    """The clone's target folder; a new one gets the dependencies that another clone has built."""
    root = cache.root() / "targets"
    place = root / cache.key([str(clone)])
    with cache.exclusive("targets"):
        if not (place / OWNER).exists():
            unfinished = root / f".{place.name}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            if seed := max(_owned(root), key=lambda folder: (folder / OWNER).stat().st_mtime, default=None):
                _take_dependencies(seed, unfinished, _members(clone))
            (unfinished / OWNER).write_text(str(clone))
            # What is there without an owner is the rest of something that was interrupted.
            shutil.rmtree(place, ignore_errors=True)
            unfinished.rename(place)
        os.utime(place / OWNER)
        _remove_orphans(root)
    return place


def _owned(root: Path) -> list[Path]:
    return [owner.parent for owner in root.glob(f"*/{OWNER}")]


def _remove_orphans(root: Path) -> None:
    """Removes the folders of clones that are gone."""
    for folder in _owned(root):
        if not Path((folder / OWNER).read_text()).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _members(clone: Path) -> frozenset[str]:
    """The names of the workspace's own packages."""
    folders = tomllib.loads((clone / "Cargo.toml").read_text())["workspace"]["members"]
    manifests = (clone / folder / "Cargo.toml" for folder in folders)
    return frozenset(tomllib.loads(manifest.read_text())["package"]["name"] for manifest in manifests)


def _take_dependencies(seed: Path, place: Path, members: frozenset[str]) -> None:
    """Takes over every finished build of a package that is no member."""
    for profile in _profiles(seed):
        here = place / profile.relative_to(seed)
        units = {unit.name for unit in (profile / FINGERPRINTS).iterdir() if _package(unit.name) not in members}
        # The record of a unit is written after the unit: what is recorded now is whole.
        for unit in units:
            shutil.copytree(profile / FINGERPRINTS / unit, here / FINGERPRINTS / unit)
        for built in _entries(profile / "build"):
            if built.name in units:
                shutil.copytree(built, here / "build" / built.name, symlinks=True)
        hashes = {unit.rpartition("-")[2] for unit in units}
        (here / "deps").mkdir(parents=True, exist_ok=True)
        for built in _entries(profile / "deps"):
            if built.name.partition(".")[0].rpartition("-")[2] in hashes:
                # Compilers replace such a file and never write into it: the other clone's is safe.
                os.link(built, here / "deps" / built.name)


def _profiles(target: Path) -> Iterator[Path]:
    """The folders of all profiles, of the machine's own target and of named ones."""
    for depth in ("*", "*/*"):
        for found in target.glob(f"{depth}/{FINGERPRINTS}"):
            yield found.parent


def _package(unit: str) -> str:
    """The package of a unit that is called NAME-HASH."""
    return unit.rpartition("-")[0]


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
