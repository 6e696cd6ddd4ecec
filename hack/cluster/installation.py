"""Installs the Ingress controller, Muon, the Environments and the samples on a cluster."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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
        overlay = self.workspace / base.relative_to(CLONE)
        overlay.mkdir(parents=True, exist_ok=True)
        # kustomize takes no absolute path; both sides are resolved because it follows links.
        relative = os.path.relpath(base.resolve(), overlay.resolve())
        (overlay / "kustomization.yaml").write_text(json.dumps(overlay_of(relative, self.images, namespace), indent=2))
        self.kubectl.apply("-k", str(overlay))


def overlay_of(base: str, images: Mapping[str, str], namespace: str | None) -> dict:
    """A kustomization that changes nothing of its base but the images, and perhaps the namespace."""
    replaced = []
    for name, reference in sorted(images.items()):
        new_name, _, tag = reference.rpartition(":")
        replaced.append({"name": name, "newName": new_name, "newTag": tag})
    overlay = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [base],
        "images": replaced,
    }
    return overlay | ({"namespace": namespace} if namespace else {})


def install_ingress_controller(target: Target) -> None:
    """Traefik; only ever on a cluster of our own."""
    with Step("installing the Ingress controller") as step:
        target.apply(CLONE / "hack" / "cluster" / "traefik")
        _wait_for_rollouts(target.kubectl, "ingress", step)


def install_muon(target: Target) -> None:
    """The custom resources, the parts of Muon and the Environments, each served when this returns."""
    with Step("installing Muon") as step:
        target.apply(CLONE / "config" / "default")
        target.kubectl("wait", "--for=condition=Established", "crd", "-l", "app.kubernetes.io/part-of=muon", "--timeout=30s")
        _wait_for_rollouts(target.kubectl, SYSTEM_NAMESPACE, step)
    with Step("installing the Environments") as step:
        target.apply(CLONE / "config" / "environments", USER_NAMESPACE)
        _wait_until_ready(target.kubectl, "environments.muon.dev", step)


def install_samples(kubectl: Kubectl) -> None:
    """Every sample, each a folder of plain manifests."""
    with Step("applying the samples") as step:
        for sample in sorted(path for path in (CLONE / "samples").iterdir() if path.is_dir()):
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
