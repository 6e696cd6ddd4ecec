"""The PHP runtime: what every runtime promises, and what is PHP's own."""

import http.client
import json
import os
import subprocess
import sys
import unittest
from pathlib import Path

RUNTIME = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(RUNTIME.parents[1] / "tests"))

import interpreted as contract  # noqa: E402

COMMAND = ("/usr/bin/php8.2", "-c", RUNTIME / "php.ini", RUNTIME / "main.php")

MAIN = r"""<?php
use Muon\{Request, Response};

function deeper() { throw new RuntimeException('no luck'); }

function main(Request $request) {
    return match ($request->path) {
        '/learn' => [
            'method' => $request->method, 'path' => $request->path, 'id' => $request->requestId, 'trace' => $request->traceId,
            'user' => $request->param('User'), 'x' => $request->header('X-Two'), 'body' => $request->body(),
            'env' => getenv('GREETING'),
        ],
        '/text' => 'grüße',
        '/json' => ['a' => [1, null]],
        '/nothing' => null,
        '/made' => new Response('made', 201, ['X-A' => 'b', 'Set-Cookie' => ['a=1', 'b=2']]),
        '/stream' => (function () { yield 'one'; file_get_contents(getenv('GATE')); yield 'two'; })(),
        '/throw' => deeper(),
        '/print' => error_log('a printed line') ? null : null,
        '/sha' => (function () use ($request) {
            $hash = hash_init('sha256');
            foreach ($request->pieces() as $piece) { hash_update($hash, $piece); }
            return hash_final($hash);
        })(),
        '/wait' => (function () use ($request) {
            fwrite(STDERR, "begun\n");
            return file_get_contents(getenv('GATE') . ($request->query['i'] ?? ''));
        })(),
    };
}
"""


class Contract(contract.Contract):
    COMMAND = COMMAND
    FILES = {"main.php": MAIN}
    BROKEN = (
        {"main.php": "<?php\nrequire 'helper.php';\n", "helper.php": "<?php\n\nfunction main( {\n"},
        "main.main",
        ("helper.php:3: function main( {", "ParseError: syntax error"),
    )


class Cut(contract.Cut):
    COMMAND = COMMAND
    FILES = {"main.php": MAIN}


class PhpTest(contract.RuntimeTest):
    COMMAND = COMMAND

    def main(self, body, head=""):
        return self.serve({"main.php": f"<?php\n{head}\nfunction main($request) {{ {body} }}\n"})

    def test_entrypoints_of_every_form(self):
        files = {
            "web.php": "<?php\nfunction main() { return 'main of web'; }\nfunction other() { return 'other'; }\n",
            "app/books.php": "<?php\nnamespace App;\nclass Books { function list() { return 'books'; } static function one() { return 'one'; } function __invoke() { return 'called'; } }\n",
            "closure.php": "<?php\n$word = 'closure';\nreturn fn ($request) => $word;\n",
        }
        cases = {"web": "main of web", "web.other": "other", "app/books.App\\Books::list": "books", "closure": "closure"}
        cases |= {"app/books.App\\Books::one": "one", "app/books.App\\Books": "called"}
        for entrypoint, text in cases.items():
            with self.subTest(entrypoint):
                runtime = contract.Runtime(COMMAND)
                self.addCleanup(runtime.stop)
                reply = runtime.load(self.write(files), entrypoint)
                self.assertEqual((reply.status, runtime.request().text), (200, text), reply.text)

    def test_a_single_file_whatever_its_name(self):
        file = self.package / "8f14e45f"
        file.write_text("<?php\nfunction main() { return basename(getcwd()); }\n")
        self.assertEqual(self.runtime.load(file, "main.main").status, 200)
        self.assertEqual(self.runtime.request().text, self.package.name)

    def test_dependencies_of_composer_are_found(self):
        self.serve(
            {
                "vendor/autoload.php": "<?php\nspl_autoload_register(fn ($name) => require __DIR__ . \"/$name.php\");\n",
                "vendor/Shout.php": "<?php\nclass Shout { static function it($text) { return strtoupper($text); } }\n",
                "main.php": "<?php\nfunction main() { return Shout::it('loud'); }\n",
            }
        )
        self.assertEqual(self.runtime.request().text, "LOUD")

    def test_entrypoints_that_are_not_there(self):
        files = {"main.php": "<?php\nfunction first() {}\nfunction second() {}\n"}
        for entrypoint, reason, words in (
            ("main.third", "EntrypointNotFound", "main.php has no 'third'; it has: first, second"),
            ("web.main", "EntrypointNotFound", "the package has no file 'web.php'; it has: main.php"),
            ("main.App::run", "EntrypointNotFound", "brings no method App::run"),
            ("../etc.main", "EntrypointInvalid", "not of the form"),
        ):
            error = self.failure(files, entrypoint)
            self.assertEqual(error["reason"], reason)
            self.assertIn(words, error["message"])

    def test_what_cannot_be_caught_at_load_is_told_too(self):
        for code, words in (
            ("exit(3);", "the code called exit()"),
            ("class A {} interface B {} class C extends B {}", "main.php:2: "),
            ("throw new LogicException('at load');", "LogicException: at load"),
            ("posix_kill(getmypid(), SIGKILL);", "the process ended while it loaded"),
        ):
            with self.subTest(code):
                self.assertIn(words, self.failure({"main.php": f"<?php\n{code}\n"})["message"])

    def test_what_is_echoed_is_the_reply_of_a_handler_that_returns_nothing(self):
        self.main("if ($request->path === '/exit') { echo 'bye'; exit; } echo 'hello'; if ($request->path === '/both') return 'returned';")
        self.assertEqual(self.runtime.request("GET", "/").text, "hello")
        self.assertEqual(self.runtime.request("GET", "/both", headers={"x-request-id": "r-2"}).text, "returned")
        record = self.runtime.wait_for_log(lambda r: r.get("message") == "hello")
        self.assertEqual(record["requestId"], "r-2")
        self.assertEqual(self.runtime.request("GET", "/exit").text, "bye")
        self.assertEqual(self.runtime.request("GET", "/").text, "hello")

    def test_a_fatal_error_costs_one_request(self):
        self.main("if ($request->path === '/kill') posix_kill(getmypid(), SIGKILL); ini_set('memory_limit', '16M'); return str_repeat('x', 100 << 20);")
        reply = self.runtime.request("GET", "/", headers={"x-request-id": "r-3"})
        self.assertEqual((reply.status, reply.json()["component"], reply.json()["reason"]), (500, "function", "FatalError"))
        record = self.runtime.wait_for_log(lambda r: r.get("message") == "the handler ended its process")
        self.assertEqual(record["requestId"], "r-3")
        with self.assertRaises((http.client.RemoteDisconnected, ConnectionResetError)):
            self.runtime.request("GET", "/kill")
        self.assertEqual(self.runtime.request("GET", "/").status, 500)

    def test_warnings_are_logged_and_no_error(self):
        self.main("return 'still' . $missing;")
        self.assertEqual(self.runtime.request("GET", "/", headers={"x-request-id": "r-4"}).text, "still")
        record = self.runtime.wait_for_log(lambda r: r.get("level") == "WARNING")
        self.assertEqual((record["message"], record["requestId"]), ("Undefined variable $missing", "r-4"))
        self.assertTrue(record["at"].endswith("main.php:3"))

    def test_own_structure_in_the_log_is_kept(self):
        self.main("error_log(json_encode(['own' => 'structure']));")
        self.assertEqual(self.runtime.request().status, 204)
        self.runtime.wait_for_log(lambda r: r == {"own": "structure"})

    def test_what_cannot_be_sent_is_the_functions_error(self):
        self.main(
            "return match ($request->path) { '/status' => new Muon\\Response('x', 99),"
            " '/split' => new Muon\\Response('x', 200, ['a' => \"b\\r\\nc: d\"]), '/json' => [\"\\xff\"] };"
        )
        for path in ("/status", "/split", "/json"):
            reply = self.runtime.request("GET", path)
            self.assertEqual((reply.status, reply.json()["reason"]), (500, "ReplyInvalid"), path)

    def test_replies_of_frameworks_are_taken(self):
        psr7 = "class Psr { function getStatusCode() { return 418; } function getHeaders() { return ['x-a' => ['b', 'c']]; } function getBody() { return 'tea'; } }"
        self.main("return new Psr();", psr7)
        reply = self.runtime.request()
        self.assertEqual((reply.status, reply.headers.get_all("x-a"), reply.text), (418, ["b", "c"], "tea"))

    def test_a_failure_within_a_stream_cuts_it(self):
        self.main("yield 'part'; throw new Exception('late');")
        with self.assertRaises(http.client.IncompleteRead) as caught:
            self.runtime.request()
        self.assertEqual(caught.exception.partial, b"part")

    def test_forms_and_queries_are_php_arrays(self):
        self.main("return [$request->query, $request->form(), $request->header('none', 'absent')];")
        reply = self.runtime.request("POST", "/?a[]=1&a[]=2", "b[c]=d")
        self.assertEqual(json.loads(reply.text), [{"a": ["1", "2"]}, {"b": {"c": "d"}}, "absent"])


class Limits(contract.RuntimeTest):
    COMMAND = COMMAND
    environ = {"MUON_BODY_LIMIT": "1000", "MUON_CONCURRENCY": "2"}

    def test_a_body_over_the_limit_is_refused_unless_it_is_read_in_pieces(self):
        code = "<?php\nfunction main($request) { if ($request->path === '/') return (string) strlen($request->body());"
        code += " $size = 0; foreach ($request->pieces() as $piece) $size += strlen($piece); return (string) $size; }\n"
        self.serve({"main.php": code})
        self.assertEqual(self.runtime.request("POST", "/", b"x" * 1000).text, "1000")
        reply = self.runtime.request("POST", "/", b"x" * 1001)
        self.assertEqual((reply.status, reply.json()["reason"]), (413, "BodyTooLarge"))
        self.assertEqual(self.runtime.request("POST", "/pieces", b"x" * 100_000).text, "100000")

    def test_more_requests_than_workers_wait_for_one(self):
        self.serve({"main.php": "<?php\nfunction main($request) { return (string) getmypid(); }\n"})
        pids = contract.run_together(12, lambda _: self.runtime.request().text)
        self.assertEqual(len(pids), 12)
        self.assertLessEqual(len(set(pids)), 2)


class Builder(contract.BuilderTest):
    BUILDER = ("/usr/bin/php8.2", RUNTIME.parent / "builder" / "build.php")
    MANIFEST = {
        "require": {"acme/shout": "1.0.0"},
        "repositories": [{"type": "path", "url": "packages/shout"}, {"packagist.org": False}],
    }
    FILES = {
        "composer.json": json.dumps(MANIFEST),
        "packages/shout/composer.json": '{"name": "acme/shout", "version": "1.0.0", "autoload": {"classmap": ["Shout.php"]}}',
        "packages/shout/Shout.php": "<?php\nclass Shout { static function it($text) { return strtoupper($text); } }\n",
        "main.php": "<?php\nfunction main() { return Shout::it('loud'); }\n",
    }

    def lock(self):
        words = ["composer", "update", "--no-install", "--no-interaction", "--quiet", "--working-dir", self.source]
        subprocess.run(words, check=True, env={**os.environ, "COMPOSER_ALLOW_SUPERUSER": "1"})

    def test_dependencies_come_from_the_lock_file(self):
        self.write(self.FILES)
        self.lock()
        self.assertEqual(self.build()[0], 0)
        self.assertEqual(self.answer(COMMAND), "LOUD")
        self.assertFalse((self.source / "vendor").exists())

    def test_without_a_lock_file_it_is_said_what_to_do(self):
        self.write(self.FILES)
        code, said = self.build()
        self.assertEqual(code, 1)
        self.assertIn("it wants acme/shout, and there is no composer.lock", said)
        self.assertFalse(self.result.exists())

    def test_a_syntax_error_is_told_by_file_and_line(self):
        self.write({"main.php": "<?php\n", "src/deep.php": "<?php\n\nfunction f( {\n", "vendor/theirs.php": "<?php ((("})
        code, said = self.build()
        self.assertEqual((code, said.splitlines()[0]), (1, "src/deep.php:3: function f( {"))
        self.assertIn("ParseError: syntax error", said)


if __name__ == "__main__":
    unittest.main()
