"""hack/status: what runs, where its logs are, and how to point kubectl at it."""

import argparse
import json

from ..instance import Instance
from ..status import as_text, status


def main() -> int:
    """Prints the status; the exit code says whether the cluster is ready."""
    parser = argparse.ArgumentParser(prog="hack/status", description="Shows the cluster of this clone.")
    parser.add_argument("--instance", default="up", help="'up' (the default) or 'test'")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")
    options = parser.parse_args()
    known = status(Instance(options.instance))
    print(json.dumps(known, indent=2) if options.output == "json" else as_text(known))
    return 0 if known["ready"] else 1
