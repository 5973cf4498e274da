"""The audit trail as rows, in both databases."""

from datetime import timedelta

from dicomnode.domain.audit import AuditAction, AuditEvent, AuditOutcome
from dicomnode.ledger.audit import (
    AuditOutlet,
    AuditQuery,
    last_settings,
    list_audit,
    note_told,
    patient_of,
    record_audit,
    untold,
)
from dicomnode.ledger.transaction import Ledger
from tests.builders import uid
from tests.conftest import FakeClock

STUDY = uid("study")


def _write(ledger: Ledger, clock: FakeClock) -> None:
    events = [
        AuditEvent(at=clock.now(), who="ann", action=AuditAction.LOGIN, kind="password", address="10.0.0.1"),
        AuditEvent(at=clock.now(), who="ann", action=AuditAction.SEE, study_instance_uid=STUDY),
        AuditEvent(
            at=clock.now() + timedelta(days=1),
            who="bob",
            action=AuditAction.CHANGE,
            kind="edit-peers",
            object="CT2",
            outcome=AuditOutcome.MINOR_FAILURE,
            detail={"done": "put_peer", "before": ["a", "b"]},
        ),
    ]
    for event in events:
        with ledger.transaction() as tx:
            record_audit(tx, event)


def test_what_is_written_is_read(ledger: Ledger, clock: FakeClock) -> None:
    _write(ledger, clock)
    with ledger.transaction() as tx:
        last, seen, first = list_audit(tx, AuditQuery())
    assert (last.event.who, last.event.detail) == ("bob", {"done": "put_peer", "before": ["a", "b"]})
    assert seen.event.study_instance_uid == STUDY
    assert (first.event.address, first.event.outcome) == ("10.0.0.1", AuditOutcome.SUCCESS)
    assert last.id > seen.id > first.id


def test_the_database_filters(ledger: Ledger, clock: FakeClock) -> None:
    _write(ledger, clock)

    def found(query: AuditQuery) -> list[AuditAction]:
        with ledger.transaction() as tx:
            return [one.event.action for one in list_audit(tx, query)]

    login, see, change = AuditAction.LOGIN, AuditAction.SEE, AuditAction.CHANGE
    day = timedelta(days=1)
    assert found(AuditQuery(who="ann")) == [see, login]
    assert found(AuditQuery(action=change)) == [change]
    assert found(AuditQuery(object=STUDY)) == [see]
    assert found(AuditQuery(object="CT2")) == [change]
    assert found(AuditQuery(failures_only=True)) == [change]
    assert found(AuditQuery(since=clock.now(), until=clock.now() + day)) == [see, login]
    assert found(AuditQuery(since=clock.now() + day)) == [change]
    with ledger.transaction() as tx:
        assert [one.event.action for one in list_audit(tx, AuditQuery(), limit=1, offset=1)] == [see]


def test_each_outlet_is_told_each_line_once(ledger: Ledger, clock: FakeClock) -> None:
    _write(ledger, clock)
    with ledger.transaction() as tx:
        first, second = untold(tx, AuditOutlet.FILE, 2)
        note_told(tx, AuditOutlet.FILE, [first.id, second.id], clock.now())
    with ledger.transaction() as tx:
        assert [one.event.who for one in untold(tx, AuditOutlet.FILE, 10)] == ["bob"]
        assert len(untold(tx, AuditOutlet.SYSLOG, 10)) == 3


def test_the_last_settings_are_known(ledger: Ledger, clock: FakeClock) -> None:
    with ledger.transaction() as tx:
        assert last_settings(tx) == ""
    for digest in ("one", "two"):
        with ledger.transaction() as tx:
            record_audit(tx, AuditEvent(at=clock.now(), who="x", action=AuditAction.SETTINGS, object=digest))
    with ledger.transaction() as tx:
        assert last_settings(tx) == "two"
        assert patient_of(tx, STUDY) == ""
