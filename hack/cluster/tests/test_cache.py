import tempfile
import unittest
from pathlib import Path
from unittest import mock

from cluster import cache


class CacheTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.enterContext(mock.patch.dict("os.environ", {"MUON_CACHE": str(self.root)}))
        self.made = 0

    def make(self, place: Path) -> None:
        self.made += 1
        (place / "egg").write_text("egg")

    def test_a_product_is_made_once_for_a_key(self) -> None:
        first = cache.product("crane", "k1", self.make)
        self.assertEqual((first / "egg").read_text(), "egg")
        self.assertEqual(cache.product("crane", "k1", self.make), first)
        cache.product("crane", "k2", self.make)
        self.assertEqual(self.made, 2)

    def test_a_broken_build_leaves_no_product(self) -> None:
        def fails(place: Path) -> None:
            (place / "half").write_text("half")
            raise RuntimeError

        with self.assertRaises(RuntimeError):
            cache.product("crane", "k1", fails)
        place = cache.product("crane", "k1", self.make)
        self.assertEqual([file.name for file in place.iterdir()], ["egg"])

    def test_the_key_knows_where_one_part_ends(self) -> None:
        self.assertNotEqual(cache.key(["ab", "c"]), cache.key(["a", "bc"]))

    def test_the_key_follows_a_file_s_content_and_name(self) -> None:
        one, other = self.root / "one", self.root / "other"
        one.write_text("same")
        other.write_text("same")
        keys = {cache.key([one]), cache.key([other])}
        one.write_text("new")
        keys.add(cache.key([one]))
        self.assertEqual(len(keys), 3)
