"""The configuration files of the cluster's components. JSON wherever YAML is read: it is YAML too."""

import json
from dataclasses import dataclass
from pathlib import Path

from .instance import Addresses, Instance

DOMAIN = "cluster.local"


@dataclass(frozen=True)
class Site:
    """Where a cluster runs: what every configuration file and command line is made from."""

    instance: Instance
    addresses: Addresses
    pki: Path
    pause_image: str

    @property
    def configs(self) -> Path:
        """The folder of the files that this module writes."""
        return self.instance.state / "config"


def registries(instance: Instance) -> Path:
    """A folder for each registry that containerd is to treat in a special way; read anew at every pull."""
    return instance.state / "config" / "registries"


def write(site: Site) -> None:
    """Writes the configuration files that are new or differ."""
    files = {
        "containerd.toml": containerd(site),
        "cni/10-muon.conflist": json.dumps(cni(site), indent=2),
        "kubelet.json": json.dumps(kubelet(site), indent=2),
        "kube-proxy.json": json.dumps(kube_proxy(site), indent=2),
        "audit-policy.json": json.dumps(audit_policy(), indent=2),
        "Corefile": corefile(site),
        "resolv.conf": f"nameserver {site.addresses.dns}\n",
    }
    for name, content in files.items():
        path = site.configs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # kube-proxy watches its file and ends when it is written, even with the same content.
        if not path.exists() or path.read_text() != content:
            path.write_text(content)


def containerd(site: Site) -> str:
    """containerd with everything it would share with another containerd moved below our own folders."""
    runtime, state = site.instance.runtime, site.instance.state
    return f"""version = 2
root = "{state}/containerd"
state = "{runtime}/containerd"

[grpc]
  address = "{site.instance.containerd_socket}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{site.pause_image}"
  # Without CAP_SYS_RESOURCE, as in many virtual machines and containers, runc may not lower a
  # score, and every sandbox would fail.
  restrict_oom_score_adj = true
  # Pods' network namespaces are then pinned below our own folder, not in /run/netns.
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{registries(site.instance)}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{site.configs}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "{runtime}/runc"
"""


def cni(site: Site) -> dict:
    """Pods on one bridge. No masquerading: the machine has a route back to every pod."""
    bridge = {
        "type": "bridge",
        "bridge": "muon0",
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": str(site.addresses.pods)}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": f"{site.instance.runtime}/ipam",
        },
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": site.instance.netns, "plugins": [bridge, ports]}


def kubelet(site: Site) -> dict:
    """The kubelet, confined to its own cgroup and folders so that several can run on one machine."""
    state = site.instance.state
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{site.pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{site.pki}/kubelet.crt",
        "tlsPrivateKeyFile": f"{site.pki}/kubelet.key",
        "address": site.addresses.node,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{site.instance.netns}",
        "containerRuntimeEndpoint": f"unix://{site.instance.containerd_socket}",
        "clusterDNS": [site.addresses.dns],
        "clusterDomain": DOMAIN,
        "resolvConf": f"{site.configs}/resolv.conf",
        "podLogsDir": f"{state}/pod-logs",
        "volumePluginDir": f"{state}/kubelet/volume-plugins",
        "failSwapOn": False,
        "maxPods": 250,
        "serializeImagePulls": False,
        # The disk and the memory are the whole machine's, not this node's: only real want may evict,
        # and images that were imported by hand must never be collected.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "200Mi", "imagefs.available": "200Mi"},
        "imageGCHighThresholdPercent": 100,
    }


def kube_proxy(site: Site) -> dict:
    """kube-proxy in nftables mode; its table is private to the instance's network namespace."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": str(site.addresses.pods),
        "clientConnection": {"kubeconfig": f"{site.pki}/kube-proxy.kubeconfig"},
        "hostnameOverride": site.instance.name,
        "healthzBindAddress": f"{site.addresses.node}:10256",
        "metricsBindAddress": f"{site.addresses.node}:10249",
        # The connection tracking limits belong to the machine's own namespace and are read-only in ours.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def audit_policy() -> dict:
    """Who wrote what: tests count from this the API writes that a cold request costs."""
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            # Questions that components ask the API server in the form of a create.
            {"level": "None", "resources": [{"group": "authentication.k8s.io"}, {"group": "authorization.k8s.io"}]},
            # Heartbeats of the node itself: several a minute, and never what anyone looks for.
            {"level": "None", "userGroups": ["system:nodes"], "resources": [{"group": "coordination.k8s.io"}]},
            {"level": "Metadata", "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
            {"level": "None"},
        ],
    }


def corefile(site: Site) -> str:
    """Cluster names only. Nothing outside can be reached by name, and NXDOMAIN says so without delay."""
    node = site.addresses.node
    return f"""{DOMAIN}:53 in-addr.arpa:53 {{
  bind {node}
  errors
  health {node}:8080
  ready {node}:8181
  prometheus {node}:9153
  kubernetes {DOMAIN} in-addr.arpa {{
    kubeconfig {site.pki}/coredns.kubeconfig
  }}
  cache 5
}}

.:53 {{
  bind {node}
  errors
  template ANY ANY {{
    rcode NXDOMAIN
  }}
}}
"""
