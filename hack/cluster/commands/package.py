"""hack/package: the one file and the Helm chart that Muon is installed with, made from the kustomize bases."""

import argparse
from pathlib import Path

from .. import prerequisites, products
from ..instance import CLONE
from ..shell import output


def main() -> int:
    """Writes them."""
    options = _parser().parse_args()
    prerequisites.require_toolchains(("go",))
    argv = [products.packaging(), "-root", CLONE, "-image-prefix", options.image_prefix, "-tag", options.tag]
    output([*argv, "-out", options.out.resolve()])
    print(f"{options.out}/muon.yaml and {options.out}/chart are written")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hack/package",
        description="Writes muon.yaml, for `kubectl apply -f`, and chart/, for Helm. Without options these are the ones "
        "in config/, to be written anew whenever something in config/ or crds/ has changed.",
    )
    parser.add_argument("--image-prefix", default="muon", metavar="PREFIX", help="where the nodes pull from: PREFIX/muon, PREFIX/agent (%(default)s)")
    parser.add_argument("--tag", default="dev", help="the tag of these images (%(default)s)")
    parser.add_argument("--out", type=Path, default=CLONE / "config", metavar="FOLDER", help="where to write (config/)")
    return parser
