import unittest
from pathlib import Path

from cluster import configs, pki
from cluster.configs import Site
from cluster.installation import overlay_of
from cluster.instance import Addresses, Instance
from cluster.mounts import parse


class ConfigurationTest(unittest.TestCase):
    def setUp(self) -> None:
        self.site = Site(Instance("up", Path("/crane")), Addresses(1), Path("/pki"), "docker.io/local/pause:1")

    def test_nothing_of_containerd_lies_where_another_containerd_s_would(self) -> None:
        text = configs.containerd(self.site)
        for line in text.splitlines():
            name, _, value = line.strip().partition(" = ")
            if name in ("root", "state", "address", "Root", "conf_dir"):
                self.assertIn(self.site.instance.name, value, line)

    def test_the_audit_policy_keeps_writes_and_drops_reads(self) -> None:
        rules = configs.audit_policy()["rules"]
        self.assertEqual(rules[-1], {"level": "None"})
        self.assertEqual([rule["level"] for rule in rules].count("Metadata"), 1)

    def test_pods_and_services_are_the_slot_s(self) -> None:
        self.assertEqual(configs.cni(self.site)["plugins"][0]["ipam"]["ranges"], [[{"subnet": "198.18.8.0/21"}]])
        self.assertEqual(configs.kubelet(self.site)["clusterDNS"], ["198.19.8.10"])


class CertificateTest(unittest.TestCase):
    def test_every_component_has_one_of_its_own(self) -> None:
        made = pki.certificates("crane", Addresses(0))
        self.assertEqual(len({each.file for each in made}), len(made))
        users = {each.subject for each in made if each.authority == pki.CLUSTER_CA}
        self.assertIn("/O=system:nodes/CN=system:node:crane", users)
        self.assertIn("/CN=system:kube-scheduler", users)

    def test_only_servers_may_serve(self) -> None:
        for each in pki.certificates("crane", Addresses(0)):
            self.assertEqual("serverAuth" in each.extensions, bool(each.hosts), each.file)

    def test_names_and_addresses_are_told_apart(self) -> None:
        apiserver = next(each for each in pki.certificates("crane", Addresses(0)) if each.file == "apiserver")
        self.assertIn("DNS:kubernetes.default.svc,", apiserver.extensions)
        self.assertIn("IP:198.19.0.1", apiserver.extensions)


class OverlayTest(unittest.TestCase):
    def test_a_registry_s_port_is_not_taken_for_the_tag(self) -> None:
        overlay = overlay_of(["../base"], {"muon/muon": "registry.example:5000/crane/muon:abc"}, None)
        self.assertEqual(
            overlay["images"], [{"name": "muon/muon", "newName": "registry.example:5000/crane/muon", "newTag": "abc"}]
        )
        self.assertNotIn("namespace", overlay)


class MountTest(unittest.TestCase):
    def test_a_line_of_mountinfo(self) -> None:
        line = "36 35 98:0 /root /mnt\\040two rw,noatime shared:1 master:2 - cgroup cgroup rw,pids"
        mount = parse(line)
        self.assertEqual((mount.path, mount.kind, mount.options), (Path("/mnt two"), "cgroup", ("rw", "pids")))
