"""A runtime as a process, spoken to as the agent and the proxy do; what all tests of runtimes begin with."""

import http.client
import json
import queue
import subprocess
import threading

# How long a test waits for something that must come; only a broken runtime makes it wait that long.
PATIENCE = 60


class Reply:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        return json.loads(self.body)


class Process:
    """One runtime process on a free loopback port."""

    patience = PATIENCE
    # What to look at when a log record does not come.
    hint = ""

    def __init__(self, command, environ, **how):
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={"MUON_ADDRESS": "127.0.0.1", "MUON_PORT": "0", **environ},
            **how,
        )
        self.log = []
        self._arrived = threading.Condition()
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        self.port = self.wait_for_log(lambda record: record.get("message") == "listening")["port"]

    def _read_log(self):
        for line in self.process.stdout:
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            self._add(record if isinstance(record, dict) else {"notJson": line})
        self._add({"message": "end of log"})

    def _add(self, record):
        with self._arrived:
            self.log.append(record)
            self._arrived.notify_all()

    def wait_for_log(self, wanted, count=1):
        """The first log record for which `wanted` holds, once there are `count` of them."""

        def found():
            fit = [record for record in self.log if wanted(record)]
            return fit if len(fit) >= count else [r for r in self.log if r.get("message") == "end of log"]

        with self._arrived:
            records = self._arrived.wait_for(found, self.patience)
            if not records or not wanted(records[0]):
                raise AssertionError(f"no such log record; the log: {self.log}{self.hint}")
            return records[0]

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.patience)

    def request(self, method="GET", path="/", body=None, headers=None):
        connection = self.connect()
        try:
            connection.request(method, path, body, headers or {})
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def load(self, filepath, entrypoint="", **more):
        order = {"filepath": str(filepath), "functionName": entrypoint, "url": "", "envVersion": 2, **more}
        return self.request("POST", "/v2/specialize", json.dumps(order), {"content-type": "application/json"})

    def stop(self):
        """Ends the process as Kubernetes does and returns its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(self.patience)
        finally:
            self.process.kill()
            self._reader.join(self.patience)
            self.process.stdout.close()


def run_together(count, function, patience=PATIENCE):
    """Calls function(i) in `count` threads at the same time and returns the results in order."""
    results = queue.Queue()
    threads = [threading.Thread(target=lambda i=i: results.put((i, function(i)))) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(patience)
    return [value for _, value in sorted((results.get_nowait() for _ in threads), key=lambda item: item[0])]
