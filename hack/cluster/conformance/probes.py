"""Code for images whose language is known: it answers what it was asked, and on /env the variable PROBE."""

from pathlib import Path

from .checks import Package

FOLDER = Path(__file__).resolve().parent / "code"
# What is to be called in each language's folder.
ENTRYPOINTS = {
    "binary": "main.sh",
    "foreign": "main.pl",
    "node": "main.main",
    "php": "main.main",
    "python": "main.main",
    "ruby": "main.main",
}


def package(name: str) -> Package:
    """The code for images of this name."""
    return Package(FOLDER / name, ENTRYPOINTS[name], True)
