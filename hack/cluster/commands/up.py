"""hack/up: from nothing to a function's reply, or what is missing of it."""

import argparse
import shlex
from collections.abc import Sequence

from .. import cache, calls, environments, images, imports, installation, prerequisites, registries
from ..bringup import CLUSTER_IMAGES, bring_up, build_images, write_status
from ..installation import Target
from ..instance import CLONE, INGRESS_PORT, Instance
from ..kubectl import Kubectl
from ..progress import Step
from ..status import as_text


def main() -> int:
    """Reads the options and does one of the two things that they can mean."""
    options = _parser().parse_args()
    chosen = environments.parse(options.environments)
    if options.context:
        _existing_cluster(options.context, options.image_prefix, options.plain_http, chosen)
        return 0
    prerequisites.require_root()
    instance = Instance(options.instance)
    with instance.lock():
        bring_up(instance, options.only_cluster, chosen)
        if not options.only_cluster:
            registries.serve(instance)
            installation.install_samples(Kubectl.of_instance(instance), chosen)
            _call_sample(instance, calls.sample_for(chosen))
        print(as_text(write_status(instance)))
    return 0


def _existing_cluster(context: str, prefix: str | None, plain_http: bool, chosen: Sequence[str]) -> None:
    """Installs on a cluster that the user has, which stays otherwise as it is."""
    kubectl = Kubectl.of_context(context)
    prerequisites.require_toolchains(("cargo",))
    prerequisites.install_packages(prerequisites.IMAGE_PACKAGES)
    built = build_images([name for name in images.names_with(chosen) if name not in CLUSTER_IMAGES])
    if prefix:
        references = imports.push_images(prefix, built, plain_http)
    else:
        references = {name: image.reference for name, image in built.items()}
        print("no --image-prefix: the nodes must have these images already:")
        for image in built.values():
            print(f"  {image.reference}  {image.archive}")
    workspace = cache.root() / "manifests" / cache.key([context])
    installation.install_muon(Target(kubectl, references, workspace), chosen)
    print(_what_next(context, calls.sample_for(chosen)))


def _what_next(context: str, sample: str) -> str:
    """A first function and a call of it, whatever namespace the context names and whatever Ingress there is."""
    words = f"kubectl --context {shlex.quote(context)}"
    namespace = installation.USER_NAMESPACE
    return f"""
Muon is installed on {context}. A first function, and a call of it:

  {words} -n {namespace} apply -f {CLONE}/samples/{sample}
  {words} -n {namespace} wait --for=condition=Ready --timeout=60s function/{sample} httptrigger/{sample}
  {words} -n {installation.SYSTEM_NAMESPACE} port-forward deployment/muon-proxy 8081:8081 &
  curl -H 'Host: {calls.host_of(sample)}' http://127.0.0.1:8081{calls.PATH}

Routes are public where an Ingress controller serves them: see `ingress` in the HTTPTrigger."""


def _call_sample(instance: Instance, sample: str) -> None:
    addresses, host = instance.addresses(), calls.host_of(sample)
    with Step(f"calling {host} through the Ingress"):
        timing = calls.time_sample(addresses, sample)
    print(f"\n$ curl -H 'Host: {host}' http://{addresses.node}:{INGRESS_PORT}{calls.PATH}")
    print(timing.reply.rstrip("\n"))
    first = "cold call" if timing.was_cold else "first call (a pod was up already)"
    print(f"\n{first}: {timing.first_milliseconds:.1f} ms   warm call: {timing.warm_milliseconds:.1f} ms\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hack/up",
        description="Brings up a Kubernetes node on this machine, installs Muon and the samples, and calls one. "
        "With --context: installs Muon on that existing cluster instead.",
    )
    parser.add_argument("--context", help="install on this existing cluster, a context of your kubeconfig")
    parser.add_argument("--image-prefix", help="with --context: push the images to PREFIX/NAME:TAG for the nodes to pull")
    parser.add_argument("--plain-http", action="store_true", help="with --image-prefix: the registry speaks plain HTTP")
    parser.add_argument(
        "--environments",
        metavar="NAMES",
        default=",".join(environments.DEFAULT),
        help=f"the languages to bring in, with their samples: some of {','.join(environments.known())}, or all (%(default)s)",
    )
    parser.add_argument("--only-cluster", action="store_true", help="stop when the cluster and its Ingress controller are up")
    parser.add_argument("--instance", default="up", help=argparse.SUPPRESS)
    return parser
