"""A request of STOW-RS ends as an association does: released when its body came whole, broken off otherwise."""

from dataclasses import replace

import pytest

from dicomnode.domain.association import Association
from tests.builders import a_series
from tests.dicomweb.sending import body, intake, post, receiving, service
from tests.web.holdings import Browser, Holdings, encode


class Ends:
    """Remembers how requests ended (domain.ports.AssociationEnds)."""

    def __init__(self) -> None:
        self.told: list[tuple[Association, bool]] = []

    def ended(self, association: Association, *, is_released: bool) -> None:
        self.told.append((association, is_released))


@pytest.fixture
def ends() -> Ends:
    return Ends()


@pytest.fixture
def browser(holdings: Holdings, ends: Ends) -> Browser:
    return Browser(service(holdings, replace(intake(receiving(holdings)), ends=ends)))


def test_a_request_that_came_whole_is_a_release(browser: Browser, ends: Ends) -> None:
    for _ in range(2):
        assert post(browser, body(encode(dataset) for dataset in a_series(slices=2, shape=(4, 4)))).status_code == 200
    assert [(told.calling_ae, is_released) for told, is_released in ends.told] == [("STOW-RS", True)] * 2
    first, second = (told.serial for told, _is_released in ends.told)
    assert 0 < first < second


def test_a_body_that_breaks_is_none(browser: Browser, ends: Ends) -> None:
    whole = body(encode(dataset) for dataset in a_series(slices=2, shape=(4, 4)))
    post(browser, whole[: len(whole) * 3 // 4])
    assert [is_released for _told, is_released in ends.told] == [False]
