"""What visitors saw and changed is written down before they get it, and found again on the page."""

import csv
import io

import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from dicomnode.domain.account import AccountRole, Permission
from dicomnode.domain.audit import AuditAction, AuditOutcome
from dicomnode.journey.audit import AuditTrail
from dicomnode.ledger.audit import AuditQuery
from tests.builders import PATIENT_NAME, a_series, uid
from tests.conftest import FakeClock
from tests.dicomweb.sending import body, intake, post, receiving
from tests.web.holdings import Browser, Holdings, a_whole_study, encode
from tests.web.people import FROM_HERE, PASSWORD, TESTER, People, people


@pytest.fixture
def trail(holdings: Holdings) -> AuditTrail:
    return AuditTrail(holdings.ledger, holdings.clock)


@pytest.fixture
def staff(holdings: Holdings) -> People:
    return people(holdings.ledger, holdings.clock)


@pytest.fixture
def app(holdings: Holdings, staff: People, trail: AuditTrail) -> FastAPI:
    return holdings.app(accounts=staff.accounts, audit=trail, intake=intake(receiving(holdings)))


def _found(trail: AuditTrail, action: AuditAction) -> list[tuple[str, str, str]]:
    return [
        (one.event.who, one.event.study_instance_uid, one.event.object)
        for one in trail.lines(AuditQuery(action=action))
    ]


def test_a_viewing_is_one_line_for_the_pages_and_one_for_the_images(
    app: FastAPI, staff: People, trail: AuditTrail, holdings: Holdings
) -> None:
    study, target, _derived = a_whole_study(holdings)
    browser = staff.browser(app, AccountRole.VIEWER)
    for _ in range(3):
        for path in (f"/studies/{study}", f"/studies/{study}/compare"):
            assert browser.get(path).status_code == 200
    series = f"/dicom-web/studies/{study}/series/{target}"
    for path in (f"/dicom-web/studies/{study}/metadata", f"{series}/metadata", series):
        assert browser.get(path).status_code == 200
    assert _found(trail, AuditAction.SEE) == [("viewer", study, "")]
    assert _found(trail, AuditAction.RETRIEVE) == [("viewer", study, "")]


def test_lists_of_studies_are_looks_and_what_was_searched_for_is_not_kept(
    app: FastAPI, staff: People, trail: AuditTrail, holdings: Holdings
) -> None:
    a_whole_study(holdings)
    browser = staff.browser(app, AccountRole.VIEWER)
    browser.get("/studies", params={"search": "Testperson"})
    browser.get("/dicom-web/studies", params={"PatientName": PATIENT_NAME})
    assert {one[2] for one in _found(trail, AuditAction.SEARCH)} == {"/studies", "/dicom-web/"}
    assert "Testperson" not in repr(trail.lines(AuditQuery()))


def test_what_was_not_found_was_not_seen(app: FastAPI, staff: People, trail: AuditTrail) -> None:
    browser = staff.browser(app, AccountRole.VIEWER)
    for path in ("/studies/1.2.3", "/dicom-web/studies/1.2.3/metadata", "/studies/no-uid"):
        assert browser.get(path).status_code >= 400
    assert _found(trail, AuditAction.SEE) == _found(trail, AuditAction.RETRIEVE) == []


def test_a_button_is_written_down_with_what_it_did(
    app: FastAPI, staff: People, trail: AuditTrail, holdings: Holdings
) -> None:
    study, _target, _derived = a_whole_study(holdings)
    browser = staff.browser(app, AccountRole.OPERATOR)
    key = holdings.ask(a_series(study="study", series="t2")).key
    assert browser.post(f"/studies/{study}/derivations/{key}/send/pacs", headers=FROM_HERE).status_code == 303
    (line,) = trail.lines(AuditQuery(action=AuditAction.CHANGE))
    event = line.event
    assert (event.who, event.kind, event.study_instance_uid) == ("operator", Permission.OPERATE, study)
    assert event.object == f"{key} pacs"
    assert event.detail == {"done": "resend"}
    assert browser.post(f"/studies/{study}/derivations/nothing/send/pacs", headers=FROM_HERE).status_code == 404
    failed = trail.lines(AuditQuery(action=AuditAction.CHANGE, failures_only=True))
    assert [one.event.object for one in failed] == [""]


def test_what_is_refused_is_an_alert(app: FastAPI, staff: People, trail: AuditTrail) -> None:
    browser = staff.browser(app, AccountRole.VIEWER)
    for _ in range(10):
        assert browser.put("/api/peers/CT2", json={}, headers=FROM_HERE).status_code == 403
    (line,) = trail.lines(AuditQuery(action=AuditAction.REFUSED))
    assert (line.event.who, line.event.kind) == ("viewer", Permission.EDIT_PEERS)
    assert line.event.outcome is AuditOutcome.MINOR_FAILURE


def test_a_program_that_stores_is_in_the_trail_by_its_token(
    app: FastAPI, staff: People, trail: AuditTrail, holdings: Holdings
) -> None:
    name = staff.named(AccountRole.OPERATOR)
    token = staff.accounts.tokens.make(name, "router", {Permission.STORE}, None, TESTER).secret
    content = body([encode(one) for one in a_series(slices=2)])
    program = Browser(app)
    assert post(program, content).status_code == 401
    response = post(program, content, f"/dicom-web/studies/{uid('study')}", authorization=f"Bearer {token}")
    assert response.status_code == 200, response.text
    assert _found(trail, AuditAction.STORE) == [("operator, token router", uid("study"), "")]


def test_an_account_that_is_changed_is_one_line_and_not_two(app: FastAPI, staff: People, trail: AuditTrail) -> None:
    browser = staff.browser(app, AccountRole.ADMINISTRATOR)
    fields = {"name": "bob", "password": PASSWORD, "roles": "viewer"}
    assert browser.post("/accounts", data=fields, headers=FROM_HERE).status_code == 303
    assert _found(trail, AuditAction.CHANGE) == []
    assert ("administrator", "", "bob") in _found(trail, AuditAction.ACCOUNT)


def test_what_the_trail_cannot_keep_is_not_shown(app: FastAPI, staff: People, holdings: Holdings) -> None:
    study, _target, _derived = a_whole_study(holdings)
    browser = staff.browser(app, AccountRole.VIEWER)
    with holdings.ledger.engine.begin() as connection:
        connection.execute(sa.text("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'x'); END"))
    response = browser.get(f"/studies/{study}")
    assert response.status_code == 500
    assert "Tilda" not in response.text


def test_the_page_finds_lines_and_says_that_it_was_read(
    app: FastAPI, staff: People, trail: AuditTrail, holdings: Holdings
) -> None:
    study, _target, _derived = a_whole_study(holdings)
    staff.browser(app, AccountRole.VIEWER).get(f"/studies/{study}")
    browser = staff.browser(app, AccountRole.ADMINISTRATOR)
    page = browser.get("/audit", params={"object": study})
    assert page.text.count("<tr>") == 2
    assert study in page.text
    assert "Nothing found" in browser.get("/audit", params={"who": "nobody"}).text
    assert "viewer" in browser.get("/audit", params={"action": "see"}).text
    assert browser.get("/audit", params={"action": "fly"}).status_code == 400
    assert browser.get("/audit", params={"day": "yesterday"}).status_code == 400
    day = holdings.clock.now().astimezone().date().isoformat()
    assert "viewer" in browser.get("/audit", params={"day": day}).text
    assert "Nothing found" in browser.get("/audit", params={"day": "2001-01-01"}).text
    assert [one[0] for one in _found(trail, AuditAction.READ_AUDIT)] == ["administrator"]


def test_the_page_turns_its_leaves_and_keeps_the_filters(
    app: FastAPI, staff: People, trail: AuditTrail, clock: FakeClock
) -> None:
    browser = staff.browser(app, AccountRole.ADMINISTRATOR)
    for number in range(150):
        trail.settings_are(f"digest-{number}", "root")
    first = browser.get("/audit", params={"who": "root"})
    assert 'href="/audit?who=root&amp;page=2"' in first.text
    assert "digest-149" in first.text
    second = browser.get("/audit", params={"who": "root", "page": "2"})
    assert "digest-0" in second.text
    assert "digest-149" not in second.text


def test_the_table_has_every_line_and_no_formula(app: FastAPI, staff: People, trail: AuditTrail) -> None:
    browser = staff.browser(app, AccountRole.ADMINISTRATOR)
    for number in range(1200):
        trail.settings_are(f"=1+{number}", "root")
    response = browser.get("/audit.csv", params={"who": "root"})
    assert response.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert [row["object"] for row in rows] == [f"'=1+{number}" for number in range(1199, -1, -1)]
    assert {row["who"] for row in rows} == {"root"}
