"""The environment csharp: its builder, and the Mono that loads what that makes."""

import http.server
import io
import shutil
import threading
import unittest
import zipfile

from contract import Contract
from harness import ENVIRONMENTS, Builds, build, run, write

CSHARP = ENVIRONMENTS / "csharp"
HANDLE = "Shop.Hello.Handle"
HELLO = """namespace Shop
{
    public static class Hello
    {
        public static string Handle() { return "hi"; }
    }
}
"""
WORDS = """namespace Words
{
    public static class Word
    {
        public static string Hi = "hi from a package";
    }
}
"""


class CSharpTools:
    """Runtime and builder, compiled once for a class, as the Containerfiles do it."""

    @classmethod
    def make_tools(cls, folder):
        api, cls.packages = folder / "api", folder / "packages"
        api.mkdir()
        cls.packages.mkdir()
        strict = ["mcs", "-warnaserror", "-warn:4", "-debug"]
        run([*strict, "-target:library", f"-out:{api}/muon.dll", *sorted((CSHARP / "builder/api").glob("*.cs"))], CSHARP)
        sources = sorted((CSHARP / "runtime/src").glob("*.cs"))
        run([*strict, f"-r:{api}/muon.dll", "-r:Mono.Posix.dll", f"-out:{api}/muon-runtime.exe", *sources], CSHARP)
        run([*strict, "-r:System.Xml.dll", f"-out:{folder}/build.exe", *sorted((CSHARP / "builder/src").glob("*.cs"))], CSHARP)
        cls.builder = ["mono", folder / "build.exe", api, cls.packages]
        cls.command = ["mono", "--debug", api / "muon-runtime.exe"]


class CSharpContract(CSharpTools, Contract, unittest.TestCase):
    probe = "csharp"
    entrypoint = "Probe.Probe.Handle"
    missing = "Probe.Probe.Absent"
    lost = "System.InvalidOperationException: lost"
    deeper = "Probe.cs:"

    def test_every_kind_of_entrypoint(self):
        for entrypoint, wanted in (("Probe.Whole", (200, "whole")), ("Probe.Probe::Later", (200, "later")), ("Probe.Probe.Nothing", (204, ""))):
            reply = self.serving(entrypoint).request("GET", "/")
            self.assertEqual((reply.status, reply.text), wanted)

    def test_what_a_task_logs_carries_the_request(self):
        runtime = self.serving("Probe.Probe.Later")
        runtime.request("GET", "/", headers={"x-request-id": "r-5"})
        record = runtime.wait_for_log(lambda r: r.get("message") == "after a while")
        self.assertEqual((record["requestId"], record["level"]), ("r-5", "INFO"))

    def test_what_cannot_be_loaded_says_why(self):
        wanted = {
            "Probe.Probe.Wrong": ("EntrypointInvalid", "Probe.Probe.Wrong is no handler"),
            "Probe.Nothing.Handle": ("EntrypointNotFound", "the package has no class Probe.Nothing; it has: Probe.Broken, Probe.Probe, Probe.Whole"),
            "Probe.Broken": ("ImportFailed", "System.FormatException: "),
            "": ("EntrypointNotFound", "an entrypoint is needed"),
        }
        runtime = self.runtime()
        for entrypoint, (reason, message) in wanted.items():
            error = self.assert_error(runtime.load(self.package, entrypoint), 500, "runtime", reason)
            self.assertTrue(error["message"].startswith(message), error["message"])
        self.assertIn("Probe.cs:", str(runtime.log))

    def test_what_cannot_be_sent_is_the_error_of_the_function(self):
        reply = self.serving().request("GET", "/invalid")
        self.assert_error(reply, 500, "function", "ReplyInvalid", "yes")

    def test_a_connection_serves_one_request_after_the_other(self):
        connection = self.serving().connect()
        for body in ("", "x" * 1000, ""):
            connection.request("POST", "/hello", body)
            self.assertEqual(connection.getresponse().read(), b"hello\n")
            if body:  # what was not read cannot be told from a next request
                connection.close()
        connection.close()

    def test_where_a_body_ends_is_no_matter_of_opinion(self):
        runtime = self.serving()
        for headers in ({"Content-Length": "3", "Transfer-Encoding": "chunked"}, {"Content-Length": "-1"}, {"Transfer-Encoding": "gzip"}):
            self.assertEqual(runtime.request("POST", "/hello", None, headers).status, 400)


class CSharpBuilds(CSharpTools, Builds, unittest.TestCase):
    def library(self):
        """An assembly called Words.dll."""
        folder = write(self.scratch.path / "words", {"Words.cs": WORDS})
        run(["mcs", "-target:library", "-out:Words.dll", "Words.cs"], folder)
        return folder / "Words.dll"

    def test_errors_have_file_and_line(self):
        needing = '<packages><package id="Words" version="1.2.3" /></packages>'
        cases = {
            "shop/Hello.cs(5,48): error CS0103: ": {"shop/Hello.cs": HELLO.replace('"hi"', "missing")},
            "shop/Hello.cs(5,52): error CS1525: ": {"shop/Hello.cs": HELLO.replace('"hi";', '"hi"')},
            "the source has no .cs file": {"readme.txt": ""},
            "shop.csproj: MSBuild is not in this builder": {"Hello.cs": HELLO, "shop.csproj": "<PackageReference/>"},
            "packages.config: Words 1.2.3 is not in this builder, and no NUGET_PACKAGES_URL": {"Hello.cs": HELLO, "packages.config": needing},
            "packages.config(1,": {"Hello.cs": HELLO, "packages.config": "<packages"},
            "a package has an id and an exact version": {"Hello.cs": HELLO, "packages.config": needing.replace("1.2.3", "../1")},
        }
        for message, files in cases.items():
            with self.subTest(message):
                done, target = self.build(files)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn(message, done.stderr)
                self.assertFalse((target / "function.dll").exists())

    def test_a_library_of_the_source_and_other_files(self):
        source = {"Hello.cs": HELLO.replace('"hi"', 'Words.Word.Hi + System.IO.File.ReadAllText("data.txt")'), "data.txt": "!"}
        folder = write(self.scratch.path / "with-library", source)
        (folder / "libraries").mkdir(exist_ok=True)
        shutil.copy(self.library(), folder / "libraries")
        target = self.scratch.path / "with-library-deploy"
        done = build(self.builder, folder, target)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sorted(path.name for path in target.iterdir()), ["data.txt", "function.dll", "function.dll.mdb", "lib"])
        self.assertEqual(self.answer(target, HANDLE), "hi from a package!")

    def test_packages_come_from_the_image_or_from_where_the_registries_say(self):
        files = {
            "Hello.cs": HELLO.replace('"hi"', "Words.Word.Hi"),
            "packages.config": '<packages><package id="Words" version="1.2.3" targetFramework="net45" /></packages>',
        }
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as packed:
            packed.write(self.library(), "lib/net45/Words.dll")
            packed.writestr("lib/netstandard2.0/Words.dll", "for others")
        asked = []

        class Registry(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(archive.getvalue())

            def log_message(self, *_):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            done, target = self.build(files, NUGET_PACKAGES_URL=f"http://127.0.0.1:{server.server_port}/flat")
            server.shutdown()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(asked, ["/flat/words/1.2.3/words.1.2.3.nupkg"])
        self.assertEqual(self.answer(target, HANDLE), "hi from a package")
        brought = self.packages / "words/1.2.3"
        brought.mkdir(parents=True)
        shutil.copy(self.library(), brought)
        done, target = self.build(files)
        self.assertEqual((done.returncode, self.answer(target, HANDLE)), (0, "hi from a package"), done.stderr)

    def test_source_that_was_not_built_is_told(self):
        source = write(self.scratch.path / "unbuilt", {"Hello.cs": HELLO})
        _, reply = self.load(source, HANDLE)
        self.assertIn("build: {}", reply.json()["message"])


if __name__ == "__main__":
    unittest.main()
