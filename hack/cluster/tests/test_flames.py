"""Flame graphs: what is read of a profile, and what is drawn."""

import unittest

from cluster import flames

PROFILE = """\
   17 \n\t  55aa muon_proxy::forward::send::h0123456789abcdef+0x1f (/muon)
\t  55ab main (/muon)

   18
\t  ffff schedule (<kernel.kallsyms>)
"""


class Flames(unittest.TestCase):
    """A profile as `perf script` prints it."""

    def test_a_sample_is_read_from_its_outermost_frame(self) -> None:
        first, second = flames.samples(PROFILE.splitlines(), {})
        self.assertEqual(first, flames.Sample(17, (("main", "/muon"), ("muon_proxy::forward::send", "/muon"))))
        self.assertEqual((second.pid, second.frames[0][0]), (18, "schedule"))

    def test_functions_are_found_by_their_place_in_the_file(self) -> None:
        names = "0000000000003000 T first\n0000000000003100 t second::h0123456789abcdef\n0000000000009000 D data\n"
        headers = "  LOAD 0x000000 0x0000000000000000 0x0 0x1000 0x1000 R 0x1000\n  LOAD 0x001000 0x0000000000003000 0x0 0x0800 0x0800 R E 0x1000\n"
        symbols = flames.Symbols(names, headers)
        self.assertEqual([symbols.at(place) for place in (0x1000, 0x10FF, 0x1100, 0x5000)], ["first", "first", "second::h0123456789abcdef", "[unknown]"])
        (sample,) = flames.samples(["7", "\t 1104 [unknown] (/muon)"], {"muon": symbols})
        self.assertEqual(sample.frames, (("second", "/muon"),))

    def test_stacks_that_begin_alike_are_one_frame(self) -> None:
        stacks = [flames.Sample(1, (("main", ""), (function, ""))) for function in ("a", "b", "a")]
        root = flames.tree(stacks)
        self.assertEqual((root.samples, root.below["main"].samples), (3, 3))
        self.assertEqual({name: below.samples for name, below in root.below["main"].below.items()}, {"a": 2, "b": 1})

    def test_a_picture_is_bounded(self) -> None:
        stacks = [flames.Sample(1, (("main", ""), (f"function<{number}>", ""))) for number in range(1000)]
        text = flames.svg("many", flames.tree(stacks), largest=20_000)
        self.assertLessEqual(len(text.encode()), 20_000)
        self.assertIn("many: 1000 samples", text)
        self.assertIn("<title>main 100.0 %</title>", text)

    def test_names_are_written_as_text(self) -> None:
        text = flames.svg("one", flames.tree([flames.Sample(1, (("<T as U>::call", ""),))]))
        self.assertIn("&lt;T as U&gt;::call", text)


if __name__ == "__main__":
    unittest.main()
