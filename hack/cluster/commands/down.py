"""hack/down: removes everything that hack/up or hack/test started on this machine, and nothing else."""

import argparse

from .. import lifecycle, prerequisites
from ..instance import Instance
from ..progress import Step


def main() -> int:
    """Takes one instance of this clone down."""
    parser = argparse.ArgumentParser(prog="hack/down", description="Removes the cluster of this clone. Caches stay.")
    parser.add_argument("--instance", default="up", help="'up' (the default), or 'test' for what hack/test --keep left")
    instance = Instance(parser.parse_args().instance)
    prerequisites.require_root()
    with instance.lock(), Step(f"taking down {instance.name}"):
        existed = lifecycle.down(instance)
    if not existed:
        print("there was nothing to remove")
    return 0
