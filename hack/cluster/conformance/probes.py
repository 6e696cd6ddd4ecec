"""Code for images whose language is known: it answers what it was asked, and on /env the variable PROBE."""

from pathlib import Path

from .checks import Package

FOLDER = Path(__file__).resolve().parent / "code"
# What is to be called in each language's folder.
ENTRYPOINTS = {
    "binary": "main.sh",
    "csharp": "Probe.Main.Handle",
    "foreign": "main.pl",
    "go": "Handle",
    "java": "probe.Main.handle",
    "node": "main.main",
    "php": "main.main",
    "python": "main.main",
    "ruby": "main.main",
    "rust": "handle",
}
# Those whose code is nothing to load before the builder of the same language has made something of it.
COMPILED = ("csharp", "go", "java", "rust")


def package(name: str) -> Package:
    """The code for images of this name."""
    return Package(FOLDER / name, ENTRYPOINTS[name], True)
