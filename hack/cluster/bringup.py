"""From nothing to an installed Muon: what hack/up and hack/test have in common."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from . import cache, environments, images, imports, installation, lifecycle, prerequisites, products
from .installation import Target
from .instance import Instance
from .kubectl import Kubectl
from .progress import Step
from .status import status

# Images that only a cluster of our own needs.
CLUSTER_IMAGES = ("local/pause", "local/traefik")


def bring_up(
    instance: Instance, only_cluster: bool = False, chosen: Sequence[str] = environments.DEFAULT
) -> None:
    """A cluster of our own with the Ingress controller and, unless unwanted, Muon with the chosen Environments."""
    prerequisites.require_toolchains()
    prerequisites.install_packages()
    products.kubenode()
    products.coredns()
    built = build_images(CLUSTER_IMAGES if only_cluster else images.names_with(chosen))
    lifecycle.up(instance, built["local/pause"].reference)
    imports.import_images(instance, built.values())
    references = {name: image.reference for name, image in built.items()}
    target = Target(Kubectl.of_instance(instance), references, instance.state / "manifests")
    installation.install_ingress_controller(target)
    if not only_cluster:
        installation.install_muon(target, chosen)


def build_images(names: Iterable[str]) -> dict[str, images.Image]:
    """The named images, and what is compiled for them; all from the cache when nothing changed."""
    binaries: dict[str, Path] = {}
    if "muon/muon" in names:
        binaries |= products.rust_binaries()
    if "local/traefik" in names:
        binaries["traefik"] = products.traefik()
    wanted = {images.recipe_of(name).binary for name in names}
    for program in wanted & products.RUNTIMES.keys():
        binaries[program] = products.runtime(program)
    with Step("building images") as step:
        return images.build(cache.root(), binaries, step.note, names)


def write_status(instance: Instance) -> dict:
    """Leaves the status where tests and other programs look for it."""
    known = status(instance)
    instance.status_file.write_text(json.dumps(known, indent=2) + "\n")
    return known
