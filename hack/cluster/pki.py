"""The cluster's own certificate authorities, one certificate for each component, and kubeconfigs.

Three authorities as in any well-kept cluster: the cluster's, etcd's (so that no cluster
certificate opens the database) and the aggregation layer's (so that no client certificate can pose
as the API server's front proxy).
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from .cache import key
from .instance import API_PORT, Addresses, Instance
from .shell import output

# A development cluster should not die of an expired certificate; its keys never leave the machine.
DAYS = "3650"

CLUSTER_CA, ETCD_CA, FRONT_PROXY_CA = "ca", "etcd-ca", "front-proxy-ca"


@dataclass(frozen=True)
class Certificate:
    """One certificate: its file name, whom it names, which authority signs it and for which hosts."""

    file: str
    common_name: str
    organization: str = ""
    authority: str = CLUSTER_CA
    hosts: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """The distinguished name, as openssl wants it; Kubernetes reads O as group and CN as user."""
        group = f"/O={self.organization}" if self.organization else ""
        return f"{group}/CN={self.common_name}"

    @property
    def extensions(self) -> str:
        """The X.509 extensions: a client certificate, and a server certificate too if it names hosts."""
        usages = "clientAuth"
        names = ""
        if self.hosts:
            usages = "serverAuth,clientAuth"
            kinds = [("IP" if host[0].isdigit() else "DNS", host) for host in self.hosts]
            names = "subjectAltName=" + ",".join(f"{kind}:{host}" for kind, host in kinds) + "\n"
        return f"{names}basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage={usages}\n"


def certificates(node_name: str, addresses: Addresses) -> list[Certificate]:
    """Every certificate that a cluster at these addresses needs."""
    api_names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
    return [
        Certificate("etcd", "etcd", authority=ETCD_CA, hosts=("localhost", "127.0.0.1")),
        Certificate("apiserver-etcd-client", "kube-apiserver", authority=ETCD_CA),
        Certificate(
            "apiserver", "kube-apiserver", hosts=(*api_names, "localhost", "127.0.0.1", addresses.node, addresses.api_service)
        ),
        Certificate("apiserver-kubelet-client", "kube-apiserver-kubelet-client"),
        Certificate("front-proxy-client", "front-proxy-client", authority=FRONT_PROXY_CA),
        Certificate("kubelet", f"system:node:{node_name}", "system:nodes", hosts=(node_name, addresses.node, "127.0.0.1")),
        Certificate("controller-manager", "system:kube-controller-manager", hosts=(node_name, addresses.node, "127.0.0.1")),
        Certificate("scheduler", "system:kube-scheduler", hosts=(node_name, addresses.node, "127.0.0.1")),
        Certificate("kube-proxy", "system:kube-proxy"),
        Certificate("coredns", "system:coredns"),
        Certificate("admin", "muon-admin", "system:masters"),
    ]


def ensure(instance: Instance, addresses: Addresses) -> Path:
    """Makes all keys, certificates and kubeconfigs unless the present ones are for this very cluster."""
    folder = instance.state / "pki"
    wanted = certificates(instance.name, addresses)
    fingerprint = key([repr(wanted), str(folder)])
    marker = folder / "made-for"
    if marker.exists() and marker.read_text() == fingerprint:
        return folder
    # New authorities too: a certificate of an older layout must not be valid by accident.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    for authority in (CLUSTER_CA, ETCD_CA, FRONT_PROXY_CA):
        _make_authority(folder, authority)
    for certificate in wanted:
        _make_certificate(folder, certificate)
    _make_key(folder / "service-account.key")
    output(["openssl", "pkey", "-in", folder / "service-account.key", "-pubout", "-out", folder / "service-account.pub"])
    for user in ("controller-manager", "scheduler", "kubelet", "kube-proxy", "coredns"):
        _write_kubeconfig(folder / f"{user}.kubeconfig", instance, folder, user, addresses)
    _write_kubeconfig(instance.kubeconfig, instance, folder, "admin", addresses)
    marker.write_text(fingerprint)
    return folder


def _make_key(path: Path) -> None:
    # Elliptic keys: made in milliseconds, where RSA takes most of a second each.
    output(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path])
    path.chmod(0o600)


def _make_authority(folder: Path, name: str) -> None:
    _make_key(folder / f"{name}.key")
    output(
        ["openssl", "req", "-x509", "-new", "-key", folder / f"{name}.key", "-days", DAYS, "-subj", f"/CN=muon-dev {name}"]
        + ["-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", folder / f"{name}.crt"]
    )


def _make_certificate(folder: Path, certificate: Certificate) -> None:
    private, request, extensions = (folder / f"{certificate.file}.{suffix}" for suffix in ("key", "csr", "ext"))
    _make_key(private)
    output(["openssl", "req", "-new", "-key", private, "-subj", certificate.subject, "-out", request])
    extensions.write_text(certificate.extensions)
    signer = folder / certificate.authority
    output(
        ["openssl", "x509", "-req", "-in", request, "-days", DAYS, "-extfile", extensions, "-CAcreateserial"]
        + ["-CA", f"{signer}.crt", "-CAkey", f"{signer}.key", "-out", folder / f"{certificate.file}.crt"]
    )
    request.unlink()
    extensions.unlink()


def _write_kubeconfig(path: Path, instance: Instance, folder: Path, user: str, addresses: Addresses) -> None:
    """Writes a kubeconfig with the credentials inside, so that it also works where the folder is not."""

    def embedded(file: str) -> str:
        return output(["openssl", "base64", "-A", "-in", folder / file])

    context = f"muon-{instance.name}"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": context,
                "cluster": {
                    "server": f"https://{addresses.node}:{API_PORT}",
                    "certificate-authority-data": embedded(f"{CLUSTER_CA}.crt"),
                },
            }
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": embedded(f"{user}.crt"),
                    "client-key-data": embedded(f"{user}.key"),
                },
            }
        ],
        "contexts": [{"name": context, "context": {"cluster": context, "user": user}}],
        "current-context": context,
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(config, indent=2))
