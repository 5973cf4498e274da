"""An archive is asked about studies at rest every few seconds, and one that is silent is left alone for a while."""

import pytest

from dicomnode.domain.completion import CompletionPolicies, CompletionPolicy
from dicomnode.domain.errors import DestinationUnreachable
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.journey.ask_archive import ArchiveAsking
from dicomnode.ledger.completion import ArchiveCount, signals
from tests.builders import a_series
from tests.journey.bench import QUIET, STUDY, Bench

ASKED = CompletionPolicy(study_quiet=QUIET, archive="pacs")
NOT_ASKED = CompletionPolicy(study_quiet=QUIET)


class Pacs:
    """An archive that says a number, or nothing (domain.completion.InstanceCounter)."""

    def __init__(self) -> None:
        self.instances: int | None = 3
        self.asked: list[StudyInstanceUID] = []

    def count_instances(self, study_instance_uid: StudyInstanceUID) -> int:
        self.asked.append(study_instance_uid)
        if self.instances is None:
            raise DestinationUnreachable("pacs does not answer on DICOMweb (ConnectError)")
        return self.instances


@pytest.fixture
def pacs() -> Pacs:
    return Pacs()


def _asking(bench: Bench, pacs: Pacs, policies: CompletionPolicies | None = None) -> ArchiveAsking:
    return ArchiveAsking(bench.ledger, bench.clock, policies or CompletionPolicies(default=ASKED), {"pacs": pacs})


def _noted(bench: Bench) -> ArchiveCount | None:
    with bench.ledger.transaction() as tx:
        return signals(tx, [STUDY])[STUDY].archive


def test_a_study_at_rest_is_asked_about_every_few_seconds(bench: Bench, pacs: Pacs) -> None:
    asking = _asking(bench, pacs)
    bench.receive(a_series(slices=3, shape=(4, 4)))
    assert asking.ask() == 0
    bench.clock.advance(1)
    assert asking.ask() == 1
    bench.clock.advance(2)
    assert asking.ask() == 0
    bench.clock.advance(1)
    assert asking.ask() == 1
    assert _noted(bench) == ArchiveCount(archive="pacs", instances=3, times=2, at=bench.clock.now())
    pacs.instances = 4
    bench.clock.advance(3)
    asking.ask()
    assert _noted(bench) == ArchiveCount(archive="pacs", instances=4, times=1, at=bench.clock.now())
    assert pacs.asked == [STUDY] * 3


def test_two_equal_answers_begin_the_revision(bench: Bench, pacs: Pacs) -> None:
    asking = _asking(bench, pacs)
    bench.receive(a_series(slices=3, shape=(4, 4)))
    for seconds in (1, 3):
        bench.clock.advance(seconds)
        assert bench.completion().sweep() == ()
        asking.ask()
    (revision,) = bench.completion().sweep()
    assert revision.evidence == ("pacs has the same number of instances, 3",)
    assert _noted(bench) is None
    bench.clock.advance(10)
    assert asking.ask() == 0


def test_an_archive_that_gives_no_answer_is_left_alone_for_a_while(bench: Bench, pacs: Pacs) -> None:
    asking, pacs.instances = _asking(bench, pacs), None
    bench.receive(a_series(slices=3, shape=(4, 4)))
    for _ in range(10):
        bench.clock.advance(3)
        assert asking.ask() == 0
    assert len(pacs.asked) == 1
    assert _noted(bench) is None
    pacs.instances = 3
    bench.clock.advance(3)
    assert asking.ask() == 1


def test_only_studies_of_senders_whose_policy_says_so_are_asked_about(bench: Bench, pacs: Pacs) -> None:
    policies = CompletionPolicies(default=ASKED, by_ae={"SCANNER": NOT_ASKED})
    bench.receive(a_series(slices=3, shape=(4, 4)))
    bench.clock.advance(5)
    assert _asking(bench, pacs, policies).ask() == 0
    assert pacs.asked == []
