"""The interface for programs to studies: one is taken as complete at a word, by who may say it."""

import pytest

from dicomnode.domain.account import LOCAL_VISITOR
from dicomnode.domain.uids import StudyInstanceUID
from tests.builders import a_series, uid
from tests.web.holdings import Browser, Holdings

STUDY = StudyInstanceUID(uid("study"))


@pytest.fixture
def program(holdings: Holdings) -> Browser:
    return Browser(holdings.app())


def test_a_study_is_taken_as_complete_at_a_word(program: Browser, holdings: Holdings) -> None:
    holdings.receive(a_series(slices=2, shape=(4, 4)))
    answer = program.post(f"/api/studies/{STUDY}/complete")
    assert answer.status_code == 202
    assert answer.json() == {"said": f"{LOCAL_VISITOR.name} asked to take the study as complete now."}


@pytest.mark.parametrize(("study", "status"), [("1.2.3", 404), ("no-uid", 422)])
def test_what_is_not_here_cannot_be_complete(program: Browser, study: str, status: int) -> None:
    answer = program.post(f"/api/studies/{study}/complete")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
