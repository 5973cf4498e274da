"""The fast sender: so many associations, a process each, that do nothing while the clock runs but send and wait.

`python -m deploy.bench.sender ORDER` takes an order and prints an outcome, both as JSON.
"""

import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from deploy.bench.association import Acceptor, AssociationRequestor, store_request
from deploy.bench.data_sets import Templates
from deploy.bench.statistic import percentile

_FORK = multiprocessing.get_context("fork")
_MESSAGE_IDS = 65_535
_SUCCESS = 0x0000


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be sent: so many instances made of the files in a folder, by so many senders at once."""

    host: str
    port: int
    ae_title: str
    folder: str
    count: int
    senders: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of an order; times in seconds or milliseconds as named, bytes of data sets."""

    instances: int
    refused: int
    size: int
    seconds: float
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    sender_cpu_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Share:
    """What one sender saw; `began` and `ended` on the clock that all processes share."""

    began: float
    ended: float
    cpu_seconds: float
    size: int
    latencies: Sequence[float]
    refused: int


def carry_out(order: Order) -> Outcome:
    """Send what is ordered; raises ConnectionError or EOFError when a peer or a sender gives up."""
    templates = Templates(Path(order.folder))
    acceptor = Acceptor(host=order.host, port=order.port, ae_title=order.ae_title)
    with AssociationRequestor(acceptor, templates.sop_class_uid) as probe:
        pdu_length = probe.pdu_length
    senders = [_start(order, templates, number, pdu_length) for number in range(order.senders)]
    for _process, line in senders:
        line.recv()
    for _process, line in senders:
        line.send(None)
    shares: list[_Share] = [line.recv() for _process, line in senders]
    for process, _line in senders:
        process.join()
    return _sum_up(shares)


def _start(order: Order, templates: Templates, number: int, pdu_length: int) -> tuple[BaseProcess, Connection]:
    """Start one sender; it says when it is ready, and waits for the word."""
    ours, theirs = _FORK.Pipe()
    process = _FORK.Process(target=_send_share, args=(order, templates, number, pdu_length, theirs))
    process.start()
    theirs.close()
    return process, ours


def _send_share(order: Order, templates: Templates, number: int, pdu_length: int, line: Connection) -> None:
    """Be one sender: encode everything, wait for the word, send, and tell what happened."""
    numbers = range(number, order.count, order.senders)
    instances = (templates.instance(one) for one in numbers)
    requests = [store_request(one, turn % _MESSAGE_IDS + 1, pdu_length) for turn, one in enumerate(instances)]
    size = sum(map(len, requests))
    line.send("ready")
    line.recv()
    acceptor = Acceptor(host=order.host, port=order.port, ae_title=order.ae_title)
    latencies, refused, cpu = [], 0, time.process_time()
    began = time.monotonic()
    with AssociationRequestor(acceptor, templates.sop_class_uid) as association:
        last = time.monotonic()
        for request in requests:
            refused += association.store(request) != _SUCCESS
            now = time.monotonic()
            latencies.append(now - last)
            last = now
    line.send(
        _Share(
            began=began,
            ended=last,
            cpu_seconds=time.process_time() - cpu,
            size=size,
            latencies=latencies,
            refused=refused,
        )
    )


def _sum_up(shares: Sequence[_Share]) -> Outcome:
    latencies = sorted(latency * 1000 for share in shares for latency in share.latencies)
    return Outcome(
        instances=len(latencies),
        refused=sum(share.refused for share in shares),
        size=sum(share.size for share in shares),
        seconds=max(share.ended for share in shares) - min(share.began for share in shares),
        p50_ms=percentile(latencies, 0.50),
        p95_ms=percentile(latencies, 0.95),
        p99_ms=percentile(latencies, 0.99),
        sender_cpu_seconds=sum(share.cpu_seconds for share in shares),
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(carry_out(Order(**json.loads(sys.argv[1]))))))
