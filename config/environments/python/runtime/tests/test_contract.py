"""The load contract as the agent sees it."""

import asyncio
import json
import os
import signal
import sys
import tempfile
import unittest

from harness import RUNTIME, Runtime, RuntimeTest, run_together

sys.path.insert(0, str(RUNTIME))

from muon_runtime.loading import Loading, is_loopback  # noqa: E402

HELLO = 'def main():\n    return "hello\\n"\n'


class BeforeLoad(RuntimeTest):
    def test_health_is_answered(self):
        self.assertEqual(self.runtime.request("GET", "/healthz").status, 200)

    def test_every_other_path_is_an_attributed_503(self):
        for method, path in (("GET", "/"), ("POST", "/healthz"), ("GET", "/v2/specialize"), ("DELETE", "/a/b")):
            reply = self.runtime.request(method, path, headers={"x-request-id": "r-1"})
            self.assertEqual(reply.status, 503, path)
            error = reply.json()
            self.assertEqual((error["component"], error["reason"]), ("runtime", "NotLoaded"))
            self.assertEqual((error["requestId"], error["executed"]), ("r-1", "no"))

    def test_a_bad_order_is_refused_and_a_good_one_taken_after_it(self):
        for body in (b"", b"[]", b"{", b'{"filepath": 3}', b'{"filepath": "/x", "env": {"A": 1}}'):
            reply = self.runtime.request("POST", "/v2/specialize", body)
            self.assertEqual((reply.status, reply.json()["reason"]), (400, "OrderInvalid"), body)
        self.serve(HELLO)
        self.assertEqual(self.runtime.request().text, "hello\n")

    def test_a_package_that_is_not_there(self):
        reply = self.runtime.load("/nowhere/at/all")
        self.assertEqual((reply.status, reply.json()["reason"]), (500, "PackageNotFound"))


class Load(RuntimeTest):
    def test_the_same_order_again_is_fine_and_another_is_refused(self):
        self.serve(HELLO)
        self.assertEqual(self.runtime.load(self.package, "main.main").status, 200)
        for filepath, entrypoint in ((self.package, "main.other"), (self.package / "main.py", "main.main")):
            reply = self.runtime.load(filepath, entrypoint)
            self.assertEqual((reply.status, reply.json()["reason"]), (400, "AlreadyLoaded"))
            self.assertIn("already loaded", reply.json()["message"])
        self.assertEqual(self.runtime.request().text, "hello\n")

    def test_orders_at_the_same_time_import_once(self):
        self.write(main='print("imported")\n' + HELLO)
        statuses = run_together(8, lambda _: self.runtime.load(self.package, "main.main").status)
        self.assertEqual(statuses, [200] * 8)
        self.runtime.stop()
        self.assertEqual(len([r for r in self.runtime.log if r.get("message") == "imported"]), 1)

    def test_health_is_answered_while_an_import_runs(self):
        self.write(main="import os\nopen(os.environ['GATE']).read()\n" + HELLO)
        gate = self.package / "gate"
        os.mkfifo(gate)

        def act(i):
            if i == 0:
                return self.runtime.load(self.package, "main.main", env={"GATE": str(gate)}).status
            health = self.runtime.request("GET", "/healthz").status
            gate.write_text("go")  # returns once the import reads the other end: it was running until here
            return health

        self.assertEqual(run_together(2, act), [200, 200])

    def test_health_and_the_load_paths_stay_ours_after_a_load(self):
        self.serve('def main(request):\n    return request.method + " " + request.path\n')
        self.assertEqual(self.runtime.request("GET", "/healthz").text, "ok\n")
        self.assertEqual(self.runtime.request("GET", "/v2/specialize").text, "GET /v2/specialize")
        self.assertEqual(self.runtime.request("PUT", "/any/thing").text, "PUT /any/thing")

    def test_a_single_file_whatever_its_name(self):
        (self.package / "8f14e45f").write_text(HELLO)
        self.assertEqual(self.runtime.load(self.package / "8f14e45f", "main.main").status, 200)
        self.assertEqual(self.runtime.request().text, "hello\n")

    def test_an_empty_name_means_main(self):
        self.assertEqual(self.runtime.load(self.write(main=HELLO)).status, 200)
        self.assertEqual(self.runtime.request().text, "hello\n")

    def test_a_module_name_alone_means_its_main(self):
        self.serve("", "web", web=HELLO)
        self.assertEqual(self.runtime.request().text, "hello\n")

    def test_a_function_in_a_package_of_the_package(self):
        self.serve(
            "",
            "app.handlers.get",
            **{
                "app/__init__": "",
                "app/words": "WORD = 'nested'\n",
                "app/handlers": "from app.words import WORD\n\ndef get():\n    return WORD\n",
            },
        )
        self.assertEqual(self.runtime.request().text, "nested")

    def test_vendored_dependencies_are_found_after_the_package_itself(self):
        self.serve(
            "import vendored, helper\n\ndef main():\n    return [vendored.NAME, helper.NAME]\n",
            helper="NAME = 'own'\n",
            **{"deps/helper": "NAME = 'wrong'\n", "deps/vendored": "NAME = 'vendored'\n"},
        )
        self.assertEqual(self.runtime.request().json(), ["vendored", "own"])

    def test_a_vendored_library_wins_over_the_servers_own(self):
        self.serve(
            "import websockets\n\ndef main():\n    return websockets.NAME\n",
            **{"deps/websockets": "NAME = 'theirs'\n"},
        )
        self.assertEqual(self.runtime.request().text, "theirs")

    def test_env_of_the_order_is_set_before_the_import(self):
        self.write(main="import os\nSEEN = os.environ['GREETING']\n\ndef main():\n    return SEEN\n")
        self.assertEqual(self.runtime.load(self.package, "main.main", env={"GREETING": "hi"}).status, 200)
        self.assertEqual(self.runtime.request().text, "hi")

    def test_env_means_what_it_means_to_a_process_that_starts(self):
        main = (
            "import os, subprocess, tempfile, time\n"
            "SEEN = [time.strftime('%H:%M', time.localtime(0)), time.tzname[0], tempfile.gettempdir()]\n\n"
            "def main():\n"
            "    child = subprocess.run(['/bin/sh', '-c', 'echo \"$ODD\"'], capture_output=True, text=True).stdout\n"
            "    return [*SEEN, child, os.environ['my.name'], os.environ['EMPTY']]\n"
        )
        with tempfile.TemporaryDirectory() as scratch:
            env = {"TZ": "XYZ-5:30", "TMPDIR": scratch, "ODD": 'grün "$(A)"\n\\', "my.name": "dotted", "EMPTY": ""}
            self.write(main=main)
            self.assertEqual(self.runtime.load(self.package, "main.main", env=env).status, 200)
            self.assertEqual(
                self.runtime.request().json(), ["05:30", "XYZ", scratch, 'grün "$(A)"\n\\\n', "dotted", ""]
            )

    def test_data_files_are_found_beside_the_code(self):
        (self.package / "page.txt").write_text("a page")
        self.serve('def main():\n    return open("page.txt").read()\n')
        self.assertEqual(self.runtime.request().text, "a page")

    def test_a_library_of_the_asyncio_age_may_ask_for_the_loop_at_import(self):
        self.serve("import asyncio\nLOOP = asyncio.get_event_loop()\n" + HELLO)
        self.assertEqual(self.runtime.request().text, "hello\n")


class FailedLoad(RuntimeTest):
    def failure(self, entrypoint="main.main", **files):
        reply = self.runtime.load(self.write(**files), entrypoint)
        self.assertEqual(reply.status, 500)
        error = reply.json()
        self.assertEqual(error["component"], "runtime")
        return error

    def test_an_import_error_names_file_line_and_error_without_our_frames(self):
        error = self.failure(main="import helper\n", helper="\n\nimport no_such_thing\n")
        self.assertEqual(error["reason"], "ImportFailed")
        self.assertEqual(
            error["message"],
            "main.py:1, in <module>: import helper\n"
            "helper.py:3, in <module>: import no_such_thing\n"
            "ModuleNotFoundError: No module named 'no_such_thing'",
        )
        self.assertEqual(error["traceback"], error["message"].split("\n"))
        record = self.runtime.wait_for_log(lambda r: r.get("message") == "load failed")
        self.assertIn("no_such_thing", record["error"])

    def test_a_syntax_error(self):
        message = self.failure(main="def main():\n    return (1,\n")["message"]
        self.assertEqual(message, "main.py:2: return (1,\nSyntaxError: '(' was never closed")

    def test_an_exit_at_import_is_a_failed_import(self):
        error = self.failure(main="import sys\nsys.exit(3)\n")
        self.assertEqual(error["message"], "main.py:2, in <module>: sys.exit(3)\nSystemExit: 3")

    def test_a_missing_function_lists_those_that_exist(self):
        error = self.failure("main.handler", main="import json\n\ndef first(): ...\n\nasync def second(): ...\n")
        self.assertEqual(error["reason"], "EntrypointNotFound")
        self.assertEqual(error["message"], "module 'main' has no 'handler'; it has: first, second")

    def test_a_missing_module_lists_those_that_exist(self):
        error = self.failure("main.main", web=HELLO, **{"app/__init__": ""})
        self.assertEqual(error["reason"], "EntrypointNotFound")
        self.assertEqual(error["message"], "the package has no module 'main'; it has: app, web")

    def test_entrypoints_that_cannot_be_called(self):
        cases = (
            ("main.VALUE", "is a int, not a function"),
            ("main.two", "requires (a, b)"),
            ("main.talk", "must be an `async def`"),
            ("a/b.c", "not of the form module.function"),
        )
        main = "VALUE = 1\n\ndef two(a, b): ...\n\ndef talk(ws): ...\n"
        for entrypoint, words in cases:
            error = self.failure(entrypoint, main=main)
            self.assertEqual(error["reason"], "EntrypointInvalid")
            self.assertIn(words, error["message"])

    def test_another_load_is_possible_and_sees_nothing_of_the_failed_one(self):
        self.write(main="import helper, os\nos.environ['LEFT']\nraise ValueError('first')\n", helper="NAME = 'old'\n")
        self.assertEqual(self.runtime.load(self.package, "main.main", env={"LEFT": "over"}).status, 500)
        self.assertEqual(self.runtime.request().status, 503)
        other = self.package / "second"
        other.mkdir()
        (other / "main.py").write_text(
            "import helper, os\n\ndef main():\n    return [helper.NAME, os.environ.get('LEFT'), os.getcwd()]\n"
        )
        (other / "helper.py").write_text("NAME = 'new'\n")
        self.assertEqual(self.runtime.load(other, "main.main").status, 200)
        self.assertEqual(self.runtime.request().json(), ["new", None, str(other)])


class VersionOne(RuntimeTest):
    def setUp(self):
        self.file = tempfile.NamedTemporaryFile("w", prefix="muon-user-")
        self.addCleanup(self.file.close)
        self.file.write(HELLO)
        self.file.flush()
        self.environ = {"MUON_V1_FILE": self.file.name}
        super().setUp()

    def test_the_old_call_loads_the_file_at_its_fixed_place(self):
        self.assertEqual(self.runtime.request("POST", "/specialize").status, 200)
        self.assertEqual(self.runtime.request().text, "hello\n")
        self.assertEqual(self.runtime.request("POST", "/specialize").status, 200)


class Loopback(unittest.TestCase):
    def test_which_peers_may_load(self):
        for address in ("127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"):
            self.assertTrue(is_loopback((address, 1)), address)
        for client in (("198.18.0.7", 1), ("::ffff:198.18.0.7", 1), ("fe80::1", 1), ("", 0), ("localhost", 1), None, ()):
            self.assertFalse(is_loopback(client), client)

    def test_a_peer_from_elsewhere_gets_403_whatever_headers_it_sends(self):
        sent = []

        async def send(message):
            sent.append(message)

        async def receive():
            raise AssertionError("the order of a stranger was read")

        scope = {"client": ("198.18.0.7", 4000), "headers": [(b"x-forwarded-for", b"127.0.0.1")]}
        asyncio.run(Loading(None, 0).serve(scope, receive, send, version=2))
        self.assertEqual(sent[0]["status"], 403)
        self.assertEqual(json.loads(sent[1]["body"])["reason"], "NotLoopback")


class Termination(RuntimeTest):
    def test_idle_it_ends_at_once_with_zero(self):
        self.assertEqual(self.runtime.stop(), 0)
        self.assertEqual(self.runtime.process.returncode, 0)

    def test_a_request_in_flight_is_finished(self):
        gate = self.package / "gate"
        os.mkfifo(gate)
        self.serve(f'def main():\n    print("begun")\n    return open({str(gate)!r}).read()\n')

        def act(i):
            if i == 0:
                return self.runtime.request().text
            self.runtime.wait_for_log(lambda r: r.get("message") == "begun")
            self.runtime.process.send_signal(signal.SIGTERM)
            self.runtime.wait_for_log(lambda r: r.get("message") == "stopping")
            gate.write_text("finished")

        self.assertEqual(run_together(2, act)[0], "finished")
        self.assertEqual(self.runtime.process.wait(30), 0)

    def test_what_does_not_end_is_cut_after_the_grace_period(self):
        runtime = Runtime(MUON_GRACE_SECONDS="0.2")
        self.addCleanup(runtime.stop)
        self.write(main='import threading\n\ndef main():\n    print("begun")\n    threading.Event().wait()\n')
        runtime.load(self.package, "main.main")
        connection = runtime.connect()
        self.addCleanup(connection.close)
        connection.request("GET", "/")
        runtime.wait_for_log(lambda r: r.get("message") == "begun")
        self.assertEqual(runtime.stop(), 0)
        runtime.wait_for_log(lambda r: "grace period is over" in r.get("message", ""))


if __name__ == "__main__":
    unittest.main()
