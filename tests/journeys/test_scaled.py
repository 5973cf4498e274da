"""A node in two processes on PostgreSQL: one receives and shows, the other works."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomnode.node.settings import Role
from tests.nodes import COPY_RULE, RememberingPacs, ServingNode, unpack_brain
from tests.postgresql import PostgresqlServer

pytestmark = [pytest.mark.peer, pytest.mark.timeout(300)]


@pytest.fixture
def pacs() -> Iterator[RememberingPacs]:
    with RememberingPacs() as running:
        yield running


@pytest.fixture
def database(postgresql: PostgresqlServer) -> Iterator[str]:
    postgresql.create("scaled")
    yield postgresql.url("scaled")
    postgresql.drop("scaled")


def test_a_dead_worker_is_replaced_by_another(tmp_path: Path, pacs: RememberingPacs, database: str) -> None:
    _t1, t2 = unpack_brain(tmp_path / "study")
    shared = {"database": database, "data": tmp_path / "shared", "lease_seconds": 4}
    front = ServingNode(tmp_path / "front", pacs.destination, COPY_RULE, roles=(Role.RECEIVE, Role.WEB), **shared)
    first, second = (
        ServingNode(tmp_path / name, pacs.destination, COPY_RULE, roles=(Role.WORK, Role.GPU, Role.WEB), **shared)
        for name in ("first", "second")
    )
    front.start()
    first.start()
    try:
        front.send(t2)
        front.wait_for("running")
        first.kill()
        second.start()
        front.wait_for("derived")
        front.wait_delivered()
        assert len(front.derivations()) == 1
        assert len(pacs.received) == len(t2)
    finally:
        for node in (front, first, second):
            node.kill()
