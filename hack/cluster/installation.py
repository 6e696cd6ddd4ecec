"""Installs the Ingress controller, Muon, the Environments and the samples on a cluster."""

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import environments
from .failure import Failure
from .instance import CLONE
from .kubectl import Kubectl
from .progress import Step

READY_SECONDS = 180
SYSTEM_NAMESPACE, USER_NAMESPACE = "muon-system", "default"


@dataclass(frozen=True)
class Target:
    """A cluster to install on, and the images as that cluster's nodes know them."""

    kubectl: Kubectl
    # From the name in the manifests (muon/muon) to name and tag.
    images: Mapping[str, str]
    # Where the overlays may be written.
    workspace: Path

    def apply(self, base: Path, namespace: str | None = None) -> None:
        """Applies a kustomize base with our images in it."""
        self._apply(self.workspace / base.relative_to(CLONE), [base], namespace)

    def apply_environments(self, chosen: Iterable[str], namespace: str) -> None:
        """Applies these Environments, each a base of its own, with our images in them."""
        overlay = self.workspace / environments.FOLDER.relative_to(CLONE)
        overlay.mkdir(parents=True, exist_ok=True)
        # The rules by which kustomize finds the images of Environments: a file of the overlay's own, by its demand.
        rules = shutil.copyfile(environments.FOLDER / "images.yaml", overlay / "images.yaml")
        self._apply(overlay, [environments.FOLDER / name for name in chosen], namespace, [rules.name])

    def _apply(self, overlay: Path, bases: Sequence[Path], namespace: str | None, rules: Sequence[str] = ()) -> None:
        overlay.mkdir(parents=True, exist_ok=True)
        # kustomize takes no absolute path; both sides are resolved because it follows links.
        relative = [os.path.relpath(base.resolve(), overlay.resolve()) for base in bases]
        text = json.dumps(overlay_of(relative, self.images, namespace, rules), indent=2)
        (overlay / "kustomization.yaml").write_text(text)
        self.kubectl.apply("-k", str(overlay))


def overlay_of(
    bases: Sequence[str], images: Mapping[str, str], namespace: str | None, rules: Sequence[str] = ()
) -> dict:
    """A kustomization that changes nothing of its bases but the images, and perhaps the namespace."""
    replaced = []
    for name, reference in sorted(images.items()):
        new_name, _, tag = reference.rpartition(":")
        replaced.append({"name": name, "newName": new_name, "newTag": tag})
    overlay = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": list(bases),
        "images": replaced,
    }
    more = {"namespace": namespace} if namespace else {}
    return overlay | more | ({"configurations": list(rules)} if rules else {})


def install_ingress_controller(target: Target) -> None:
    """Traefik; only ever on a cluster of our own."""
    with Step("installing the Ingress controller") as step:
        target.apply(CLONE / "hack" / "cluster" / "traefik")
        _wait_for_rollouts(target.kubectl, "ingress", step)


def install_muon(target: Target, chosen: Sequence[str] = environments.DEFAULT) -> None:
    """The custom resources, the parts of Muon and the chosen Environments, each served when this returns."""
    with Step("installing Muon") as step:
        target.apply(CLONE / "config" / "default")
        target.kubectl("wait", "--for=condition=Established", "crd", "-l", "app.kubernetes.io/part-of=muon", "--timeout=30s")
        _wait_for_rollouts(target.kubectl, SYSTEM_NAMESPACE, step)
    with Step("installing the Environments") as step:
        target.apply_environments(chosen, USER_NAMESPACE)
        _wait_until_ready(target.kubectl, "environments.muon.dev", step)


def install_samples(kubectl: Kubectl, chosen: Iterable[str] = environments.DEFAULT) -> None:
    """Every sample that the chosen Environments run, each a folder of plain manifests."""
    with Step("applying the samples") as step:
        for sample in environments.samples_for(chosen):
            step.note(sample.name)
            how = "-k" if (sample / "kustomization.yaml").exists() else "-f"
            kubectl.apply("-n", USER_NAMESPACE, how, str(sample))
        for kind in ("functions.muon.dev", "httptriggers.muon.dev"):
            _wait_until_ready(kubectl, kind, step)


def _wait_for_rollouts(kubectl: Kubectl, namespace: str, step: Step) -> None:
    for workload in kubectl("-n", namespace, "get", "deployments,statefulsets", "-o", "name").split():
        step.note(f"waiting for {workload}")
        try:
            kubectl("-n", namespace, "rollout", "status", workload, f"--timeout={READY_SECONDS}s")
        except Failure as failure:
            raise Failure(f"{workload} does not come up ({failure}); look: kubectl -n {namespace} describe pods") from failure


def _wait_until_ready(kubectl: Kubectl, kind: str, step: Step) -> None:
    step.note(f"waiting for {kind} to be Ready")
    if not kubectl("-n", USER_NAMESPACE, "get", kind, "-o", "name").split():
        return
    try:
        kubectl("-n", USER_NAMESPACE, "wait", "--for=condition=Ready", kind, "--all", f"--timeout={READY_SECONDS}s")
    except Failure as failure:
        raise Failure(f"not Ready ({failure}); look: kubectl -n {USER_NAMESPACE} describe {kind}") from failure
