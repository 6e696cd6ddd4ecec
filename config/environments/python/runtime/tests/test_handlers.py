"""How handlers are called, what they may return, and what happens when they fail."""

import hashlib
import http.client
import json
import unittest

from harness import RuntimeTest, WebSocketClient, run_together


class Requests(RuntimeTest):
    def test_everything_a_handler_can_learn_of_its_request(self):
        self.serve(
            "import muon\n"
            "def main(request):\n"
            "    assert muon.request.path == request.path\n"
            "    return {\n"
            "        'method': request.method, 'path': request.path, 'id': request.request_id,\n"
            "        'trace': [request.trace_id, request.headers['tracestate']],\n"
            "        'params': [request.params['userId'], request.params.get('file'), request.params.get('none')],\n"
            "        'query': [request.query['a'], request.query.getall('a'), request.query.get('empty')],\n"
            "        'header': [request.headers['X-Two'], request.headers.get('x-none', 'absent')],\n"
            "        'json': request.json(), 'text': request.text, 'length': len(request.body),\n"
            "    }\n"
        )
        body = json.dumps({"grüße": 1}, ensure_ascii=False).encode()
        headers = {
            "x-request-id": "abc",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "tracestate": "vendor=1",
            "X-TWO": "2",
            "muon-path-param-userid": "j%C3%BCrgen%2F1",
            "Muon-Path-Param-File": "a b",
        }
        reply = self.runtime.request("POST", "/caf%C3%A9/x?a=1&a=2&empty=", body, headers).json()
        self.assertEqual(
            reply,
            {
                "method": "POST",
                "path": "/café/x",
                "id": "abc",
                "trace": ["0af7651916cd43dd8448eb211c80319c", "vendor=1"],
                "params": ["jürgen/1", "a b", None],
                "query": ["1", ["1", "2"], ""],
                "header": ["2", "absent"],
                "json": {"grüße": 1},
                "text": '{"grüße": 1}',
                "length": len(body),
            },
        )

    def test_the_current_request_is_the_right_one_in_every_thread_and_task(self):
        self.serve(
            "import threading, asyncio\nfrom muon import request\n"
            "ALL = threading.Barrier(8)\n\n"
            "def main():\n    ALL.wait(30)\n    return request.query['i']\n"
        )
        replies = run_together(8, lambda i: self.runtime.request("GET", f"/?i={i}").text)
        self.assertEqual(replies, [str(i) for i in range(8)])

    def test_a_large_body_arrives_whole(self):
        self.serve("import hashlib\n\nasync def main(request):\n    return hashlib.sha256(request.body).hexdigest()\n")
        body = bytes(range(256)) * 20_000
        self.assertEqual(self.runtime.request("POST", "/", body).text, hashlib.sha256(body).hexdigest())
        chunked = self.runtime.request("POST", "/", iter([body[:70_000], body[70_000:]]))
        self.assertEqual(chunked.text, hashlib.sha256(body).hexdigest())

    def test_a_streaming_handler_answers_each_piece_before_the_next_is_sent(self):
        for index, handler in enumerate(
            (
                "async def main(request):\n    async for piece in request.stream():\n        yield piece.upper()\n",
                "def main(request):\n    for piece in request.stream():\n        yield piece.upper()\n",
            )
        ):
            with self.subTest(handler):
                if index:
                    self.doCleanups()
                    self.setUp()
                self.serve("import muon\n\n@muon.streaming\n" + handler)
                connection = self.runtime.connect()
                connection.putrequest("POST", "/")
                connection.putheader("transfer-encoding", "chunked")
                connection.endheaders()
                connection.send(b"3\r\none\r\n")
                response = connection.getresponse()
                self.assertEqual(response.read1(), b"ONE")
                connection.send(b"3\r\ntwo\r\n")
                self.assertEqual(response.read1(), b"TWO")
                connection.send(b"0\r\n\r\n")
                self.assertEqual(response.read(), b"")
                connection.close()


class BodyLimit(RuntimeTest):
    environ = {"MUON_BODY_LIMIT": "1000"}

    def test_a_body_over_the_limit_is_refused_before_user_code_runs(self):
        self.serve("def main(request):\n    return str(len(request.body))\n")
        self.assertEqual(self.runtime.request("POST", "/", b"x" * 1000).text, "1000")
        reply = self.runtime.request("POST", "/", b"x" * 1001)
        self.assertEqual(reply.status, 413)
        self.assertEqual((reply.json()["reason"], reply.json()["executed"]), ("BodyTooLarge", "no"))


class Replies(RuntimeTest):
    def test_every_kind_of_value(self):
        self.serve(
            "import dataclasses, datetime, json\nfrom muon import Response\n"
            "@dataclasses.dataclass\nclass Point:\n    x: int\n\n"
            "CASES = {\n"
            "    'text': lambda: 'grüße',\n"
            "    'bytes': lambda: b'\\x00\\x01',\n"
            "    'dict': lambda: {'a': [1, None]},\n"
            "    'list': lambda: [1, 2],\n"
            "    'number': lambda: 7,\n"
            "    'none': lambda: None,\n"
            "    'status': lambda: ('made', 201),\n"
            "    'headers': lambda: ({'a': 1}, 202, {'X-A': 'b'}),\n"
            "    'response': lambda: Response('x', 418, [('set-cookie', 'a=1'), ('set-cookie', 'b=2')]),\n"
            "    'type': lambda: Response('<p>', headers={'content-type': 'text/html', 'content-length': '99'}),\n"
            "    'point': lambda: {'point': Point(1), 'on': datetime.date(2020, 1, 2)},\n"
            "    'iterator': lambda: iter(['a', b'b', 'c']),\n"
            "}\n\ndef main(request):\n    return CASES[request.path[1:]]()\n"
        )
        text, octets, as_json = "text/plain; charset=utf-8", "application/octet-stream", "application/json"
        cases = {
            "text": (200, text, "grüße".encode()),
            "bytes": (200, octets, b"\x00\x01"),
            "dict": (200, as_json, b'{"a":[1,null]}'),
            "list": (200, as_json, b"[1,2]"),
            "number": (200, as_json, b"7"),
            "none": (204, None, b""),
            "status": (201, text, b"made"),
            "headers": (202, as_json, b'{"a":1}'),
            "response": (418, text, b"x"),
            "type": (200, "text/html", b"<p>"),
            "point": (200, as_json, b'{"point":{"x":1},"on":"2020-01-02"}'),
            "iterator": (200, text, b"abc"),
        }
        for name, (status, content_type, body) in cases.items():
            reply = self.runtime.request("GET", f"/{name}")
            self.assertEqual((reply.status, reply.headers.get("content-type"), reply.body), (status, content_type, body))
        self.assertEqual(self.runtime.request("GET", "/headers").headers["x-a"], "b")
        self.assertEqual(self.runtime.request("GET", "/response").headers.get_all("set-cookie"), ["a=1", "b=2"])
        head = self.runtime.request("HEAD", "/text")
        self.assertEqual((head.headers["content-length"], head.body), ("7", b""))

    def test_what_cannot_be_sent_is_the_functions_error(self):
        self.serve(
            "from muon import Response\n"
            "CASES = {\n"
            "    'object': object(), 'tuple': (1, 2, 3, 4), 'status': ('x', 99), 'name': Response('x', 200, {'a b': 'c'}),\n"
            "    'split': Response('x', 200, {'a': 'b\\r\\nc: d'}), 'wide': Response('x', 200, {'a': '\\u20ac'}),\n"
            "}\n\ndef main(request):\n    return CASES[request.path[1:]]\n"
        )
        for name in ("object", "tuple", "status", "name", "split", "wide"):
            reply = self.runtime.request("GET", f"/{name}")
            self.assertEqual(reply.status, 500, name)
            error = reply.json()
            self.assertEqual((error["component"], error["reason"]), ("function", "ReplyInvalid"), name)
            self.assertEqual(error["executed"], "yes")


class Streams(RuntimeTest):
    def first_event(self, main):
        """Opens a stream whose second piece waits for a file that nobody writes, and returns what came first."""
        self.serve(main)
        connection = self.runtime.connect()
        connection.request("GET", "/")
        response = connection.getresponse()
        return connection, response, response.read1()

    def test_an_async_event_stream_is_flushed_and_stopped_when_the_caller_leaves(self):
        connection, response, first = self.first_event(
            "import asyncio\nfrom muon import Response\n\n"
            "async def events():\n"
            "    try:\n        yield 'data: 1\\n\\n'\n        await asyncio.Event().wait()\n"
            "    finally:\n        print('cleaned up')\n\n"
            "def main():\n    return Response(events(), headers={'content-type': 'text/event-stream'})\n"
        )
        self.assertEqual((first, response.headers["content-type"]), (b"data: 1\n\n", "text/event-stream"))
        response.close()
        connection.close()
        self.runtime.wait_for_log(lambda r: r.get("message") == "cleaned up")
        self.assertEqual(self.runtime.request("GET", "/healthz").status, 200)

    def test_an_event_stream_is_open_before_its_first_event(self):
        self.serve(
            "import asyncio\nfrom muon import Response\nGATE = asyncio.Event()\n\n"
            "async def events():\n    await GATE.wait()\n    yield 'data: now\\n\\n'\n\n"
            "async def main(request):\n"
            "    if request.path == '/open':\n        GATE.set()\n        return\n"
            "    return Response(events(), headers={'content-type': 'text/event-stream'})\n"
        )
        connection = self.runtime.connect()
        connection.request("GET", "/")
        response = connection.getresponse()  # returns with the head: nothing has been yielded yet
        self.assertEqual(self.runtime.request("GET", "/open").status, 204)
        self.assertEqual(response.read(), b"data: now\n\n")
        connection.close()

    def test_a_plain_generator_is_closed_when_the_caller_leaves(self):
        connection, response, first = self.first_event(
            "def main():\n"
            "    try:\n        while True:\n            yield 'x' * 10000\n"
            "    finally:\n        print('cleaned up')\n"
        )
        self.assertEqual(first[:1], b"x")
        response.close()
        connection.close()
        self.runtime.wait_for_log(lambda r: r.get("message") == "cleaned up")

    def test_a_failure_before_the_first_piece_is_a_status_and_after_it_a_cut(self):
        self.serve(
            "def main(request):\n"
            "    if request.path == '/late':\n        yield 'part'\n"
            "    raise ValueError('in the stream')\n"
        )
        reply = self.runtime.request("GET", "/early")
        self.assertEqual((reply.status, reply.json()["message"]), (500, "ValueError: in the stream"))
        with self.assertRaises(http.client.IncompleteRead) as caught:
            self.runtime.request("GET", "/late")
        self.assertEqual(caught.exception.partial, b"part")
        self.assertEqual(self.runtime.request("GET", "/early").status, 500)


class Failures(RuntimeTest):
    def test_an_exception_is_an_attributed_500_with_a_traceback_in_the_log(self):
        self.serve("def deeper():\n    raise KeyError('lost')\n\ndef main():\n    deeper()\n")
        reply = self.runtime.request(headers={"x-request-id": "r-7"})
        self.assertEqual(reply.status, 500)
        self.assertEqual(
            reply.json(),
            {
                "component": "function",
                "reason": "Exception",
                "message": "KeyError: 'lost'",
                "requestId": "r-7",
                "executed": "yes",
            },
        )
        record = self.runtime.wait_for_log(lambda r: r.get("message") == "the handler raised")
        self.assertEqual((record["requestId"], record["level"], record["target"]), ("r-7", "ERROR", "function"))
        self.assertIn("in deeper", record["traceback"])
        self.assertNotIn("muon_runtime", record["traceback"])

    def test_nothing_that_user_code_raises_ends_the_server(self):
        self.serve(
            "import asyncio, sys, threading\n"
            "async def task():\n    sys.exit(4)\n"
            "async def loop_task():\n    asyncio.create_task(task())\n    await asyncio.sleep(0)\n    return 'started'\n"
            "async def cancelled():\n    raise asyncio.CancelledError\n"
            "def raises(error):\n    raise error\n"
            "CASES = {\n"
            "    '/exit': lambda: sys.exit(3), '/interrupt': lambda: raises(KeyboardInterrupt()),\n"
            "    '/stop': lambda: raises(StopIteration()), '/generator': lambda: raises(GeneratorExit()),\n"
            "    '/recursion': lambda: CASES['/recursion'](), '/cancelled': cancelled, '/task': loop_task,\n"
            "}\n\ndef main(request):\n    return CASES[request.path]()\n"
        )
        for path in ("/exit", "/interrupt", "/stop", "/generator", "/recursion", "/cancelled"):
            self.assertEqual(self.runtime.request("GET", path).status, 500, path)
        self.assertEqual(self.runtime.request("GET", "/task").text, "started")
        self.runtime.wait_for_log(lambda r: r.get("message") == "a background task raised")
        self.assertEqual(self.runtime.request("GET", "/healthz").status, 200)
        self.assertEqual(self.runtime.request("GET", "/exit").status, 500)

    def test_what_user_code_prints_and_logs_carries_its_request(self):
        self.serve(
            "import json, logging, sys\n\ndef main():\n"
            "    print('a', 1, 'line')\n    print('two\\nlines')\n    print('to stderr', file=sys.stderr)\n"
            "    print(json.dumps({'own': 'structure'}))\n    logging.getLogger('shop').warning('low on %s', 'tea')\n"
        )
        self.assertEqual(self.runtime.request(headers={"x-request-id": "r-9"}).status, 204)
        for message, level in (("a 1 line", "INFO"), ("lines", "INFO"), ("to stderr", "ERROR"), ("low on tea", "WARNING")):
            record = self.runtime.wait_for_log(lambda r, m=message: r.get("message") == m)
            self.assertEqual((record["requestId"], record["level"]), ("r-9", level))
        self.runtime.wait_for_log(lambda r: r == {"own": "structure"})


class Concurrency(RuntimeTest):
    def test_plain_and_async_handlers_run_side_by_side(self):
        self.serve(
            "import asyncio, threading\n"
            "THREADS = threading.Barrier(20)\nARRIVED = []\nTASKS = asyncio.Event()\n"
            "def plain():\n    THREADS.wait(30)\n    return 'plain'\n"
            "async def tasks():\n    ARRIVED.append(1)\n"
            "    if len(ARRIVED) == 20:\n        TASKS.set()\n"
            "    await TASKS.wait()\n    return 'async'\n"
            "def main(request):\n    return plain() if request.path == '/plain' else tasks()\n"
        )
        self.assertEqual(run_together(20, lambda _: self.runtime.request("GET", "/plain").text), ["plain"] * 20)
        self.assertEqual(run_together(20, lambda _: self.runtime.request("GET", "/async").text), ["async"] * 20)


class WebSockets(RuntimeTest):
    def connect(self, path="/"):
        client = WebSocketClient(self.runtime.port, path)
        self.addCleanup(client.close)
        return client

    def test_messages_both_ways_and_the_close(self):
        self.serve(
            "async def main(ws):\n"
            "    await ws.send({'path': ws.path, 'q': ws.query['q']})\n"
            "    async for message in ws:\n"
            "        if message == 'bye':\n            break\n"
            "        await ws.send(message)\n"
        )
        client = self.connect("/chat?q=1")
        self.assertEqual(client.status, 101)
        self.assertEqual(client.receive(), (client.TEXT, b'{"path": "/chat", "q": "1"}'))
        client.send("grüße".encode())
        self.assertEqual(client.receive(), (client.TEXT, "grüße".encode()))
        client.send(b"\x00\xff", client.BINARY)
        self.assertEqual(client.receive(), (client.BINARY, b"\x00\xff"))
        client.send(b"bye")
        self.assertEqual(client.receive(), (client.CLOSE, b"\x03\xe8"))

    def test_a_failing_handler_closes_with_1011(self):
        self.serve("async def main(ws):\n    await ws.receive()\n    raise ValueError('ws')\n")
        client = self.connect()
        client.send(b"x")
        self.assertEqual(client.receive(), (client.CLOSE, b"\x03\xf3the function failed"))
        self.runtime.wait_for_log(lambda r: r.get("error") == "ValueError: ws")

    def test_refusals(self):
        self.serve("async def main(ws):\n    await ws.reject()\n")
        self.assertEqual(self.connect().status, 403)
        reply = self.runtime.request()
        self.assertEqual((reply.status, reply.json()["reason"]), (426, "UpgradeRequired"))

    def test_a_function_that_speaks_http_only_refuses_the_upgrade(self):
        self.serve("def main():\n    return 'x'\n")
        self.assertEqual(self.connect().status, 403)


class Applications(RuntimeTest):
    def test_an_asgi_application_with_its_lifespan(self):
        self.serve(
            "STATE = {}\n"
            "class App:\n"
            "    async def __call__(self, scope, receive, send):\n"
            "        if scope['type'] == 'lifespan':\n"
            "            await receive()\n            STATE['up'] = True\n"
            "            await send({'type': 'lifespan.startup.complete'})\n"
            "            await receive()\n            print('shut down')\n"
            "            return await send({'type': 'lifespan.shutdown.complete'})\n"
            "        if scope['path'] == '/fail':\n            raise ValueError('asgi')\n"
            "        await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
            "        await send({'type': 'http.response.body', 'body': b'up' if STATE.get('up') else b'down'})\n"
            "app = App()\n",
            "main.app",
        )
        self.assertEqual(self.runtime.request().text, "up")
        self.assertEqual(self.runtime.request("GET", "/fail").json()["message"], "ValueError: asgi")
        self.runtime.stop()
        self.runtime.wait_for_log(lambda r: r.get("message") == "shut down")

    def test_an_asgi_application_without_lifespan(self):
        self.serve(
            "async def app(scope, receive, send):\n"
            "    assert scope['type'] == 'http'\n"
            "    await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
            "    await send({'type': 'http.response.body', 'body': b'plain'})\n",
            "main:app",
        )
        self.assertEqual(self.runtime.request().text, "plain")

    def test_an_application_whose_start_up_fails_does_not_load(self):
        self.write(
            main="async def app(scope, receive, send):\n"
            "    await receive()\n"
            "    await send({'type': 'lifespan.startup.failed', 'message': 'no database'})\n"
        )
        reply = self.runtime.load(self.package, "main.app")
        self.assertEqual((reply.status, reply.json()["reason"]), (500, "StartupFailed"))
        self.assertIn("no database", reply.json()["message"])

    def test_a_wsgi_application(self):
        self.serve(
            "def app(environ, start_response):\n"
            "    body = environ['wsgi.input'].read()\n"
            "    words = [environ['REQUEST_METHOD'], environ['PATH_INFO'], environ['QUERY_STRING'], environ['HTTP_X_A']]\n"
            "    start_response('201 Created', [('Content-Type', 'text/plain'), ('X-B', 'c')])\n"
            "    return [' '.join(words).encode('latin-1'), b' ', body]\n",
            "main.app",
        )
        reply = self.runtime.request("POST", "/caf%C3%A9?a=b", b"data", {"X-A": "1"})
        self.assertEqual((reply.status, reply.headers["x-b"]), (201, "c"))
        self.assertEqual(reply.text, "POST /café a=b 1 data")


if __name__ == "__main__":
    unittest.main()
