"""The list of studies: its filters stand in the address, are applied by the server, and are kept by every link."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.domain.errors import InvalidValue
from dicomnode.ledger.study_list import StudyFilter, StudyOrder, StudyState
from dicomnode.web.studies_page import read_query
from tests.builders import a_series
from tests.conftest import FakeClock
from tests.web.holdings import Browser, Holdings, a_whole_study
from tests.web.test_pages import Text, words


@pytest.fixture
def browser(holdings: Holdings) -> Browser:
    return Browser(holdings.app())


def rows(page: str) -> list[str]:
    """The accession numbers of the rows that are shown."""
    return re.findall(r'<td class="nowrap">((?:ACC|Z)[^<]*)</td>', page)


@pytest.fixture
def many(holdings: Holdings, clock: FakeClock) -> Holdings:
    a_whole_study(holdings)
    clock.advance(3 * 86_400)
    holdings.receive(a_series(study="ct", slices=1, Modality="CT", AccessionNumber="Z9", PatientName="Abel^Bruno"))
    return holdings


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", ["Z9", "ACC-1"]),
        ("?modality=CT", ["Z9"]),
        ("?state=waiting", ["ACC-1"]),
        ("?state=receiving&modality=MR", []),
        ("?destination=pacs", ["ACC-1"]),
        ("?model=synth-flair", ["ACC-1"]),
        ("?source=SCANNER&day=2026-03-04", ["Z9"]),
        ("?sort=accession", ["ACC-1", "Z9"]),
        ("?sort=-patient", ["ACC-1", "Z9"]),
        ("?search=Bruno", ["Z9"]),
    ],
)
def test_the_address_says_which_rows_are_shown_and_the_count_is_of_them(
    browser: Browser, many: Holdings, query: str, shown: list[str]
) -> None:
    page = browser.get(f"/studies{query}")
    assert rows(page.text) == shown
    told = words(page)
    if shown:
        assert f"Rows 1–{len(shown)} of {len(shown)} stud" in told
    else:
        assert "No study matches all of these filters" in told


@pytest.mark.parametrize("query", ["?state=happy", "?day=yesterday", "?page=0", "?page=x", "?sort=-colour", "?page=²"])
def test_what_is_no_filter_is_refused_with_the_reason(browser: Browser, many: Holdings, query: str) -> None:
    assert "What to do:" in words(browser.get(f"/studies{query}"), 400)


def test_links_and_form_keep_what_was_chosen(browser: Browser, many: Holdings) -> None:
    page = browser.get("/studies?modality=MR&state=waiting&source=SCANNER&sort=accession")
    seen = Text(page.text)
    sorted_by = [href for href in seen.attributes("a", "href") if href and "sort=" in href]
    assert sorted_by
    for href in sorted_by:
        kept = parse_qs(urlsplit(href).query)
        assert (kept["modality"], kept["state"], kept["source"]) == (["MR"], ["waiting"], ["SCANNER"])
    # A source that no peer has is still chosen in the form, so that the form does not drop it.
    assert "<option selected>SCANNER</option>" in page.text
    assert '<input type="hidden" name="sort" value="accession">' in page.text
    assert page.headers["HX-Replace-Url"].startswith("/studies?state=waiting")


def test_the_address_of_filters_that_say_nothing_is_short(browser: Browser, many: Holdings) -> None:
    answer = browser.get("/studies?search=&state=&source=&destination=&modality=&day=")
    assert answer.headers["HX-Replace-Url"] == "/studies"


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Z"]), max_size=12)


@given(
    texts=st.dictionaries(st.sampled_from(["search", "source", "destination", "modality", "model"]), texts),
    state=st.sampled_from(["", *StudyState]),
    day=st.sampled_from(["", "2026-03-01", "2024-02-29"]),
    order=st.sampled_from(list(StudyOrder)),
    descending=st.booleans(),
    page=st.integers(1, 1000),
)
def test_an_address_reads_back_as_what_it_was_written_from(
    texts: dict[str, str], state: str, day: str, order: StudyOrder, descending: bool, page: int
) -> None:
    sort = f"{'-' if descending else ''}{order}"
    given_ = {**texts, "state": state, "day": day, "sort": sort, "page": str(page)}
    asked = read_query(given_, by_patient=True)
    again = {name: values[0] for name, values in parse_qs(urlsplit(asked.address()).query).items()}
    assert read_query(again, by_patient=True) == asked


def test_a_day_is_one_of_this_site_and_ends_where_the_next_begins() -> None:
    one, following = (read_query({"day": day}, by_patient=True).filter for day in ("2026-03-28", "2026-03-29"))
    assert one.received_before == following.received_from
    assert one.received_from is not None
    assert one.received_from.astimezone().strftime("%Y-%m-%d %H:%M") == "2026-03-28 00:00"
    with pytest.raises(InvalidValue):
        read_query({"day": "9999-12-31"}, by_patient=True)


def test_nothing_is_narrowed_by_who_may_see_names() -> None:
    for by_patient in (True, False):
        asked = read_query({}, by_patient=by_patient)
        assert not asked.is_narrowed
        assert asked.filter == StudyFilter(by_patient=by_patient)
