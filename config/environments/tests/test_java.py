"""The environment java: its builder, and the JVM that loads what that makes."""

import shutil
import unittest

from contract import Contract
from harness import ENVIRONMENTS, Builds, run, write

JAVA = ENVIRONMENTS / "java"
HELLO = """package shop;

public class Hello {
    public static String handle() {
        return "hi";
    }
}
"""


class JavaTools:
    """Runtime and builder, compiled once for a class, as the Containerfiles do it."""

    @classmethod
    def make_tools(cls, folder):
        api, classes = folder / "api", folder / "classes"
        api.mkdir()
        sources = [*sorted((JAVA / "builder/api").rglob("*.java")), *sorted((JAVA / "runtime/src").rglob("*.java"))]
        sources += sorted((JAVA / "builder/src").rglob("*.java"))
        run(["javac", "-Xlint:all", "-Werror", "-d", classes, *sources], JAVA)
        run(["jar", "--create", "--file", api / "muon-function.jar", "-C", classes, "dev/muon/Request.class",
             "-C", classes, "dev/muon/Response.class", "-C", classes, "dev/muon/Response$Body.class",
             "-C", classes, "dev/muon/Handler.class"], folder)  # fmt: skip
        shutil.copy(JAVA / "builder/api/muon-function.pom", api)
        quick = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classes]
        cls.builder = [*quick, "dev.muon.build.Main", api]
        opens = ["--add-opens", "java.base/java.util=ALL-UNNAMED"]
        cls.command = [quick[0], *opens, *quick[1:], "dev.muon.runtime.Main"]


class JavaContract(JavaTools, Contract, unittest.TestCase):
    probe = "java"
    entrypoint = "probe.Probe.handle"
    missing = "probe.Probe.absent"
    lost = "java.lang.IllegalStateException: lost"
    deeper = "probe.Probe.deeper(Probe.java:"

    def test_every_kind_of_entrypoint(self):
        for entrypoint, wanted in (("probe.Probe::exchange", (202, "by hand")), ("probe.Probe$Whole", (200, "whole"))):
            reply = self.serving(entrypoint).request("GET", "/")
            self.assertEqual((reply.status, reply.text), wanted)

    def test_what_cannot_be_loaded_says_why(self):
        wanted = {
            "probe.Probe.wrong": ("EntrypointInvalid", "public java.lang.String probe.Probe.wrong(int) is no handler"),
            "probe.Nothing.handle": ("EntrypointNotFound", "the package has no class probe.Nothing; it has: probe.Meeting, probe.Probe"),
            "probe.Probe$Broken": ("ImportFailed", 'java.lang.NumberFormatException: For input string: "no number"'),
            "": ("EntrypointNotFound", "an entrypoint is needed"),
        }
        runtime = self.runtime()
        for entrypoint, (reason, message) in wanted.items():
            error = self.assert_error(runtime.load(self.package, entrypoint), 500, "runtime", reason)
            self.assertTrue(error["message"].startswith(message), error["message"])
        self.assertIn("probe.Probe$Broken.<clinit>(Probe.java:", str(runtime.log))

    def test_what_cannot_be_sent_is_the_error_of_the_function(self):
        reply = self.serving().request("GET", "/invalid")
        self.assert_error(reply, 500, "function", "ReplyInvalid", "yes")


class JavaBuilds(JavaTools, Builds, unittest.TestCase):
    def test_errors_have_file_and_line(self):
        cases = {
            "shop/Hello.java:5: error: cannot find symbol": {"shop/Hello.java": HELLO.replace('"hi"', "missing")},
            "shop/Hello.java:5: error: ';' expected": {"shop/Hello.java": HELLO.replace('"hi";', '"hi"')},
            "Gradle is not in this builder": {"build.gradle": ""},
            "no pom.xml and no .java file": {"readme.txt": ""},
        }
        for message, files in cases.items():
            with self.subTest(message):
                done, _ = self.build(files)
                self.assertEqual(done.returncode, 1)
                self.assertIn(message, done.stderr)

    def test_a_jar_is_loaded_as_classes_are(self):
        done, target = self.build({"shop/Hello.java": HELLO})
        self.assertEqual(done.returncode, 0, done.stderr)
        jar = self.scratch.path / "hello.jar"
        run(["jar", "--create", "--file", jar, "-C", target / "classes", "."], self.scratch.path)
        self.assertEqual(self.answer(jar, "shop.Hello.handle"), "hi")

    def test_source_that_was_not_built_is_told(self):
        source = write(self.scratch.path / "unbuilt", {"shop/Hello.java": HELLO})
        _, reply = self.load(source, "shop.Hello.handle")
        self.assertIn("build: {}", reply.json()["message"])


if __name__ == "__main__":
    unittest.main()
