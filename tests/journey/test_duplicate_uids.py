"""A SOP Instance UID that comes with other content: the first content stays in use, all are kept, a person is told."""

from datetime import timedelta
from itertools import permutations

import pytest
import sqlalchemy as sa
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from dicomnode.dimse.verification import VerificationSCU
from dicomnode.domain.archive import EXPLICIT_VR_LITTLE_ENDIAN
from dicomnode.domain.uids import AETitle
from dicomnode.journey.archive import LedgerArchive
from dicomnode.journey.peers import PeerBook
from dicomnode.ledger.studies import find_study
from dicomnode.ledger.tables import InstanceRow
from dicomnode.web.app import create_app
from dicomnode.web.site import Listener, Site
from tests.builders import a_series, uid, with_file_meta
from tests.journey.bench import STUDY, Bench, t2
from tests.web.holdings import Browser, PressedButtons


def _content(name: str) -> Dataset:
    (dataset,) = a_series(slices=1, shape=(8, 6), SeriesDescription=name)
    return dataset


CONTENTS = {name: _content(name) for name in ("first", "second", "third")}


def _rows(bench: Bench) -> list[tuple[str, bool]]:
    with bench.ledger.transaction() as tx:
        found = tx.session.execute(sa.select(InstanceRow.digest, InstanceRow.in_use).order_by(InstanceRow.id))
        return [(digest, in_use) for digest, in_use in found.all()]


@pytest.mark.parametrize(
    "order", [*permutations(CONTENTS, 2), ("first", "second", "first", "third", "second")], ids=str
)
def test_the_first_content_stays_in_use_and_every_other_is_kept_and_told_once(
    bench: Bench, order: tuple[str, ...]
) -> None:
    for name in order:
        bench.clock.advance(1)
        bench.receive([CONTENTS[name]])

    rows = _rows(bench)
    assert [in_use for _digest, in_use in rows] == [True] + [False] * (len(set(order)) - 1)
    for digest, _in_use in rows:
        assert (bench.spool.root / "instances" / digest[:2] / f"{digest}.dcm").is_file()
    (in_use,) = bench.instances()
    assert in_use.digest == rows[0][0]
    told = [event for event in bench.events("receive") if event.state == "conflict"]
    assert len(told) == len(set(order)) - 1
    assert all(uid("study", "series", "0") in event.text for event in told)


def test_a_conflict_is_no_news_for_a_study_that_is_complete(bench: Bench) -> None:
    series = t2()
    bench.receive(series)
    bench.complete()
    series[1].ImageComments = "edited on the way"
    bench.clock.advance(3600)
    bench.receive(series)
    bench.clock.advance(3600)
    assert bench.completion().sweep() == ()
    with bench.ledger.transaction() as tx:
        study = find_study(tx, STUDY)
    assert (study.instances, study.revision, study.is_complete) == (len(series), 1, True)


def test_the_same_instance_in_another_transfer_syntax_is_other_content(bench: Bench) -> None:
    bench.receive([CONTENTS["first"]])
    bench.receive([with_file_meta(_content("first"), ImplicitVRLittleEndian)])
    assert [in_use for _digest, in_use in _rows(bench)] == [True, False]
    assert bench.instances()[0].transfer_syntax_uid == EXPLICIT_VR_LITTLE_ENDIAN


def test_the_studys_page_shows_the_conflict(bench: Bench) -> None:
    bench.receive([CONTENTS["first"]], [CONTENTS["second"]])
    site = Site(
        ledger=bench.ledger,
        archive=LedgerArchive(bench.ledger, bench.spool),
        operator=PressedButtons(bench.ledger),
        peers=PeerBook(bench.ledger, bench.clock, VerificationSCU(AETitle("DICOMNODE"))),
        clock=bench.clock,
        lease=timedelta(seconds=30),
        listener=Listener(ae_title=AETitle("DICOMNODE"), host="127.0.0.1", port=11112),
        version="0.1.0",
    )
    page = Browser(create_app(site)).get(f"/studies/{STUDY}")
    assert page.status_code == 200
    assert '<span class="state" data-tone="wait">conflict</span>' in page.text
    assert "came again with other content; both are kept, the first stays in use." in page.text
