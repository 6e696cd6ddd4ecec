"""The objects that the cluster itself needs: rights of its components, DNS, storage."""

import json
import os

from .configs import Site
from .instance import Instance
from .kubectl import Kubectl

# The number that our images, like most that are built for restricted Pod Security, run as.
NONROOT = 65532
VOLUMES = 8


def apply(site: Site) -> None:
    """Applies the objects; those that are there already stay as they are."""
    _make_volume_folders(site.instance)
    listed = {"apiVersion": "v1", "kind": "List", "items": objects(site)}
    Kubectl.of_instance(site.instance).apply("-f", "-", stdin=json.dumps(listed))


def objects(site: Site) -> list[dict]:
    """All of them."""
    return [*_rights(), *_dns(site), *_storage(site)]


def _rights() -> list[dict]:
    """What the default bindings leave out: exec and logs for the API server, DNS's watches."""

    def binding(name: str, role: str, user: str) -> dict:
        group = "rbac.authorization.k8s.io"
        return {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        }

    reading = ["list", "watch"]
    dns_role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "system:coredns"},
        "rules": [
            {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": reading},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": reading},
        ],
    }
    return [
        binding("muon-dev:apiserver-to-kubelet", "system:kubelet-api-admin", "kube-apiserver-kubelet-client"),
        dns_role,
        binding("system:coredns", "system:coredns", "system:coredns"),
    ]


def _dns(site: Site) -> list[dict]:
    """The DNS Service where everything expects it, leading to the CoreDNS process on the node's address."""
    ports = [("dns", "UDP", 53), ("dns-tcp", "TCP", 53), ("metrics", "TCP", 9153)]
    described = [{"name": name, "protocol": protocol, "port": port} for name, protocol, port in ports]
    metadata = {"namespace": "kube-system", "name": "kube-dns"}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {**metadata, "labels": {"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS"}},
        "spec": {"clusterIP": site.addresses.dns, "ports": described},
    }
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**metadata, "labels": {"kubernetes.io/service-name": "kube-dns"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [site.addresses.node], "conditions": {"ready": True}}],
        "ports": described,
    }
    return [service, endpoints]


def _storage(site: Site) -> list[dict]:
    """A default class with a handful of volumes that are folders: enough for claims to bind, no provisioner."""
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    return [storage_class, *(_volume(site.instance, number) for number in range(VOLUMES))]


def _volume(instance: Instance, number: int) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"local-{number}"},
        "spec": {
            "storageClassName": "standard",
            "capacity": {"storage": "10Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(instance.state / "volumes" / str(number)), "type": "Directory"},
        },
    }


def _make_volume_folders(instance: Instance) -> None:
    for number in range(VOLUMES):
        folder = instance.state / "volumes" / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        # A hostPath ignores fsGroup: the folder itself must belong to whom the pods run as.
        os.chown(folder, NONROOT, NONROOT)
        folder.chmod(0o770)
