"""The components of the cluster: their command lines, what each waits for, how each says it is ready."""

from dataclasses import asdict, dataclass, field

from .cache import key
from .configs import DOMAIN, Site
from .instance import API_PORT

ETCD_PORT = 2379


@dataclass(frozen=True)
class Component:
    """One process that the supervisor keeps running."""

    name: str
    argv: list[str]
    # Started only once these have been ready.
    after: list[str] = field(default_factory=list)
    # How it shows that it serves: an HTTP(S) address that answers 200, or the path of a socket.
    ready: str = ""
    # Over the command line and the configuration files: when it changes, the process is replaced.
    digest: str = ""

    def as_json(self) -> dict:
        """The form in which the supervisor reads it."""
        return asdict(self)


def components(site: Site) -> list[Component]:
    """All components, in the order in which they start."""
    pki, configs, node = site.pki, site.configs, site.addresses.node
    instance = site.instance
    etcd = f"https://127.0.0.1:{ETCD_PORT}"
    front_proxy = ["--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group"]
    front_proxy += ["--requestheader-extra-headers-prefix=X-Remote-Extra-", "--requestheader-allowed-names=front-proxy-client"]
    described = [
        Component(
            "etcd",
            [
                "etcd",
                f"--data-dir={instance.state}/etcd",
                f"--listen-client-urls={etcd}",
                f"--advertise-client-urls={etcd}",
                f"--trusted-ca-file={pki}/etcd-ca.crt",
                "--client-cert-auth",
                f"--cert-file={pki}/etcd.crt",
                f"--key-file={pki}/etcd.key",
                # One member, no peers: these only must not be the defaults' plain HTTP.
                "--listen-peer-urls=https://127.0.0.1:2380",
                "--initial-advertise-peer-urls=https://127.0.0.1:2380",
                "--initial-cluster=default=https://127.0.0.1:2380",
                f"--peer-trusted-ca-file={pki}/etcd-ca.crt",
                "--peer-client-cert-auth",
                f"--peer-cert-file={pki}/etcd.crt",
                f"--peer-key-file={pki}/etcd.key",
                "--listen-metrics-urls=http://127.0.0.1:2381",
            ],
            ready="http://127.0.0.1:2381/readyz",
        ),
        Component(
            "containerd",
            ["containerd", f"--config={configs}/containerd.toml"],
            ready=str(instance.containerd_socket),
        ),
        Component(
            "kube-apiserver",
            [
                "kube-apiserver",
                f"--etcd-servers={etcd}",
                f"--etcd-cafile={pki}/etcd-ca.crt",
                f"--etcd-certfile={pki}/apiserver-etcd-client.crt",
                f"--etcd-keyfile={pki}/apiserver-etcd-client.key",
                # Not loopback: the `kubernetes` Service leads pods to this very listener.
                "--bind-address=0.0.0.0",
                f"--advertise-address={node}",
                f"--secure-port={API_PORT}",
                f"--tls-cert-file={pki}/apiserver.crt",
                f"--tls-private-key-file={pki}/apiserver.key",
                f"--client-ca-file={pki}/ca.crt",
                f"--kubelet-certificate-authority={pki}/ca.crt",
                f"--kubelet-client-certificate={pki}/apiserver-kubelet-client.crt",
                f"--kubelet-client-key={pki}/apiserver-kubelet-client.key",
                "--kubelet-preferred-address-types=InternalIP",
                f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
                f"--proxy-client-cert-file={pki}/front-proxy-client.crt",
                f"--proxy-client-key-file={pki}/front-proxy-client.key",
                *front_proxy,
                f"--service-cluster-ip-range={site.addresses.services}",
                f"--service-account-issuer=https://kubernetes.default.svc.{DOMAIN}",
                f"--service-account-key-file={pki}/service-account.pub",
                f"--service-account-signing-key-file={pki}/service-account.key",
                "--authorization-mode=Node,RBAC",
                "--enable-admission-plugins=NodeRestriction",
                "--allow-privileged=true",
                f"--audit-policy-file={configs}/audit-policy.json",
                f"--audit-log-path={instance.audit_log}",
                # Large: a test that counts lines must not meet a rotation.
                "--audit-log-maxsize=1000",
                "--audit-log-maxbackup=1",
            ],
            after=["etcd"],
            ready=f"https://{node}:{API_PORT}/readyz",
        ),
        Component(
            "kube-controller-manager",
            [
                "kube-controller-manager",
                *_client(site, "controller-manager"),
                f"--service-account-private-key-file={pki}/service-account.key",
                f"--root-ca-file={pki}/ca.crt",
                "--use-service-account-credentials=true",
                f"--cluster-signing-cert-file={pki}/ca.crt",
                f"--cluster-signing-key-file={pki}/ca.key",
            ],
            after=["kube-apiserver"],
            ready=f"https://{node}:10257/healthz",
        ),
        Component(
            "kube-scheduler",
            ["kube-scheduler", *_client(site, "scheduler")],
            after=["kube-apiserver"],
            ready=f"https://{node}:10259/healthz",
        ),
        Component(
            "kubelet",
            [
                "kubelet",
                f"--config={configs}/kubelet.json",
                f"--kubeconfig={pki}/kubelet.kubeconfig",
                f"--root-dir={instance.state}/kubelet",
                f"--cert-dir={instance.state}/kubelet/pki",
                f"--hostname-override={instance.name}",
                f"--node-ip={node}",
            ],
            after=["kube-apiserver", "containerd"],
            ready="http://127.0.0.1:10248/healthz",
        ),
        Component(
            "kube-proxy",
            ["kube-proxy", f"--config={configs}/kube-proxy.json"],
            after=["kube-apiserver"],
            ready=f"http://{node}:10256/healthz",
        ),
        Component(
            "coredns",
            ["coredns", f"-conf={configs}/Corefile"],
            after=["kube-apiserver"],
            ready=f"http://{node}:8181/ready",
        ),
    ]
    return [_finished(site, component) for component in described]


def _client(site: Site, user: str) -> list[str]:
    """What controller-manager and scheduler have in common: whom they are and where they show metrics."""
    kubeconfig = f"{site.pki}/{user}.kubeconfig"
    return [
        f"--kubeconfig={kubeconfig}",
        # Metrics are shown to whom the API server says may see them.
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--bind-address={site.addresses.node}",
        f"--tls-cert-file={site.pki}/{user}.crt",
        f"--tls-private-key-file={site.pki}/{user}.key",
        # One of each: an election could only make a restart slower.
        "--leader-elect=false",
    ]


def _finished(site: Site, component: Component) -> Component:
    """Puts in the program's real path and the digest."""
    program = site.instance.bin / component.argv[0]
    argv = [str(program), *component.argv[1:]]
    mentioned = [path for path in sorted(site.configs.rglob("*")) if any(str(path) in word for word in argv)]
    if component.name == "containerd":
        mentioned += sorted((site.configs / "cni").iterdir())
    digest = key([*argv, str(program.resolve()), (site.pki / "made-for").read_text(), *(path for path in mentioned if path.is_file())])
    return Component(component.name, argv, component.after, component.ready, digest)
