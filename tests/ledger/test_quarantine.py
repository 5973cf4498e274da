"""The list of what is in quarantine."""

import pytest

from dicomnode.domain.errors import NotInLedger
from dicomnode.domain.uids import SOPInstanceUID
from dicomnode.ledger.quarantine import (
    Quarantined,
    Stray,
    find_quarantined,
    forget_quarantined,
    list_quarantined,
    record_strays,
)
from dicomnode.ledger.reception import record_quarantined
from dicomnode.ledger.transaction import Ledger
from tests.ledger.values import NOW, SENDER, later

_PATH = "quarantine/ab/ab.dcm"


def test_what_was_refused_and_what_was_found_stand_on_one_list(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        record_quarantined(tx, SENDER, SOPInstanceUID("1.2.3"), (_PATH, 17), "no Study UID", NOW)
        stray = Stray(path="quarantine/cd/cd.dcm", size=5, calling_ae="", sop_instance_uid="")
        record_strays(tx, [stray], "kept but never recorded", later(5))
    with ledger.transaction() as tx:
        refused, found = list_quarantined(tx)
        assert find_quarantined(tx, refused.id) == refused
    assert refused == Quarantined(
        id=refused.id,
        at=NOW,
        path=_PATH,
        size=17,
        calling_ae="SCANNER",
        peer_address="10.1.2.3",
        sop_instance_uid="1.2.3",
        reason="no Study UID",
    )
    assert (found.path, found.calling_ae, found.peer_address, found.at) == (stray.path, "", "", later(5))


def test_all_entries_of_the_same_bytes_leave_together(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        for path in (_PATH, "quarantine/cd/cd.dcm", _PATH):
            record_quarantined(tx, SENDER, SOPInstanceUID("1.2.3"), (path, 17), "no Study UID", NOW)
        forget_quarantined(tx, _PATH)
        assert [entry.path for entry in list_quarantined(tx)] == ["quarantine/cd/cd.dcm"]


def test_a_number_that_is_not_there_is_said(ledger: Ledger) -> None:
    with ledger.transaction() as tx, pytest.raises(NotInLedger, match="number 3"):
        find_quarantined(tx, 3)
