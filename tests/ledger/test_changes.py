"""Whatever grows the ledger is seen, with the studies it was about."""

from dicomnode.ledger.changes import Progress, progress, studies_since
from dicomnode.ledger.quarantine import Stray, record_strays
from dicomnode.ledger.reception import record_received
from dicomnode.ledger.refusals import record_refusals
from dicomnode.ledger.timeline import write_event
from dicomnode.ledger.transaction import Ledger
from tests.ledger.values import NOW, STUDY, a_refusal, received


def test_an_empty_ledger_is_at_its_beginning(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        assert progress(tx) == Progress()
        assert studies_since(tx, Progress()) == ()


def test_each_thing_that_happens_is_progress(ledger: Ledger) -> None:
    seen = [Progress()]

    def grew() -> tuple[str, ...]:
        with ledger.transaction() as tx:
            seen.append(progress(tx))
            assert seen[-1] != seen[-2]
            return studies_since(tx, seen[-2])

    with ledger.transaction() as tx:
        record_received(tx, received(1))
    assert grew() == (STUDY,)
    with ledger.transaction() as tx:
        write_event(tx, "1.2.3", at=NOW, step="decide", state="done", text="done")
    assert grew() == ("1.2.3",)
    with ledger.transaction() as tx:
        record_refusals(tx, [a_refusal()])
    assert grew() == ()
    with ledger.transaction() as tx:
        record_refusals(tx, [a_refusal(times=3)])
    assert grew() == ()
    with ledger.transaction() as tx:
        record_strays(tx, [Stray(path="q/a", size=1, calling_ae="A", sop_instance_uid="")], "why", NOW)
    assert grew() == ()
