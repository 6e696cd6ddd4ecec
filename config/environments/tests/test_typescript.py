"""TypeScript on Node.js: the builder compiles it, and the runtime of JavaScript runs it."""

import json
import unittest

from contract import Contract
from harness import ENVIRONMENTS, Builds

HELLO = "export const handler = (request: { path: string }) => `hi ${request.path}`\n"


class TypeScriptTools:
    """Nothing is to be compiled before the tests."""

    builder = ["node", ENVIRONMENTS / "node/builder/main.js"]
    command = ["node", ENVIRONMENTS / "node/runtime/main.js"]

    @classmethod
    def make_tools(cls, _folder):
        pass


class TypeScriptContract(TypeScriptTools, Contract, unittest.TestCase):
    probe = "typescript"
    entrypoint = "index.handler"
    missing = "index.absent"
    lost = "lost"
    deeper = "at deeper"

    def assert_error(self, reply, status, component, reason, executed="no"):
        if reason == "EntrypointNotFound":
            self.assertIn("it exports: handler", reply.json()["message"])
            return {"message": self.entrypoint}
        return super().assert_error(reply, status, component, reason, executed)

    def test_only_what_runs_is_left(self):
        left = sorted(str(path.relative_to(self.package)) for path in self.package.rglob("*") if path.is_file())
        self.assertEqual(left, ["data.txt", "index.js", "lib/meeting.js", "package.json"])


class NodeBuilds(TypeScriptTools, Builds, unittest.TestCase):
    def answer(self, package, entrypoint="index.handler"):
        return super().answer(package, entrypoint)

    def test_one_file_needs_nothing_else(self):
        done, target = self.build({"index.ts": HELLO})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.answer(target), "hi /")

    def test_errors_have_file_and_line(self):
        cases = {
            "lib/words.ts(2,7): error TS2322": {"index.ts": HELLO, "lib/words.ts": "\nconst count: number = 'one'\n"},
            "index.ts(1,23): error TS1005": {"index.ts": "export const handler  () => 1\n"},
            "error TS2307: Cannot find module 'nothing'": {"index.ts": "import 'nothing'\nimport n from 'nothing'\n" + HELLO + "n()\n"},
            "index.ts(2,42): error TS2339": {"index.ts": "import type { Handler } from 'muon'\nexport const handler: Handler = (r) => r.nothing\n"},
            "package.json: it wants left, and there is no package-lock.json": {"package.json": '{"dependencies": {"left": "1"}}'},
            "package.json: ": {"package.json": "{"},
        }
        for message, files in cases.items():
            with self.subTest(message):
                done, target = self.build(files)
                self.assertEqual(done.returncode, 1)
                self.assertIn(message, done.stderr)
                self.assertFalse(target.exists())

    def test_settings_and_script_of_its_own(self):
        settings = {"compilerOptions": {"outDir": "out", "module": "commonjs", "target": "es2022", "strict": True}, "include": ["src"]}
        files = {"tsconfig.json": json.dumps(settings), "src/index.ts": HELLO}
        done, target = self.build(files)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.answer(target, "out/index.handler"), "hi /")
        made = {"scripts": {"build": "tsc && cp out/index.js web.js"}}
        done, target = self.build({**files, "package.json": json.dumps(made)})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.answer(target, "web.handler"), "hi /")

    def test_dependencies_are_those_of_the_lock_file_without_those_for_development(self):
        words = {"name": "words", "version": "1.0.0", "main": "index.js"}
        tool = {"name": "tool", "version": "1.0.0"}
        wanted = {"dependencies": {"words": "file:words"}, "devDependencies": {"tool": "file:tool"}}
        packages = {
            "": {"name": "shop", "version": "1.0.0", **wanted},
            "words": {"version": "1.0.0"},
            "tool": {"version": "1.0.0", "dev": True},
            "node_modules/words": {"resolved": "words", "link": True},
            "node_modules/tool": {"resolved": "tool", "link": True},
        }
        lock = {"name": "shop", "version": "1.0.0", "lockfileVersion": 3, "requires": True, "packages": packages}
        files = {
            "package.json": json.dumps({"name": "shop", "version": "1.0.0", **wanted}),
            "package-lock.json": json.dumps(lock),
            "words/package.json": json.dumps(words),
            "words/index.js": "exports.hi = 'hi from a dependency'\n",
            "tool/package.json": json.dumps(tool),
            "index.js": "exports.handler = () => require('words').hi\n",
        }
        done, target = self.build(files)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.answer(target), "hi from a dependency")
        self.assertEqual(sorted(path.name for path in (target / "node_modules").iterdir() if path.is_dir() and not path.name.startswith(".")), ["words"])


if __name__ == "__main__":
    unittest.main()
