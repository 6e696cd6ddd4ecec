"""Builds a Python package: its files, its dependencies in site-packages/, and all of it compiled.

The builder contract: the source is in SRC_PKG, the result is to be at DEPLOY_PKG. Arguments are handed on to `pip install`.
"""

import compileall
import os
import shutil
import subprocess
import sys
import traceback
from pathlib import Path
from py_compile import PycInvalidationMode

REQUIREMENTS = "requirements.txt"
# Where the runtime looks for dependencies, beside the package's own files.
SITE = "site-packages"
# What others wrote is not held to this Python's syntax: many bring files for another one, which are never imported.
FOREIGN = (SITE, "deps", "vendor")
# A file's time is not kept in the package, so what was compiled must not be compared with it.
MODE = PycInvalidationMode.UNCHECKED_HASH


def mistakes(root: Path) -> list[str]:
    """What is wrong with the package's own files, each as Python says it: with file and line."""
    found = []
    for file in sorted(root.rglob("*.py")):
        name = file.relative_to(root)
        if name.parts[0] in FOREIGN:
            continue
        try:
            compile(file.read_bytes(), str(name), "exec", dont_inherit=True)
        except SyntaxError as error:
            found.append("".join(traceback.format_exception_only(error)).strip())
        except ValueError as error:
            found.append(f'File "{name}": {error}')
    return found


def install(source: Path, target: Path, arguments: list[str]) -> None:
    """The dependencies that the package asks for. Hashes in the file make pip insist on them."""
    words = [sys.executable, "-m", "pip", "install", "--no-input", "--no-compile", "--no-cache-dir"]
    words += ["--disable-pip-version-check", "--root-user-action=ignore", "--target", str(target / SITE)]
    words += ["--requirement", REQUIREMENTS, *arguments]
    done = subprocess.run(words, cwd=source)
    if done.returncode != 0:
        sys.exit(f"pip could not install what {REQUIREMENTS} asks for (exit code {done.returncode})")


def build(source: Path, target: Path, arguments: list[str]) -> None:
    """Leaves the finished package at `target`, or ends with a message."""
    found = mistakes(source)
    if found:
        sys.exit("\n".join(found))
    shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns(".git", "__pycache__"))
    if (source / REQUIREMENTS).is_file():
        install(source, target, arguments)
    compileall.compile_dir(target, quiet=2, stripdir=target, prependdir="", invalidation_mode=MODE)


if __name__ == "__main__":
    build(Path(os.environ["SRC_PKG"]), Path(os.environ["DEPLOY_PKG"]), sys.argv[1:])
