import tempfile
import unittest
from pathlib import Path

from cluster import environments
from cluster.failure import Failure


class ChoiceTest(unittest.TestCase):
    def test_those_of_the_default_come_first(self) -> None:
        self.assertEqual(environments.known()[: len(environments.DEFAULT)], environments.DEFAULT)

    def test_a_choice_is_a_list_or_all(self) -> None:
        self.assertEqual(environments.parse(" node,python,node"), ("node", "python"))
        self.assertEqual(environments.parse("all"), environments.known())

    def test_what_is_unknown_is_refused_by_name(self) -> None:
        with self.assertRaisesRegex(Failure, "cobol.*python"):
            environments.parse("python,cobol")
        with self.assertRaisesRegex(Failure, "is named"):
            environments.parse(",")

    def test_every_environment_has_an_image_its_manifest_and_a_sample(self) -> None:
        for name in environments.known():
            folder = environments.FOLDER / name
            text = (folder / "environment.yaml").read_text()
            for image in environments.image_folders([name]):
                self.assertIn(f"image: {image}:", text)
            self.assertTrue((folder / "kustomization.yaml").exists(), name)
            self.assertTrue((environments.CLONE / "samples" / f"hello-{name}").is_dir(), name)

    def test_every_runtime_is_tested_and_builders_where_something_builds(self) -> None:
        images = environments.tested_images()
        for name in environments.tested():
            self.assertIn(f"muon/{name}", images)
        for name in environments.BY_HAND:
            self.assertNotIn(f"muon/{name}", images)
        self.assertIn("muon/go-builder", images)
        self.assertNotIn("muon/php-builder", images)

    def test_others_are_tested_with_their_builders_when_asked_for(self) -> None:
        asked = set(environments.tested_images(["java", "php"])) - set(environments.tested_images())
        self.assertEqual(asked, {"muon/java", "muon/java-builder", "muon/php-builder"})

    def test_the_command_of_a_builder_is_read(self) -> None:
        self.assertEqual(environments.builder_command("go"), ["/usr/local/bin/build"])
        self.assertEqual(environments.builder_command("binary"), [])

    def test_a_sample_comes_with_the_environments_that_it_needs(self) -> None:
        with tempfile.TemporaryDirectory() as text:
            folder = Path(text)
            for name, needed in (("one", ["php"]), ("two", ["php", "python"]), (environments.BROKEN, ["php"])):
                (folder / name).mkdir()
                for number, environment in enumerate(needed):
                    (folder / name / f"{number}.yaml").write_text(f"spec:\n  environment: {environment}\n")
            found = [[path.name for path in environments.samples_for(chosen, folder)] for chosen in (["php"], ["python", "php"])]
        self.assertEqual(found, [["one"], ["one", "two"]])


if __name__ == "__main__":
    unittest.main()
