"""The trail under trouble: a ledger that does not answer, and a repository that goes away in the middle."""

import pytest

from dicomnode.domain.account import Visitor
from dicomnode.domain.audit import AuditAction
from dicomnode.domain.errors import LedgerUnavailable
from dicomnode.journey.audit import AuditChannel, AuditDispatch, AuditTrail, Deed
from dicomnode.journey.audit_message import AuditSource
from dicomnode.ledger.audit import AuditOutlet, AuditQuery, AuditRecord
from dicomnode.ledger.transaction import Ledger
from tests.conftest import FakeClock

ADA = Visitor(name="ada", permissions=frozenset(), session="s1")
SEE = Deed(action=AuditAction.SEE, study_instance_uid="1.2.3")
SOURCE = AuditSource(ae_title="DICOMNODE", host="node.example")


class Repository:
    """Takes so many messages, and no more."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken: list[int] = []

    def put(self, _message: bytes, record: AuditRecord) -> None:
        if len(self.taken) >= self.most:
            raise ConnectionResetError("the repository went away")
        self.taken.append(record.id)


@pytest.fixture
def trail(ledger: Ledger, clock: FakeClock) -> AuditTrail:
    return AuditTrail(ledger, clock)


def test_a_look_that_could_not_be_written_is_written_the_next_time(
    trail: AuditTrail, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*_given: object) -> None:
        raise LedgerUnavailable("the database went away")

    with monkeypatch.context() as broken:
        broken.setattr("dicomnode.journey.audit.record_audit", unavailable)
        with pytest.raises(LedgerUnavailable):
            trail.look(ADA, SEE, "")
    trail.look(ADA, SEE, "")
    assert [one.event.action for one in trail.lines(AuditQuery())] == [AuditAction.SEE]


def test_a_repository_that_goes_away_in_the_middle_is_told_the_rest(
    trail: AuditTrail, ledger: Ledger, clock: FakeClock
) -> None:
    repository = Repository(most=120)
    channels: dict[AuditOutlet, AuditChannel] = {AuditOutlet.SYSLOG: repository}
    for number in range(250):
        trail.note(ADA, Deed(action=AuditAction.CHANGE, object=str(number)), "")
    ids = [one.id for one in trail.lines(AuditQuery())][::-1]
    for _time in range(2):
        AuditDispatch(ledger, clock, SOURCE, channels).step()
        assert repository.taken == ids[:120]
    repository.most = 1000
    AuditDispatch(ledger, clock, SOURCE, channels).step()
    assert repository.taken == ids
