"""Imports ahead what functions commonly import, so that a load does not wait for it.

Chosen by use and by weight: each of these is small once the server itself is up.
"""

import importlib

COMMON_MODULES = (
    "base64",
    "collections",
    "csv",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "functools",
    "hashlib",
    "hmac",
    "html",
    "itertools",
    "json",
    "math",
    "operator",
    "os",
    "pathlib",
    "random",
    "re",
    "secrets",
    "statistics",
    "string",
    "tempfile",
    "time",
    "typing",
    "urllib.parse",
    "urllib.request",
    "uuid",
    "zoneinfo",
)


def run():
    for name in COMMON_MODULES:
        importlib.import_module(name)
