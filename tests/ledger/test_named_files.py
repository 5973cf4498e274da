"""Which files the ledger names, and what it tells of them once."""

import random

from dicomnode.ledger.named_files import NamedFile, files_named, named_files, quarantined_paths, tell_once
from dicomnode.ledger.reception import record_quarantined, record_received
from dicomnode.ledger.timeline import timeline
from dicomnode.ledger.transaction import Ledger
from tests.ledger.values import NOW, SENDER, SERIES, STUDY, later, received


def _named(number: int) -> NamedFile:
    receipt = received(number)
    return NamedFile(
        path=receipt.path,
        digest=receipt.digest,
        study_instance_uid=STUDY,
        sop_instance_uid=receipt.header.sop_instance_uid,
    )


def test_the_files_of_all_contents_are_listed_in_the_order_of_their_paths(ledger: Ledger) -> None:
    digests = [random.Random(seed).randbytes(32).hex() for seed in range(50)]
    with ledger.transaction() as tx:
        for number, digest in enumerate(digests):
            record_received(tx, received(number // 2, digest=digest))
    with ledger.transaction() as tx:
        listed = list(named_files(tx))
    assert [file.digest for file in listed] == sorted(digests)
    assert {file.sop_instance_uid for file in listed} == {f"{SERIES}.{number}" for number in range(25)}


def test_rows_are_found_by_any_number_of_paths(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        for number in range(1, 1203):
            record_received(tx, received(number))
        asked = [received(number).path for number in range(2, 1300)]
        assert {file.path for file in files_named(tx, asked)} == set(asked[:1201])
        assert files_named(tx, ()) == ()
        assert files_named(tx, asked[:1]) == (_named(2),)


def test_quarantined_paths_are_given_once(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        assert quarantined_paths(tx) == frozenset()
        for _ in range(2):
            record_quarantined(tx, SENDER, received().header.sop_instance_uid, ("quarantine/ab/ab.dcm", 1), "no", NOW)
        assert quarantined_paths(tx) == {"quarantine/ab/ab.dcm"}


def test_a_file_is_told_once_for_each_state(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        assert tell_once(tx, [_named(1), _named(2)], "missing", "{count} are missing.", NOW) == 2
    with ledger.transaction() as tx:
        assert tell_once(tx, [_named(1)], "missing", "{count} are missing.", later(1)) == 0
        assert tell_once(tx, [_named(1), _named(3)], "missing", "{count} are missing.", later(2)) == 1
        assert tell_once(tx, [_named(1)], "damaged", "{count} are damaged.", later(3)) == 1
    with ledger.transaction() as tx:
        told = [(event.state, event.text, event.at) for event in timeline(tx, STUDY)]
    assert told == [
        ("missing", "2 are missing.", NOW),
        ("missing", "1 are missing.", later(2)),
        ("damaged", "1 are damaged.", later(3)),
    ]
