"""Calls a sample through the Ingress as a client on this machine would, and times it."""

import http.client
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from .failure import Failure
from .instance import INGRESS_PORT, Addresses
from .processes import wait_until

PATH = "/"
WARM_CALLS = 21
ROUTE_SECONDS = 30
METHOD_NOT_ALLOWED = 405


@dataclass(frozen=True)
class Answer:
    """One reply and how long it took."""

    status: int
    body: str
    # What Muon says of it in a header: "cold" or "warm".
    start: str
    milliseconds: float


@dataclass(frozen=True)
class Timing:
    """The first call and the middle one of the calls after it."""

    reply: str
    first_milliseconds: float
    warm_milliseconds: float
    # Whether nothing of the function ran before the first call.
    was_cold: bool


def sample_for(environments: Sequence[str]) -> str:
    """The sample that shows the first of these Environments; each has one of its name."""
    return f"hello-{environments[0]}"


def host_of(sample: str) -> str:
    """Where a sample answers."""
    return f"{sample}.example.com"


def time_sample(addresses: Addresses, sample: str) -> Timing:
    """Waits until the sample's route is served, then calls it cold and warm."""
    host = host_of(sample)
    _wait_for_route(addresses, host)
    first = call(addresses, host, PATH)
    if first.status != 200:
        raise Failure(f"{host}{PATH} answered {first.status}: {first.body.strip()[:300]}")
    warm = [call(addresses, host, PATH).milliseconds for _ in range(WARM_CALLS)]
    return Timing(first.body, first.milliseconds, statistics.median(warm), first.start == "cold")


def call(addresses: Addresses, host: str, path: str, method: str = "GET") -> Answer:
    """One request to the Ingress port, on a connection of its own."""
    connection = http.client.HTTPConnection(addresses.node, INGRESS_PORT, timeout=60)
    start = time.perf_counter()
    try:
        connection.request(method, path, headers={"Host": host})
        reply = connection.getresponse()
        body = reply.read().decode(errors="replace")
    except OSError as error:
        raise Failure(f"no answer from the Ingress port {addresses.node}:{INGRESS_PORT}: {error}") from error
    finally:
        connection.close()
    return Answer(reply.status, body, reply.headers.get("muon-start", ""), (time.perf_counter() - start) * 1000)


def _wait_for_route(addresses: Addresses, host: str) -> None:
    """Waits for the Ingress controller, which takes Ingresses in on its own time, to know the host.

    By a method that the sample's route refuses: asking for the sample itself would warm it.
    """
    if not wait_until(lambda: call(addresses, host, PATH, "POST").status == METHOD_NOT_ALLOWED, ROUTE_SECONDS):
        answer = call(addresses, host, PATH, "POST")
        raise Failure(f"{host} has no route after {ROUTE_SECONDS} s: {answer.status} {answer.body.strip()[:300]}")
