"""Rules, models and studies for the tests of the rules' pages."""

from typing import Any

from pydicom.dataset import Dataset

from dicomnode.domain.model_card import InputRole
from dicomnode.journey.rule_book import RuleBook
from dicomnode.journey.rule_document import RuleScope
from tests.builders import T1, T2, a_series, uid
from tests.rules.catalogue import of_series
from tests.web.holdings import Holdings

MODELS = {"mr-flair": {"t1": InputRole(weighting=("T1",)), "t2": InputRole(weighting=("T2",))}}


def without_flair(**parts: Any) -> dict[str, Any]:
    return {
        "name": "t1-t2-without-flair",
        "description": "A synthetic FLAIR where none was acquired.",
        "when": {
            "rules": [
                of_series("some", {"field": "Weighting", "value": "T1"}),
                of_series("some", {"field": "Weighting", "value": "T2"}),
                of_series("none", {"field": "Weighting", "value": "FLAIR"}),
            ]
        },
        "then": {
            "model": "mr-flair",
            "inputs": {
                "t1": {"rules": [{"field": "Weighting", "value": "T1"}]},
                "t2": {"rules": [{"field": "Weighting", "value": "T2"}]},
            },
            "target": "t2",
            "destinations": ["pacs"],
        },
        **parts,
    }


def a_book(holdings: Holdings, *, second_person: bool = False) -> RuleBook:
    """A rule book that begins with no rule."""
    scope = RuleScope(models=MODELS, destinations=("pacs", "archive"), second_person=second_person)
    book = RuleBook(holdings.ledger, holdings.spool, holdings.clock, scope)
    book.import_first({"rules": []}, "First start.")
    return book


def published(book: RuleBook, *documents: dict[str, Any], by: str = "ada") -> None:
    book.save_draft({"rules": list(documents)}, by, book.begin_draft(by).number)
    draft = book.draft()
    assert draft is not None
    book.publish(by, "For the test.", draft.number)


def a_head(holdings: Holdings, study: str = "head", **flair: Any) -> str:
    series: list[Dataset] = [
        *a_series(study=study, series="t1", SeriesNumber=2, **T1),
        *a_series(study=study, series="t2", SeriesNumber=3, **T2),
        *(a_series(study=study, series="flair", SeriesNumber=4, **flair) if flair else ()),
    ]
    holdings.receive(series)
    holdings.complete(uid(study))
    return uid(study)
