"""What the runtime contract promises, one check each. A check that fails says what it saw."""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .client import Client, on
from .container import Container, Network, Unpacked
from .report import FAIL, NOT_APPLICABLE, PASS, Finding

TOGETHER = 8
ENDS_WITHIN = 10
# Where Muon's agent unpacks a package, and where the first contract looks for it.
PACKAGE, V1_FILE = "/userfunc/code/package", "user"
# How runtimes say that they have code already, in words that the agent knows.
ALREADY = ("already", "not a generic container")


class Wrong(Exception):
    """The promise is not kept."""


class NotApplicable(Exception):
    """The promise is not made by images of this sort, or cannot be looked at."""


@dataclass(frozen=True)
class Package:
    """Code for the image: a folder, what the runtime is to call, and what it answers."""

    folder: Path
    entrypoint: str
    # The probe answers `METHOD PATH BODY`, and on /env the variable PROBE.
    is_probe: bool = False
    expected: str = ""


@dataclass
class Subject:
    """The image under test, with what has been learned of it."""

    image: Unpacked
    port: int
    package: Package | None
    contract: str = "v2"
    # Containers that several checks look at: the one without code and the one with it.
    _kept: dict[str, tuple[Container, Client]] = field(default_factory=dict)
    _end: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> "Subject":
        return self

    def __exit__(self, *error) -> None:
        self._end.close()

    def without_code(self) -> tuple[Container, Client]:
        """A container that is up and has no code: it must be left so."""
        if "without" not in self._kept:
            self._kept["without"] = self._end.enter_context(self.running())
        return self._kept["without"]

    def with_code(self) -> tuple[Container, Client]:
        """A container with the package loaded."""
        if "with" not in self._kept:
            self._kept["with"] = self._end.enter_context(self.loaded())
        return self._kept["with"]

    @contextmanager
    def running(self) -> Iterator[tuple[Container, Client]]:
        """A container of its own, up and without code."""
        # Each has a network of its own: several may run, and all want the same port.
        with Network() as network, Container(self.image, network) as container:
            client = Client(network, self.port)
            if not client.wait(lambda: container.exit_code(0) is not None):
                raise Wrong(f"nothing listens on port {self.port}; it said: {container.said() or 'nothing'}")
            client.health()
            yield container, client

    @contextmanager
    def loaded(self, **more: object) -> Iterator[tuple[Container, Client]]:
        """The same with the package loaded."""
        with self.running() as (container, client):
            answer = self.load(container, client, **more)
            if not answer.is_success:
                raise Wrong(f"the load of {self.wanted.entrypoint or 'the package'} was answered with {answer}")
            yield container, client

    @property
    def wanted(self) -> Package:
        if self.package is None:
            raise NotApplicable("no code for this image: name some with --package and --entrypoint")
        return self.package

    def put(self, container: Container, broken: bool = False) -> None:
        """The package where the agent leaves it."""
        place = container.userfunc / "code" / "package"
        shutil.copytree(self.wanted.folder, place, dirs_exist_ok=True)
        if broken:
            for file in (path for path in place.rglob("*") if path.is_file()):
                file.write_bytes(broken_code(file.read_bytes()))
        files = list(place.iterdir())
        target = Path("code/package") / files[0].name if len(files) == 1 else Path("code/package")
        (container.userfunc / V1_FILE).symlink_to(target)

    def load(self, container: Container, client: Client, broken: bool = False, **more: object):
        """As the agent does it: the second contract, and the first where that is not known."""
        self.put(container, broken)
        answer = client.load(PACKAGE, self.wanted.entrypoint, **more)
        if answer.status == 404:
            self.contract = "v1"
            answer = client.call("POST", "/specialize")
        return answer


def broken_code(code: bytes) -> bytes:
    """What no language takes for code: of a text all but its end is right, of what a compiler made nothing is left."""
    return (b"" if b"\0" in code else code) + b"\n(((\n"


def starts(subject: Subject) -> str:
    """starts as user 65532, without capabilities, on a read-only file system"""
    subject.without_code()
    return f"listens on port {subject.port}"


def health(subject: Subject) -> str:
    """/healthz is answered before a load"""
    _, client = subject.without_code()
    answer = client.health()
    if answer.is_success:
        return ""
    if answer.status == 503:
        raise Wrong(f"after a minute it still says {answer}")
    raise NotApplicable(f"it knows no /healthz ({answer}): any answer but 503 counts as up")


def nothing_before(subject: Subject) -> str:
    """before a load, requests are refused with an error status"""
    _, client = subject.without_code()
    for method, path in (("GET", "/"), ("POST", "/a/b?c=d")):
        answer = client.call(method, path, "x" if method == "POST" else None)
        if answer.status < 400:
            raise Wrong(f"{method} {path} was answered with {answer}, though no code is there")
    return ""


def loads(subject: Subject) -> str:
    """a load brings the code in"""
    subject.with_code()
    return f"by the {'second contract' if subject.contract == 'v2' else 'first contract: it does not know /v2/specialize'}"


def answers(subject: Subject) -> str:
    """then requests reach the function"""
    _, client = subject.with_code()
    answer = client.call("GET", "/")
    if not answer.is_success or subject.wanted.expected not in answer.body:
        raise Wrong(f"GET / was answered with {answer}")
    return ""


def passes_all(subject: Subject) -> str:
    """method, path and body reach it, whatever they are"""
    if not subject.wanted.is_probe:
        raise NotApplicable("the package is not a probe that says what it was asked")
    _, client = subject.with_code()
    for method, path in (("POST", "/a/b"), ("PUT", "/specialized"), ("DELETE", "/")):
        answer = client.call(method, path, "some words")
        if answer.body.strip() != f"{method} {path} some words":
            raise Wrong(f"{method} {path} with `some words` was answered with {answer}")
    return ""


def keeps_connections(subject: Subject) -> str:
    """several requests on one connection"""
    _, client = subject.with_code()
    connection = client.connect()
    try:
        on(connection, "GET", "/")
        if connection.sock is None:
            raise NotApplicable("it closes the connection after an answer: right, and slower")
        for _ in range(3):
            answer = on(connection, "GET", "/")
            if not answer.is_success:
                raise Wrong(f"a later request on the connection was answered with {answer}")
    finally:
        connection.close()
    return ""


def takes_many(subject: Subject) -> str:
    """requests at the same time are all answered"""
    _, client = subject.with_code()
    answers: list = []
    threads = [threading.Thread(target=lambda: answers.append(client.call("GET", "/"))) for _ in range(TOGETHER)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    good = sum(answer.is_success for answer in answers)
    if good != TOGETHER:
        raise Wrong(f"{good} of {TOGETHER} were answered well")
    return ""


def loads_once(subject: Subject) -> str:
    """a pod loads once: other code is refused afterwards"""
    _, client = subject.with_code()
    again = client.load(PACKAGE + "-other", "other") if subject.contract == "v2" else client.call("POST", "/specialize")
    if again.is_success:
        raise Wrong(f"a second load was answered with {again}")
    if not client.call("GET", "/").is_success:
        raise Wrong("after a refused load the function is gone")
    return ""


def same_again(subject: Subject) -> str:
    """the same load again is fine, or refused in words that the agent knows"""
    _, client = subject.with_code()
    same = client.load(PACKAGE, subject.wanted.entrypoint) if subject.contract == "v2" else client.call("POST", "/specialize")
    if not same.is_success and not any(word in same.body.lower() for word in ALREADY):
        raise Wrong(f"it was answered with {same}")
    return "" if same.is_success else f"refused: {same}"


def tells_bad_code(subject: Subject) -> str:
    """code that is wrong is refused with words about it, and the process lives on"""
    if not subject.wanted.is_probe:
        raise NotApplicable("it is not known how to break this package")
    with subject.running() as (container, client):
        answer = subject.load(container, client, broken=True)
        if answer.is_success:
            raise Wrong(f"code with a syntax error was loaded: {answer}")
        if not answer.body.strip():
            raise Wrong(f"it says {answer.status} and no word of what is wrong")
        if container.exit_code(0) is not None:
            raise Wrong("the process ended")
        return answer.body.strip().replace("\n", " ")[:120]


def tells_missing_code(subject: Subject) -> str:
    """a load of what is not there is refused"""
    _, client = subject.without_code()
    answer = client.load("/userfunc/code/nowhere", "main.main")
    if answer.status == 404:
        answer = client.call("POST", "/specialize")
    if answer.is_success:
        raise Wrong(f"it was answered with {answer}")
    return ""


def takes_env(subject: Subject) -> str:
    """variables come with the load"""
    if not subject.wanted.is_probe:
        raise NotApplicable("the package is not a probe that says what it was asked")
    with subject.loaded(env={"PROBE": "seen"}) as (_, client):
        answer = client.call("GET", "/env")
        if answer.body.strip() != "seen":
            raise NotApplicable("it ignores `env`: functions with variables get pods of their own (no `envAtLoad`)")
        return "its Environment may say `envAtLoad: true`"


def refuses_strangers(subject: Subject) -> str:
    """loads come from this pod alone"""
    with subject.running() as (container, client):
        subject.put(container)
        answer = client.load(PACKAGE, subject.wanted.entrypoint, outside=True)
        if answer.is_success:
            raise NotApplicable("it takes a load from other pods too: keep them away by NetworkPolicies")
        if answer.status == 404:
            raise NotApplicable("the first contract: keep other pods away by NetworkPolicies")
        return f"{answer.status}"


def ends(subject: Subject) -> str:
    """SIGTERM ends it"""
    with subject.running() as (container, _):
        container.signal("TERM")
        code = container.exit_code(ENDS_WITHIN)
        if code is None:
            raise Wrong(f"{ENDS_WITHIN} s after it, the process still runs: every end of a pod would take the whole grace period")
        return f"with {code}"


# With the contract that promises each: of the image alone, of v1 and v2, or what Muon's own images add.
CHECKS: tuple[tuple[str, Callable[[Subject], str]], ...] = (
    ("pod", starts),
    ("v2", health),
    ("v1, v2", nothing_before),
    ("v1, v2", loads),
    ("v1, v2", answers),
    ("v1, v2", passes_all),
    ("http", keeps_connections),
    ("http", takes_many),
    ("v1, v2", loads_once),
    ("v1, v2", same_again),
    ("v1, v2", tells_bad_code),
    ("v1, v2", tells_missing_code),
    ("muon", takes_env),
    ("muon", refuses_strangers),
    ("pod", ends),
)


def name_of(check: Callable) -> str:
    """What a check is called in reports."""
    return (check.__doc__ or check.__name__).strip()


def judge(contract: str, check: Callable[[], str], name: str) -> Finding:
    """Carries one check out."""
    try:
        return Finding(name, contract, PASS, check())
    except NotApplicable as reason:
        return Finding(name, contract, NOT_APPLICABLE, str(reason))
    except (Wrong, OSError) as wrong:
        return Finding(name, contract, FAIL, str(wrong) or type(wrong).__name__)


def run(subject: Subject, note: Callable[[str], None] = lambda _: None) -> list[Finding]:
    """Every check; where the image does not even start, nothing else."""
    findings = []
    for contract, check in CHECKS:
        note(name_of(check))
        findings.append(judge(contract, lambda check=check: check(subject), name_of(check)))
        if check is starts and findings[-1].verdict == FAIL:
            break
    return findings
