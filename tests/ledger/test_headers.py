"""Headers are kept once, found by their instance, and gone with it."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from dicomnode.domain.study import StoredInstance
from dicomnode.domain.uids import SOPInstanceUID
from dicomnode.ledger.headers import (
    KeptHeader,
    keep_headers,
    kept_documents,
    last_before,
    last_received_at,
    unread_instances,
)
from dicomnode.ledger.reception import record_received
from dicomnode.ledger.studies import list_instances
from dicomnode.ledger.tables import HeaderRow, InstanceRow
from dicomnode.ledger.transaction import Ledger
from tests.databases import POSTGRESQL
from tests.ledger.values import NOW, STUDY, later, received

HEADER = KeptHeader(summary='{"00100020":{}}', document=b"\x78\x00\xff")


def _receive(ledger: Ledger, count: int) -> tuple[StoredInstance, ...]:
    with ledger.transaction() as tx:
        for number in range(1, count + 1):
            record_received(tx, received(number, at=later(number)))
        return list_instances(tx, STUDY)


def _unread(ledger: Ledger, after: int = 0, limit: int = 100) -> list[str]:
    with ledger.transaction() as tx:
        return [instance.sop_instance_uid for instance in unread_instances(tx, after, limit).values()]


def _keep(ledger: Ledger, header: KeptHeader, *instances: StoredInstance) -> None:
    with ledger.transaction() as tx:
        keep_headers(tx, [(instance, header) for instance in instances])


def _rows(ledger: Ledger) -> list[tuple[str | None, bytes | None, str]]:
    with ledger.transaction() as tx:
        found = tx.session.execute(sa.select(HeaderRow).order_by(HeaderRow.instance_id)).scalars()
        return [(row.summary, row.document, row.problem) for row in found]


def test_what_is_not_read_yet_is_listed_oldest_first_within_its_bounds(ledger: Ledger) -> None:
    instances = _receive(ledger, 4)
    uids = [instance.sop_instance_uid for instance in instances]
    assert _unread(ledger) == uids
    assert _unread(ledger, limit=2) == uids[:2]
    _keep(ledger, HEADER, instances[0], instances[2])
    assert _unread(ledger) == [uids[1], uids[3]]
    with ledger.transaction() as tx:
        second = last_before(tx, later(3))
        assert (last_before(tx, NOW), last_received_at(tx)) == (0, later(4))
    assert _unread(ledger, after=second) == [uids[3]]


def test_a_content_that_is_not_in_use_needs_no_header(ledger: Ledger) -> None:
    _receive(ledger, 1)
    with ledger.transaction() as tx:
        record_received(tx, received(1, digest="f" * 64))
    assert len(_unread(ledger)) == 1


def test_an_empty_ledger_has_nothing_to_read(ledger: Ledger) -> None:
    assert _unread(ledger) == []
    with ledger.transaction() as tx:
        assert (last_received_at(tx), last_before(tx, NOW)) == (None, 0)


def test_a_header_is_found_as_it_was_kept(ledger: Ledger) -> None:
    first, second = _receive(ledger, 2)
    _keep(ledger, HEADER, first)
    with ledger.transaction() as tx:
        asked = [first.sop_instance_uid, second.sop_instance_uid, *(SOPInstanceUID(f"1.9.{n}") for n in range(700))]
        assert kept_documents(tx, asked) == {first.sop_instance_uid: HEADER.document}


def test_a_header_that_stands_is_left_and_a_problem_gives_way_to_a_header(ledger: Ledger) -> None:
    (instance,) = _receive(ledger, 1)
    _keep(ledger, KeptHeader(problem="gone"), instance)
    assert _unread(ledger) == []
    assert _rows(ledger) == [(None, None, "gone")]
    _keep(ledger, HEADER, instance)
    _keep(ledger, KeptHeader(problem="gone again"), instance)
    _keep(ledger, replace(HEADER, summary="{}"), instance)
    assert _rows(ledger) == [(HEADER.summary, HEADER.document, "")]


def test_a_header_goes_with_its_instance_and_none_comes_without_one(ledger: Ledger) -> None:
    instances = _receive(ledger, 3)
    _keep(ledger, HEADER, *instances[:2])
    with ledger.transaction() as tx:
        tx.session.execute(sa.delete(InstanceRow).where(InstanceRow.sop_instance_uid == instances[0].sop_instance_uid))
    assert len(_rows(ledger)) == 1
    _keep(ledger, HEADER, *instances)
    assert len(_rows(ledger)) == 2


@pytest.mark.parametrize("database_url", [POSTGRESQL], indirect=True)
def test_two_processes_do_not_read_the_same(ledger: Ledger) -> None:
    uids = [instance.sop_instance_uid for instance in _receive(ledger, 4)]
    with ledger.transaction() as tx:
        first = unread_instances(tx, 0, 2)
        assert _unread(ledger) == uids[2:]
        keep_headers(tx, [(instance, HEADER) for instance in first.values()])
    assert _unread(ledger) == uids[2:]
