"""The instance's network namespace and its cable to the machine.

kube-proxy's nftables table has a fixed name, so two nodes can share a machine only in two network
namespaces. That also keeps bridge, rules, sysctls and ports of the cluster away from the machine's
own, and makes the teardown one deletion.
"""

from .instance import Addresses, Instance
from .shell import output, succeeds

SYSCTLS = {
    # The node routes between pods and the cable.
    "net.ipv4.ip_forward": "1",
    # A pod that calls itself through its Service is bridged, and the rules must still see it.
    "net.bridge.bridge-nf-call-iptables": "1",
    "net.ipv4.conf.all.rp_filter": "0",
}


def inside(instance: Instance) -> list[str]:
    """The words before a command that make it run in the instance's network.

    Not `ip netns exec`: that mounts a new /sys for the command, which hides the cgroups.
    """
    return ["nsenter", f"--net={instance.netns_path}", "--"]


def host_end(addresses: Addresses) -> str:
    """The name of the cable's end on the machine."""
    return f"muon-veth{addresses.slot}"


def exists(instance: Instance) -> bool:
    """Whether the network namespace is there and usable: after a reboot only its empty file is left."""
    return instance.netns_path.exists() and succeeds([*inside(instance), "true"])


def create(instance: Instance, addresses: Addresses) -> None:
    """Makes the namespace, the cable and the routes; does nothing to what is there already."""
    if not exists(instance):
        destroy(instance, addresses)
        output(["ip", "netns", "add", instance.netns])
    device = host_end(addresses)
    within = inside(instance)
    if not succeeds([*within, "ip", "link", "show", "eth0"]) or not succeeds(["ip", "link", "show", device]):
        # A leftover of another life of this slot would have the other end elsewhere.
        succeeds(["ip", "link", "delete", device])
        output(["ip", "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", instance.netns])
    prefix = addresses.link.prefixlen
    output([*within, "ip", "link", "set", "lo", "up"])
    output([*within, "ip", "address", "replace", f"{addresses.node}/{prefix}", "dev", "eth0"])
    output([*within, "ip", "link", "set", "eth0", "up"])
    for name, value in SYSCTLS.items():
        output([*within, "sysctl", "-q", "-w", f"{name}={value}"])
    output(["ip", "address", "replace", f"{addresses.host}/{prefix}", "dev", device])
    output(["ip", "link", "set", device, "up"])
    # Pods and Services straight from the machine: tests, benchmarks and a person's curl use them.
    for network in (addresses.pods, addresses.services):
        output(["ip", "route", "replace", str(network), "via", addresses.node, "dev", device])


def destroy(instance: Instance, addresses: Addresses) -> None:
    """Removes cable, routes and namespace; with the namespace go its bridge and rules."""
    succeeds(["ip", "link", "delete", host_end(addresses)])
    if instance.netns_path.exists():
        output(["ip", "netns", "delete", instance.netns])
