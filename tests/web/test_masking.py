"""Who may not see names sees none: on no page, in no list for programs, and by no search."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI

from dicomnode.domain.account import AccountRole
from dicomnode.domain.rule import Decision, Explanation
from dicomnode.engine.queues import Queues
from tests.builders import PATIENT_NAME, a_series, uid
from tests.conftest import FakeClock
from tests.web.full_house import fill, site_of
from tests.web.holdings import Browser, Holdings, visited_by

PRIVATE = (*PATIENT_NAME.split("^"), "T-0001")
RULES = ("/rules", "/rules/draft")


@pytest.fixture
def queues(holdings: Holdings) -> Iterator[Queues]:
    queues = Queues(holdings.ledger)
    yield queues
    queues.close()


@pytest.fixture
def app(holdings: Holdings, clock: FakeClock, queues: Queues) -> FastAPI:
    return holdings.app(**site_of(holdings, clock, queues))


def test_an_ml_engineer_finds_no_name_on_any_page(
    app: FastAPI, holdings: Holdings, clock: FakeClock, queues: Queues
) -> None:
    paths = fill(holdings, clock)
    engineer = Browser(visited_by(app, AccountRole.ML_ENGINEER))
    told: dict[str, int] = {}
    for path in (*paths.values(), *RULES):
        response = engineer.get(path)
        told[path] = response.status_code
        assert not any(private in response.text for private in PRIVATE), path
    assert told[paths["study"]] == told[paths["studies"]] == told[paths["compare"]] == told["/"] == 200
    assert told["/settings"] == 403
    assert "•••••" in engineer.get("/studies").text


def test_a_viewer_finds_them(app: FastAPI, holdings: Holdings, clock: FakeClock) -> None:
    paths = fill(holdings, clock)
    viewer = Browser(visited_by(app, AccountRole.VIEWER))
    for name in ("now", "studies", "study", "compare"):
        told = viewer.get(paths[name]).text
        assert "Testperson, Tilda" in told, name
        assert "•••••" not in told


def test_a_search_by_name_tells_an_ml_engineer_nothing(app: FastAPI, holdings: Holdings, clock: FakeClock) -> None:
    fill(holdings, clock)
    engineer = Browser(visited_by(app, AccountRole.ML_ENGINEER))
    for search in ("Tilda", "T-0001"):
        assert "Nothing found" in engineer.get("/studies", params={"search": search}).text
        assert engineer.get("/api/studies", params={"search": search}).json()["total"] == 0
    assert engineer.get("/api/studies", params={"search": "ACC-1"}).json()["total"] == 1
    # The order of masked names would tell of them as well.
    assert 'aria-sort="descending"' in engineer.get("/studies?sort=-patient").text
    assert "sort=-patient" not in engineer.get("/studies?sort=-patient").text


def test_a_program_without_the_permission_gets_null(app: FastAPI, holdings: Holdings, clock: FakeClock) -> None:
    fill(holdings, clock)
    engineer = Browser(visited_by(app, AccountRole.ML_ENGINEER))
    listed = engineer.get("/api/studies").json()["studies"]
    one = engineer.get(f"/api/studies/{uid('study')}").json()
    assert {(study["patient_name"], study["patient_id"]) for study in (*listed, one)} == {(None, None)}
    assert one["derivations"][0]["model"] == "synth-flair"


def test_what_a_rule_found_of_an_identity_is_masked(app: FastAPI, holdings: Holdings) -> None:
    holdings.receive(a_series(slices=2))
    lines = ("PatientName contains Tilda: found Testperson^Tilda", "PatientSex is F: found F", "PatientID is T-0001")
    explanation = Explanation(
        holds=True, text="all of these", children=tuple(Explanation(holds=True, text=one) for one in lines)
    )
    decision = Decision(rule="by-name", rule_set_version="f00d" * 8, fired=False, explanation=explanation)
    holdings.decide(decision, uid("study"))
    path = f"/studies/{uid('study')}"
    assert "found Testperson^Tilda" in Browser(holdings.app()).get(path).text
    masked = Browser(visited_by(app, AccountRole.ML_ENGINEER)).get(path).text
    assert not any(private in masked for private in PRIVATE)
    assert "PatientName: •••••" in masked
    assert "PatientSex is F: found F" in masked


def test_dicomweb_is_as_discreet_as_the_pages(app: FastAPI, holdings: Holdings, clock: FakeClock) -> None:
    fill(holdings, clock)
    engineer = Browser(visited_by(app, AccountRole.ML_ENGINEER))
    study = f"/dicom-web/studies/{uid('study')}"
    for path in ("/dicom-web/studies", f"{study}/series", f"{study}/instances", f"{study}/metadata"):
        answer = engineer.get(path)
        assert answer.status_code == 200, path
        assert not any(private in answer.text for private in PRIVATE), path
        assert answer.headers["cache-control"] == "no-store"
        assert "Cookie" in answer.headers["vary"]
    assert engineer.get("/dicom-web/studies?PatientName=T*").status_code == 403
    assert engineer.get(study, headers={"Accept": "*/*"}).status_code == 403
    frame = f"{study}/series/{uid('study', 't2')}/instances/{uid('study', 't2', '0')}/frames/1"
    assert engineer.get(frame).status_code == 200


def test_dicomweb_names_patients_to_a_viewer(app: FastAPI, holdings: Holdings, clock: FakeClock) -> None:
    fill(holdings, clock)
    viewer = Browser(visited_by(app, AccountRole.VIEWER))
    assert "Testperson" in viewer.get(f"/dicom-web/studies/{uid('study')}/metadata").text
    assert viewer.get(f"/dicom-web/studies/{uid('study')}").status_code == 200
