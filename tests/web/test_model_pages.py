"""The pages of the models: what the card says, what this host lacks, which rules use it and what it has done."""

from collections.abc import Iterator

import pytest

from dicomnode.engine.queues import Queues
from dicomnode.web.model_pages import rules_with_model
from tests.conftest import FakeClock
from tests.web.full_house import fill, site_of
from tests.web.holdings import Browser, Holdings
from tests.web.test_pages import line, words


@pytest.fixture
def browser(holdings: Holdings, clock: FakeClock) -> Iterator[Browser]:
    fill(holdings, clock)
    queues = Queues(holdings.ledger)
    yield Browser(holdings.app(**site_of(holdings, clock, queues)))
    queues.close()


def test_each_model_says_whether_it_can_run_and_what_it_did(browser: Browser) -> None:
    page = browser.get("/models").text
    told = words(browser.get("/models"))
    assert "missing a GPU with 40 GiB" in told
    assert "Its plug-in cannot be used: ImportError: no module named monai." in told
    assert "make-a-flair" in told
    assert "failed" in line(page, "half-written")


def test_a_card_is_shown_with_its_numbers_and_their_limits(browser: Browser) -> None:
    told = words(browser.get("/models/synth-flair"))
    for said in (
        "Research on adult brains",
        "Children, implants",
        "at least 8 slices, spacing up to 6.0 mm",
        "SSIM brain mean of 40 0.910 copy T2 0.620",
        "One site and one scanner: nothing is known of others.",
        "ab12" * 16,
        "make-a-flair",
        "1 refused ContractViolation",
        "The input t2 has 3 slices.",
    ):
        assert said in told, said
    assert "Its card has no evaluation" in words(browser.get("/models/needs-much"))


def test_a_model_that_is_not_here_is_no_page(browser: Browser) -> None:
    assert "half-written is installed but broken (ImportError" in words(browser.get("/models/half-written"), 404)
    assert "No model of this name." in words(browser.get("/models/other"), 404)


def test_a_node_without_models_says_how_to_get_one(holdings: Holdings) -> None:
    assert "No model is installed" in words(Browser(holdings.app()).get("/models"))


@pytest.mark.parametrize(
    ("then", "uses"),
    [
        ({"model": "flair"}, True),
        ({"synthesise": {"model": "flair"}}, True),
        ([{"route": {"destinations": ["pacs"]}}, {"synthesise": {"model": "flair"}}], True),
        ({"model": "other"}, False),
        ([{"hold": {"reason": "look"}}], False),
        (None, False),
        ("flair", False),
    ],
)
def test_a_rule_uses_a_model_in_whichever_form_it_says_so(then: object, uses: bool) -> None:
    assert rules_with_model({"rules": [{"name": "a", "then": then}]}, "flair") == (["a"] if uses else [])


def test_a_document_without_rules_uses_nothing() -> None:
    assert rules_with_model({}, "flair") == rules_with_model({"rules": "none"}, "flair") == []
