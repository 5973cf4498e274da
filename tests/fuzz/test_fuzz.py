"""Thousands of instances, PDU streams and store requests that nobody should send: no crash, no leak, none unaccounted.

Each case is made from its kind and number alone. `DICOMNODE_LONG=1` runs ten times as many; a case that fails says how
it is run again by itself, for example with DICOMNODE_FUZZ=offer:123.
"""

import pytest

from tests.fuzz.campaign import ONLY, assert_agreement, assert_at_rest, cases, offers, requests, streams, try_all
from tests.fuzz.conftest import Defects
from tests.fuzz.speaking import Associations
from tests.fuzz.trials import Outcome, Target

pytestmark = [
    pytest.mark.slow,
    pytest.mark.peer,
    pytest.mark.timeout(3600),
    # As in a node's process (node/logs.py): pydicom tells oddities of data sets by warnings.
    pytest.mark.filterwarnings("ignore::UserWarning:pydicom"),
]


def test_instances(target: Target, defects: Defects, associations: Associations) -> None:
    start = target.opened()
    tally = try_all(cases("offer", 500), offers(target, associations), defects.take)
    associations.close()
    assert_at_rest(target, start)
    assert_agreement(target)
    assert ONLY or {*tally} == {Outcome.ACCEPTED, Outcome.QUARANTINED, Outcome.REFUSED}


def test_pdu_streams(target: Target, defects: Defects) -> None:
    start = target.opened()
    tally = try_all(cases("stream", 300), streams(target), defects.take)
    assert_at_rest(target, start)
    assert_agreement(target)
    assert ONLY or {*tally} == {Outcome.ACCEPTED, Outcome.REFUSED, Outcome.ENDED}


def test_store_requests(target: Target, defects: Defects) -> None:
    start = target.opened()
    tally = try_all(cases("request", 200), requests(target), defects.take)
    assert_at_rest(target, start)
    assert_agreement(target)
    assert ONLY or {*tally} == {*Outcome}
