"""A destination is asked, paused and resumed: its queue keeps, and what waited goes on where it was."""

from pathlib import Path

import pydicom
import pytest

from dicomnode.dimse.storage_scu import StorageSCU
from dicomnode.dimse.verification import VerificationSCU
from dicomnode.domain.delivery import Endpoint
from dicomnode.domain.derivation import Derivation
from dicomnode.domain.errors import DestinationRefused, DestinationUnreachable, NotInLedger
from dicomnode.domain.steps import Done
from dicomnode.domain.uids import AETitle
from dicomnode.imaging.trial_instance import TRIAL_PATIENT, write_trial_instance
from dicomnode.imaging.validator import validate
from dicomnode.journey.deliver import Delivering, Outlet
from dicomnode.journey.destinations import DestinationBook, Trial
from dicomnode.journey.jobs import DELIVER
from dicomnode.ledger.deliveries import delivery_counts, outstanding
from tests.builders import a_series
from tests.journey.bench import Bench
from tests.journey.test_deliver import Pacs
from tests.nodes import RememberingPacs, free_port
from tests.web.holdings import Holdings, a_synthetic_series

SLICES = 3
CALLING = AETitle("DICOMNODE")


@pytest.fixture
def pacs() -> Pacs:
    return Pacs()


@pytest.fixture
def derivation(bench: Bench) -> Derivation:
    """A derivation whose series waits to be sent to the PACS."""
    holdings = Holdings(bench.ledger, bench.spool, bench.clock)
    asked = holdings.ask(holdings.receive(a_series(slices=SLICES, shape=(4, 4))))
    holdings.derive(asked, a_synthetic_series("study", "derived", slices=SLICES, shape=(4, 4)))
    return asked


def _book(bench: Bench, *endpoints: Endpoint, trial: Trial | None = None) -> DestinationBook:
    verification = VerificationSCU(CALLING, 5)
    return DestinationBook(bench.ledger, bench.queues, bench.clock, verification, endpoints, trial)


def _delivering(bench: Bench, pacs: Pacs) -> Delivering:
    return Delivering(bench.ledger, bench.spool, bench.clock, {"pacs": Outlet(destination=pacs)}, 3)


def _counts(bench: Bench, derivation: Derivation) -> dict[str, int]:
    with bench.ledger.transaction() as tx:
        return delivery_counts(tx, derivation.key, "pacs")


def test_nothing_is_sent_to_a_destination_that_is_paused(bench: Bench, derivation: Derivation, pacs: Pacs) -> None:
    book = _book(bench, pacs.endpoint)
    assert book.pause("pacs", "olga", "the archive is moved") == "pacs is paused; what goes there waits."
    assert book.pause("pacs", "piet", "again") == "pacs was paused already."
    deliver = _delivering(bench, pacs)
    said = "pacs is paused by olga (the archive is moved); what goes there waits until somebody resumes it."
    for _again in range(2):
        assert deliver(derivation.key, "pacs", attempt=1) == Done(said=said), "no attempt of it is counted"
    assert pacs.sent == []
    assert _counts(bench, derivation) == {"queued": SLICES}
    (event,) = bench.events("deliver")
    assert (event.state, event.text) == ("waiting", said)
    (state,) = book.states()
    assert state.pause is not None
    assert (state.pause.by, state.tally.waiting) == ("olga", SLICES)


def test_what_waited_goes_on_when_it_is_resumed(bench: Bench, derivation: Derivation, pacs: Pacs) -> None:
    book, deliver = _book(bench, pacs.endpoint), _delivering(bench, pacs)
    book.pause("pacs", "olga", "moved")
    deliver(derivation.key, "pacs", attempt=1)
    before = bench.jobs(DELIVER)
    assert book.resume("pacs", "piet") == "pacs is resumed; 1 derived series that waited go there now."
    (job,) = set(bench.jobs(DELIVER)) - set(before)
    assert job.startswith(f"deliver:{derivation.key}:pacs:round2")
    assert deliver(derivation.key, "pacs", attempt=1) == Done(said="Stored at pacs (PACS)")
    assert _counts(bench, derivation) == {"stored": SLICES}
    assert [event.state for event in bench.events("deliver")] == ["waiting", "waiting", "done"]
    assert book.resume("pacs", "piet") == "pacs was not paused."


def test_a_pause_holds_up_no_other_destination(bench: Bench, derivation: Derivation, pacs: Pacs) -> None:
    other = Endpoint(name="archive", ae_title=AETitle("ARCHIVE"), host="archive.example", port=104)
    book = _book(bench, pacs.endpoint, other)
    book.pause("archive", "olga", "")
    assert book.find("archive").pause is not None
    assert _delivering(bench, pacs)(derivation.key, "pacs", attempt=1) == Done(said="Stored at pacs (PACS)")


def test_resuming_leaves_what_was_sent_alone(bench: Bench, derivation: Derivation, pacs: Pacs) -> None:
    book, deliver = _book(bench, pacs.endpoint), _delivering(bench, pacs)
    deliver(derivation.key, "pacs", attempt=1)
    book.pause("pacs", "olga", "moved")
    book.resume("pacs", "olga")
    with bench.ledger.transaction() as tx:
        assert outstanding(tx, derivation.key, "pacs") == ()
    assert len(pacs.sent) == 1


def test_an_echo_is_kept_whether_it_succeeds_or_not(bench: Bench) -> None:
    with RememberingPacs() as pacs:
        port = pacs.destination.port
        there = Endpoint(name="pacs", ae_title=AETitle("PACS"), host="127.0.0.1", port=port)
        away = Endpoint(name="away", ae_title=AETitle("AWAY"), host="127.0.0.1", port=free_port())
        book = _book(bench, there, away)
        assert book.echo("pacs").failure == ""
        assert book.echo("away").failure
        assert [bool(state.echo and state.echo.failure) for state in book.states()] == [False, True]


def test_only_what_is_configured_has_buttons(bench: Bench, pacs: Pacs) -> None:
    book = _book(bench, pacs.endpoint)
    assert book.names() == ("pacs",)
    for verb in (
        lambda: book.echo("other"),
        lambda: book.pause("other", "olga", ""),
        lambda: book.resume("other", "olga"),
        lambda: book.try_out("other"),
        lambda: book.find("other"),
        lambda: book.try_out("pacs"),
    ):
        with pytest.raises(NotInLedger):
            verb()


def test_a_test_instance_is_of_no_patient_and_goes_there_whole(bench: Bench, pacs: Pacs) -> None:
    book = _book(bench, pacs.endpoint, trial=Trial(make=write_trial_instance, destinations=[pacs]))
    said = book.try_out("pacs")
    ((uid, arrived),) = pacs.held.items()
    assert said == f"pacs took the test instance {uid}; it can be deleted there."
    assert (arrived.PatientName, arrived.PatientID) == TRIAL_PATIENT
    assert "NO PATIENT" in arrived.SeriesDescription
    assert arrived.pixel_array.shape == (64, 64)
    book.try_out("pacs")
    assert len({held.StudyInstanceUID for held in pacs.held.values()}) == 2, "each under UIDs of its own"
    pacs.away = DestinationUnreachable("pacs is away")
    with pytest.raises(DestinationUnreachable):
        book.try_out("pacs")


def test_a_refused_test_instance_says_with_which_status(bench: Bench) -> None:
    class Refusing(Pacs):
        def _store(self, item, place):  # type: ignore[no-untyped-def]
            self.answers[item.sop_instance_uid] = 0xA900
            return super()._store(item, place)

    pacs = Refusing()
    book = _book(bench, pacs.endpoint, trial=Trial(make=write_trial_instance, destinations=[pacs]))
    with pytest.raises(DestinationRefused, match="0xA900"):
        book.try_out("pacs")


def test_a_test_instance_passes_a_storage_scp(bench: Bench) -> None:
    with RememberingPacs() as pacs:
        where = Endpoint(name="pacs", ae_title=AETitle("PACS"), host="127.0.0.1", port=pacs.destination.port)
        trial = Trial(make=write_trial_instance, destinations=[StorageSCU(where, CALLING)])
        said = _book(bench, where, trial=trial).try_out("pacs")
        assert pacs.received[0] in said


def test_a_test_instance_is_a_valid_secondary_capture(bench: Bench, tmp_path: Path) -> None:
    written = write_trial_instance(tmp_path, bench.clock.now())
    assert validate(Path(written.file)).errors == ()
    assert pydicom.dcmread(written.file).StudyDate == "20260301"
