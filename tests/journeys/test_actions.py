"""A running node does what rules ask for besides one synthesis: it routes, tries out, and waits for a person."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.engine.queues import Queues
from dicomnode.journey.operator import Operator
from dicomnode.ledger.transaction import Ledger
from dicomnode.node.clock import SystemClock
from tests.builders import T1, T2, a_series, uid, write_series
from tests.nodes import COPY_RULE, RememberingPacs, ServingNode, wait_until

pytestmark = [pytest.mark.peer, pytest.mark.timeout(300)]

STUDY = uid("study")
RULES = (
    COPY_RULE
    + """
  - name: t1-to-planning
    description: Every T1 goes on as it is.
    when: {rules: [{field: series, match: {mode: some}, value: {rules: [{field: Weighting, value: T1}]}}]}
    then: [{route: {series: {rules: [{field: Weighting, value: T1}]}, destinations: [pacs], priority: 1}}]
  - name: new-protocol
    description: Nobody has seen this protocol yet.
    when: {rules: [{field: series, match: {mode: some}, value: {rules: [{field: ProtocolName, value: new}]}}]}
    then: [{hold: {reason: the protocol is new}}]
  - name: trial
    description: Copies a T2 as well, and sends it nowhere.
    shadow: true
    when: {rules: [{field: Modalities, operator: contains, value: MR}]}
    then:
      model: identity
      inputs: {source: {rules: [{field: Weighting, value: T2}]}}
      target: source
      destinations: [pacs]
"""
)


@pytest.fixture
def pacs() -> Iterator[RememberingPacs]:
    with RememberingPacs() as running:
        yield running


@pytest.fixture
def node(tmp_path: Path, pacs: RememberingPacs) -> Iterator[ServingNode]:
    serving = ServingNode(tmp_path / "node", pacs.destination, RULES, quiet_seconds=1)
    serving.start()
    yield serving
    serving.stop()


def _states(node: ServingNode) -> dict[str, str]:
    return {one.rule: one.state for one in node.derivations(STUDY)}


def test_a_study_is_routed_tried_out_and_held_until_a_person_releases_it(
    node: ServingNode, pacs: RememberingPacs, tmp_path: Path
) -> None:
    t1 = a_series(series="t1", slices=4, shape=(16, 12), SeriesNumber=2, **T1)
    t2 = a_series(series="t2", slices=3, shape=(16, 12), SeriesNumber=3, ProtocolName="new", **T2)
    node.send([*write_series(tmp_path / "t1", t1), *write_series(tmp_path / "t2", t2)])

    routed = {str(one.SOPInstanceUID) for one in t1}
    wait_until(lambda: routed == set(pacs.received) or None, 60, "the T1 goes on as it is")
    wait_until(lambda: _states(node) == {"copy-t2": "held", "trial": "derived"} or None, 60, "the trial is made")
    assert set(pacs.received) == routed

    ledger = Ledger(node.settings.database_url)
    queues = Queues(ledger)
    said = Operator(ledger, queues, SystemClock()).release_hold(StudyInstanceUID(STUDY), "ada")
    queues.close()
    ledger.close()
    assert said == "Released by ada: identity may begin."
    wait_until(lambda: len(set(pacs.received)) == len(routed) + len(t2) or None, 60, "the copy is made and sent")
    assert _states(node) == {"copy-t2": "derived", "trial": "derived"}
