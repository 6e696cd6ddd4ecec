"""Images are keyed by content: what is unchanged is found without any tool, and what changed is built once."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cluster import environments, images  # noqa: E402
from cluster.failure import Failure  # noqa: E402
from cluster.imagebuild import Buildah, Order, stage  # noqa: E402


class RecordingBuilder:
    """Writes an empty archive and remembers the order."""

    def __init__(self):
        self.orders = []

    def build(self, order):
        self.orders.append(order)
        order.archive.write_bytes(b"")


def silent(_line):
    pass


class ImagesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="muon-images-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.cache = self.folder / "cache"
        self.builder = RecordingBuilder()
        self.binaries = {}
        for name in ("muon", "muon-agent", "traefik"):
            self.binaries[name] = self.folder / name
            self.binaries[name].write_text(f"the program {name}")

    def build(self, *names):
        return images.build(self.cache, self.binaries, silent, names or images.NAMES, self.builder)

    def built(self):
        """What was built since this was last asked."""
        references = [order.reference for order in self.builder.orders]
        self.builder.orders.clear()
        return [reference.removeprefix("docker.io/").rpartition(":")[0] for reference in references]


class Keys(ImagesTest):
    def test_every_image_is_built_once_and_found_afterwards(self):
        first = self.build()
        self.assertEqual(sorted(self.built()), sorted(images.NAMES))
        self.assertEqual(self.build(), first)
        self.assertEqual(self.built(), [])
        for name, image in first.items():
            self.assertRegex(image.reference, rf"^docker\.io/{name}:[0-9a-f]{{16}}$")
            self.assertTrue(image.archive.is_file())

    def test_a_changed_program_changes_its_image_alone(self):
        before = self.build()
        self.built()
        self.binaries["muon"].write_text("another program")
        after = self.build()
        self.assertEqual(self.built(), ["muon/muon"])
        self.assertNotEqual(before["muon/muon"].reference, after["muon/muon"].reference)

    def test_a_touched_program_with_the_same_content_changes_nothing(self):
        self.build()
        self.built()
        os.utime(self.binaries["traefik"], ns=(1, 1))
        self.build()
        self.assertEqual(self.built(), [])

    def test_the_key_does_not_depend_on_where_the_program_lies(self):
        before = self.build("muon/agent")
        self.binaries["muon-agent"] = shutil.copy(self.binaries["muon-agent"], self.folder / "elsewhere")
        self.binaries["muon-agent"] = Path(self.binaries["muon-agent"])
        self.assertEqual(self.build("muon/agent"), before)

    def test_a_part_of_the_images_needs_only_its_own_programs(self):
        self.binaries.clear()
        self.assertEqual(list(self.build("muon/python", "local/pause")), ["muon/python", "local/pause"])
        with self.assertRaisesRegex(Failure, "needs the program traefik"):
            self.build("local/traefik")
        with self.assertRaisesRegex(Failure, "there is no image"):
            self.build("muon/cobol")

    def test_old_archives_go_and_the_latest_stay(self):
        last = None
        for number in range(images.KEPT_ARCHIVES + 3):
            self.binaries["muon"].write_text(f"version {number}")
            os.utime(self.binaries["muon"], ns=(number, number))
            last = self.build("muon/muon", "muon/agent")
            os.utime(last["muon/muon"].archive, ns=(number, number))
        self.assertEqual(len(list((self.cache / "images").glob("muon-muon-*.tar"))), images.KEPT_ARCHIVES)
        self.assertTrue(last["muon/muon"].archive.exists())
        self.assertTrue(last["muon/agent"].archive.exists())


class Inputs(ImagesTest):
    def recipe(self, containerfile, **files):
        folder = self.folder / "recipe"
        folder.mkdir(exist_ok=True)
        (folder / "Containerfile").write_text(containerfile)
        for name, text in files.items():
            path = folder / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return images.Recipe("test/recipe", folder)

    def test_the_sources_of_copies_are_the_inputs(self):
        text = "# COPY no /\nFROM a AS b\nCOPY one two/three \\\n  /x/\nCOPY --chown=1 'four five' /y\nCOPY --from=b six /z\nRUN COPY\n"
        self.assertEqual(images.copied(text), ["one", "two/three", "four five"])

    def test_folders_are_taken_whole_without_what_python_leaves_there(self):
        recipe = self.recipe("FROM a\nCOPY lib /lib\n", lib__a="1", lib__sub__b="2", other="3")
        cached = recipe.folder / "lib" / "__pycache__"
        cached.mkdir()
        (cached / "a.pyc").write_text("")
        self.assertEqual(sorted(images.inputs(recipe, {})), ["lib/a", "lib/sub/b"])

    def test_a_copy_of_nothing_is_told(self):
        with self.assertRaisesRegex(Failure, "copies missing"):
            images.inputs(self.recipe("COPY missing /\n"), {})

    def test_file_names_contents_and_the_containerfile_decide_the_tag(self):
        digests = images.FileDigests(self.folder / "digests.json")

        def tag(containerfile="FROM a\nCOPY lib /lib\n", **files):
            shutil.rmtree(self.folder / "recipe", ignore_errors=True)
            recipe = self.recipe(containerfile, **files)
            return images.content_tag(recipe, images.inputs(recipe, {}), digests)

        tags = [
            tag(lib__a="1"),
            tag(lib__a="2"),
            tag(lib__b="1"),
            tag("FROM a\nCOPY lib /usr/lib\n", lib__a="1"),
            tag("FROM debian:bookworm-slim\nCOPY lib /lib\n", lib__a="1"),
        ]
        self.assertEqual(len(set(tags)), len(tags))
        self.assertEqual(tag(lib__a="1"), tags[0])

    def test_a_staged_context_has_the_same_modes_under_any_umask(self):
        before = os.umask(0o077)
        self.addCleanup(os.umask, before)
        recipe = self.recipe("COPY lib /lib\n", lib__sub__a="1")
        context = self.folder / "context"
        context.mkdir()
        files = {**images.inputs(recipe, {}), "muon": self.binaries["muon"]}
        stage(Order(recipe.containerfile, files, "r:1", self.folder / "r.tar", binary="muon"), context)
        modes = {str(path.relative_to(context)): path.stat().st_mode & 0o777 for path in context.rglob("*")}
        self.assertEqual(modes, {"lib": 0o755, "lib/sub": 0o755, "lib/sub/a": 0o644, "muon": 0o755})


class ProjectFiles(unittest.TestCase):
    def test_every_recipe_has_its_containerfile_and_runs_as_nobody(self):
        for recipe in images.RECIPES + images.ENVIRONMENT_RECIPES:
            lines = recipe.containerfile.read_text().splitlines()
            users = [line.split()[1] for line in lines if line.startswith("USER ")]
            self.assertEqual(len(users), 1, recipe.name)
            self.assertGreater(int(users[0].partition(":")[0]), 60000, recipe.name)
            # A builder's command is the Environment's.
            if not recipe.name.endswith("-builder"):
                self.assertTrue(any(line.startswith("ENTRYPOINT [") for line in lines), recipe.name)

    def test_every_containerfile_has_its_recipe(self):
        folders = [images.IMAGES, environments.FOLDER]
        found = {path.parent for folder in folders for path in folder.rglob("Containerfile")}
        self.assertEqual(found, {recipe.folder for recipe in images.RECIPES + images.ENVIRONMENT_RECIPES})


@unittest.skipUnless(shutil.which("buildah") and shutil.which("gcc") and os.geteuid() == 0, "needs root, buildah and gcc")
class RealBuild(unittest.TestCase):
    def test_the_pause_image_from_its_source_to_its_archive(self):
        with tempfile.TemporaryDirectory(prefix="muon-images-") as folder:
            cache = Path(folder)
            built = images.build(cache, {}, silent, ["local/pause"], Buildah(cache, silent))["local/pause"]
            with tarfile.open(built.archive) as archive:
                (manifest,) = json.load(archive.extractfile("manifest.json"))
                self.assertEqual(manifest["RepoTags"], [built.reference])
                layers = [name for name in archive.getnames() if name.endswith(".tar")]
                files = [name for layer in layers for name in tarfile.open(fileobj=archive.extractfile(layer)).getnames()]
            self.assertEqual(set(files), {"pause"})  # older readers find each layer a second time
            mounts = subprocess.run(["cat", "/proc/mounts"], capture_output=True, text=True).stdout
            self.assertNotIn(folder, mounts)


if __name__ == "__main__":
    unittest.main()
