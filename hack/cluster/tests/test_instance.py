import tempfile
import unittest
from ipaddress import IPv4Network
from itertools import combinations
from pathlib import Path
from unittest import mock

from cluster import instance
from cluster.failure import Failure
from cluster.instance import SLOTS, Addresses, Instance, choose_slot

BENCHMARK_RANGE = IPv4Network("198.18.0.0/15")


class AddressesTest(unittest.TestCase):
    def test_all_slots_stay_inside_the_benchmark_range_and_apart(self) -> None:
        networks = [net for slot in range(SLOTS) for net in _networks(Addresses(slot))]
        for network in networks:
            self.assertTrue(network.subnet_of(BENCHMARK_RANGE), network)
        for one, other in combinations(networks, 2):
            self.assertFalse(one.overlaps(other), f"{one} and {other}")

    def test_node_and_host_are_the_two_ends_of_one_cable(self) -> None:
        addresses = Addresses(3)
        self.assertEqual((addresses.host, addresses.node), ("198.18.255.13", "198.18.255.14"))

    def test_service_addresses_are_services(self) -> None:
        addresses = Addresses(2)
        self.assertEqual((addresses.api_service, addresses.dns), ("198.19.16.1", "198.19.16.10"))


class SlotTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.enterContext(mock.patch.object(instance, "RUNTIME_ROOT", self.root / "run"))
        self.enterContext(mock.patch.object(instance, "_routed_elsewhere", lambda addresses: False))
        self.enterContext(mock.patch.dict("os.environ", {"MUON_STATE": str(self.root / "state")}))

    def test_the_lowest_free_usable_slot_is_chosen(self) -> None:
        self.assertEqual(choose_slot({0, 2}), 1)
        self.assertEqual(choose_slot({0, 2}, lambda addresses: addresses.slot < 4), 4)

    def test_no_slot_left_is_said_plainly(self) -> None:
        with self.assertRaisesRegex(Failure, "all 16 cluster slots"):
            choose_slot(set(range(SLOTS)))

    def test_an_instance_keeps_its_slot_until_it_gives_it_back(self) -> None:
        crane, heron = Instance("up", Path("/crane")), Instance("up", Path("/heron"))
        self.assertEqual([crane.take_slot().slot, heron.take_slot().slot, crane.take_slot().slot], [0, 1, 0])
        crane.release_slot(when_last=self.fail)
        self.assertIsNone(crane.slot())
        ended = mock.Mock()
        heron.release_slot(when_last=ended)
        ended.assert_called_once_with()

    def test_who_comes_first_is_told(self) -> None:
        began = mock.Mock()
        Instance("up", Path("/crane")).take_slot(when_first=began)
        Instance("up", Path("/heron")).take_slot(when_first=self.fail)
        began.assert_called_once_with()

    def test_a_state_folder_draws_its_instance_back_to_its_slot(self) -> None:
        crane, heron = Instance("up", Path("/crane")), Instance("up", Path("/heron"))
        crane.state.mkdir(parents=True)
        (crane.state / "slot").write_text("5")
        self.assertEqual(crane.take_slot().slot, 5)
        crane.release_slot()
        heron.state.mkdir(parents=True)
        (heron.state / "slot").write_text("5")
        heron.take_slot()
        self.assertEqual(crane.take_slot().slot, 0)

    def test_an_instance_without_a_slot_has_no_addresses(self) -> None:
        with self.assertRaisesRegex(Failure, "run hack/up"):
            Instance("up", Path("/crane")).addresses()

    def test_an_instance_whose_clone_is_gone_is_an_orphan_unless_in_use(self) -> None:
        lost, kept = Instance("up", self.root / "lost"), Instance("up", self.root)
        lost.take_slot()
        kept.take_slot()
        self.assertEqual(instance.orphans(), [lost])
        with lost.lock():
            self.assertEqual(instance.orphans(), [])

    def test_a_removed_lock_guards_nothing_and_is_made_anew(self) -> None:
        crane = Instance("up", Path("/crane"))
        with crane.lock():
            crane.remove_lock()
        with crane.lock():
            self.assertTrue((self.root / "run" / f"{crane.name}.lock").exists())


class NameTest(unittest.TestCase):
    def test_clones_and_kinds_have_different_names(self) -> None:
        names = {Instance(kind, Path(clone)).name for kind in ("up", "test") for clone in ("/crane", "/heron")}
        self.assertEqual(len(names), 4)

    def test_bad_kinds_are_refused(self) -> None:
        for kind in ("", "Up", "../up", "muchtoolong"):
            with self.assertRaises(Failure):
                Instance(kind)


def _networks(addresses: Addresses) -> list[IPv4Network]:
    return [addresses.pods, addresses.services, addresses.link]
