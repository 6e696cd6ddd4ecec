"""Brings built images to where a cluster's nodes find them: an instance's containerd, or a registry."""

from collections.abc import Iterable, Mapping

from .images import Image
from .instance import Instance
from .progress import Step
from .shell import output, succeeds


def import_images(instance: Instance, images: Iterable[Image]) -> None:
    """Imports into the instance's containerd what is not there yet; the tag names the content."""
    ctr = [instance.bin / "ctr", f"--address={instance.containerd_socket}", "--namespace=k8s.io", "images"]
    present = set(output([*ctr, "list", "--quiet"]).split())
    missing = [image for image in images if image.reference not in present]
    if not missing:
        return
    with Step("importing images") as step:
        for image in missing:
            step.note(image.reference)
            output([*ctr, "import", image.archive])


def push_images(prefix: str, images: Mapping[str, Image], plain_http: bool) -> dict[str, str]:
    """Pushes to a registry below a prefix; returns the references by the names in the manifests."""
    references = {name: pushed_reference(prefix, name, image) for name, image in images.items()}
    secure = "false" if plain_http else "true"
    with Step(f"pushing images to {prefix}") as step:
        for name, image in images.items():
            step.note(references[name])
            place = f"docker://{references[name]}"
            if not succeeds(["skopeo", "inspect", "--raw", f"--tls-verify={secure}", place]):
                output(["skopeo", "copy", "--quiet", f"--dest-tls-verify={secure}", f"docker-archive:{image.archive}", place])
    return references


def pushed_reference(prefix: str, name: str, image: Image) -> str:
    """PREFIX/muon:TAG for muon/muon: one folder of a registry holds them all."""
    tag = image.reference.rpartition(":")[2]
    return f"{prefix.rstrip('/')}/{name.rpartition('/')[2]}:{tag}"
