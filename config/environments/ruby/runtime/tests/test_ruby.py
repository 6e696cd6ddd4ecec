"""The Ruby runtime: what every runtime promises, and what is Ruby's own."""

import http.client
import sys
import unittest
from pathlib import Path

RUNTIME = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(RUNTIME.parents[1] / "tests"))

import interpreted as contract  # noqa: E402

COMMAND = ("/usr/bin/ruby", RUNTIME / "main.rb")

MAIN = r"""
require "digest"

def deeper
  raise "no luck"
end

def main(request)
  case request.path
  when "/learn"
    {
      method: request.method, path: request.path, id: request.request_id, trace: request.trace_id, user: request.params["User"],
      x: request.headers["X-Two"], body: request.body, env: ENV["GREETING"]
    }
  when "/text" then "grüße"
  when "/json" then { a: [1, nil] }
  when "/nothing" then nil
  when "/made" then Muon::Response.new("made", status: 201, headers: { "X-A" => "b", "Set-Cookie" => %w[a=1 b=2] })
  when "/stream"
    Enumerator.new do |out|
      out << "one"
      File.read(ENV["GATE"])
      out << "two"
    end
  when "/throw" then deeper
  when "/print" then puts "a printed line"
  when "/sha"
    digest = Digest::SHA256.new
    while (piece = request.io.read(65536))
      digest << piece
    end
    digest.hexdigest
  when "/wait"
    warn "begun"
    File.read("#{ENV['GATE']}#{request.query['i']}")
  end
end
"""


class Contract(contract.Contract):
    COMMAND = COMMAND
    FILES = {"main.rb": MAIN}
    BROKEN = (
        {"main.rb": "require 'helper'\n", "helper.rb": "\ndef main(\n  42\nend\n"},
        "main.main",
        ("helper.rb:3: syntax error, unexpected integer literal",),
    )


class Cut(contract.Cut):
    COMMAND = COMMAND
    FILES = {"main.rb": MAIN}


class RubyTest(contract.RuntimeTest):
    COMMAND = COMMAND

    def main(self, body):
        return self.serve({"main.rb": f"def main(request)\n{body}\nend\n"})

    def test_entrypoints_of_every_form(self):
        files = {
            "web.rb": "def main = 'main of web'\ndef other = 'other'\n",
            "app/books.rb": "require 'words'\nmodule App\n  module Books\n    def self.list = WORD\n  end\n"
            "  class Shelf\n    def call(request) = 'a new one'\n  end\n  Last = -> { 'lambda' }\nend\n",
            "lib/words.rb": "WORD = 'books'\n",
            "rack.rb": "Site = ->(env) { [202, { 'X-Path' => env['PATH_INFO'] }, ['rack']] }\n",
            "config.ru": "run ->(env) { [203, {}, ['config.ru']] }\n",
        }
        cases = {
            "web": (200, "main of web"),
            "web.other": (200, "other"),
            "app/books.App.Books.list": (200, "books"),
            "app/books.App::Shelf": (200, "a new one"),
            "app/books.App.Last": (200, "lambda"),
            "rack.Site": (202, "rack"),
            "config.ru": (203, "config.ru"),
        }
        self.write(files)
        for entrypoint, expected in cases.items():
            with self.subTest(entrypoint):
                runtime = contract.Runtime(COMMAND)
                self.addCleanup(runtime.stop)
                loaded = runtime.load(self.package, entrypoint)
                self.assertEqual(loaded.status, 200, loaded.text)
                reply = runtime.request("GET", "/x")
                self.assertEqual((reply.status, reply.text), expected)

    def test_a_request_without_a_body_has_an_empty_one(self):
        self.main("[request.body, request.query['none']]")
        self.assertEqual(self.runtime.request().json(), ["", None])

    def test_a_single_file_whatever_its_name(self):
        file = self.package / "8f14e45f"
        file.write_text("def main = 'alone'\n")
        self.assertEqual(self.runtime.load(file, "main.main").status, 200)
        self.assertEqual(self.runtime.request().text, "alone")

    def test_gems_in_the_package_are_found(self):
        gem = "vendor/bundle/ruby/3.1.0/gems/shout-1.0/lib/shout.rb"
        self.serve({gem: "def shout(text) = text.upcase\n", "main.rb": "require 'shout'\ndef main = shout('loud')\n"})
        self.assertEqual(self.runtime.request().text, "LOUD")

    def test_entrypoints_that_are_not_there(self):
        files = {"main.rb": "def first = 1\nSecond = 2\ndef two(a, b) = 3\n"}
        for entrypoint, reason, words in (
            ("main.third", "EntrypointNotFound", "main.rb has no 'third'; it has: Second, first, two"),
            ("web.main", "EntrypointNotFound", "the package has no file 'web.rb'; it has: main.rb"),
            ("main.Second", "EntrypointInvalid", "is a Integer, and has no method call"),
            ("main.two", "EntrypointInvalid", "takes one argument"),
            ("../etc.main", "EntrypointInvalid", "not of the form"),
        ):
            error = self.failure(files, entrypoint)
            self.assertEqual(error["reason"], reason)
            self.assertIn(words, error["message"])

    def test_errors_at_load_are_told_by_their_own_frames(self):
        message = self.failure({"main.rb": "require 'helper'\n", "helper.rb": "\nrequire 'no_such_gem'\n"})["message"]
        self.assertEqual(
            message,
            "main.rb:1: require 'helper'\nhelper.rb:2: require 'no_such_gem'\nLoadError: cannot load such file -- no_such_gem",
        )
        self.assertIn("SystemExit", self.failure({"main.rb": "exit 3\n"})["message"])

    def test_nothing_that_user_code_raises_ends_the_server(self):
        self.main("case request.path\nwhen '/exit' then exit(3)\nwhen '/throw' then throw :ball\nelse def again = again\n again\nend")
        for path in ("/exit", "/throw"):
            self.assertEqual(self.runtime.request("GET", path).json()["component"], "function", path)
        self.assertEqual(self.runtime.request("GET", "/healthz").status, 200)

    def test_own_structure_in_the_log_is_kept(self):
        self.main("puts '{\"own\": \"structure\"}'")
        self.assertEqual(self.runtime.request().status, 204)
        self.runtime.wait_for_log(lambda r: r == {"own": "structure"})

    def test_what_cannot_be_sent_is_the_functions_error(self):
        self.main(
            "case request.path\nwhen '/status' then Muon::Response.new('x', status: 99)\n"
            "when '/split' then Muon::Response.new('x', headers: { 'a' => \"b\\r\\nc: d\" })\nelse Object.new\nend"
        )
        for path in ("/status", "/split", "/object"):
            reply = self.runtime.request("GET", path)
            self.assertEqual((reply.status, reply.json()["reason"]), (500, "ReplyInvalid"), path)

    def test_a_failure_in_a_stream_is_a_status_before_its_first_piece_and_a_cut_after_it(self):
        self.main("Enumerator.new do |out|\n  out << 'part' if request.path == '/late'\n  raise 'in the stream'\nend")
        reply = self.runtime.request("GET", "/early")
        self.assertEqual((reply.status, reply.json()["message"]), (500, "RuntimeError: in the stream"))
        with self.assertRaises(http.client.IncompleteRead) as caught:
            self.runtime.request("GET", "/late")
        self.assertEqual(caught.exception.partial, b"part")


class Limits(contract.RuntimeTest):
    COMMAND = COMMAND
    environ = {"MUON_BODY_LIMIT": "1000"}

    def test_a_body_over_the_limit_is_refused_unless_it_is_read_like_a_file(self):
        self.serve({"main.rb": "def main(request) = (request.path == '/' ? request.body : request.io.read).bytesize.to_s\n"})
        self.assertEqual(self.runtime.request("POST", "/", b"x" * 1000).text, "1000")
        reply = self.runtime.request("POST", "/", b"x" * 1001)
        self.assertEqual((reply.status, reply.json()["reason"]), (413, "BodyTooLarge"))
        self.assertEqual(self.runtime.request("POST", "/io", b"x" * 100_000).text, "100000")


class Builder(contract.BuilderTest):
    BUILDER = ("/usr/bin/ruby", RUNTIME.parent / "builder" / "build.rb")
    FILES = {
        "Gemfile": "gem 'shout', path: 'vendor/shout'\n",
        "vendor/shout/shout.gemspec": "Gem::Specification.new do |s|\n  s.name = 'shout'\n  s.version = '1.0.0'\n  s.summary = 's'\n"
        "  s.authors = ['a']\n  s.files = ['lib/shout.rb']\nend\n",
        "vendor/shout/lib/shout.rb": "def shout(text) = text.upcase\n",
        "main.rb": "require 'shout'\ndef main = shout('loud')\n",
    }
    LOCK = (
        "PATH\n  remote: vendor/shout\n  specs:\n    shout (1.0.0)\n\nGEM\n  specs:\n\nPLATFORMS\n  x86_64-linux\n\n"
        "DEPENDENCIES\n  shout!\n"
    )

    def test_gems_come_from_the_lock_file(self):
        self.write({**self.FILES, "Gemfile.lock": self.LOCK})
        self.assertEqual(self.build()[0], 0)
        self.assertEqual(self.answer(COMMAND), "LOUD")

    def test_without_a_lock_file_it_is_said_what_to_do(self):
        self.write(self.FILES)
        code, said = self.build()
        self.assertEqual(code, 1)
        self.assertIn("Gemfile: there is no Gemfile.lock", said)
        self.assertFalse(self.result.exists())

    def test_gems_that_the_lock_file_does_not_know_are_refused(self):
        self.write({**self.FILES, "Gemfile": "", "Gemfile.lock": self.LOCK.replace("shout!", "other")})
        code, said = self.build()
        self.assertEqual(code, 1)
        self.assertIn("bundle install failed: see the lines above", said)

    def test_a_syntax_error_is_told_by_file_and_line(self):
        self.write({"main.rb": "def main = 1\n", "lib/deep.rb": "\nx = [1, 2\ny = 3\n", "vendor/theirs.rb": "((("})
        code, said = self.build()
        self.assertEqual(code, 1)
        self.assertTrue(said.startswith("lib/deep.rb:3: syntax error"), said)


if __name__ == "__main__":
    unittest.main()
