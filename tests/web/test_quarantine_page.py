"""What was refused but kept: looked at, released when it can be, discarded with a reason."""

import pytest

from dicomnode.domain.account import AccountRole
from dicomnode.ledger.quarantine import Stray, list_quarantined, record_strays
from dicomnode.ledger.studies import find_study
from tests.builders import a_series, uid
from tests.web.holdings import HOST, Browser, Holdings, encode, visited_by
from tests.web.test_pages import words

SAME_ORIGIN = {"Origin": HOST}
PATH = "/quarantine"


@pytest.fixture
def browser(holdings: Holdings) -> Browser:
    return Browser(holdings.app())


def put_aside(holdings: Holdings, content: bytes, reason: str) -> int:
    """Keep bytes in quarantine; gives the number of the entry."""
    kept = holdings.spool.keep(content)
    place = kept.path.replace("instances/", "quarantine/", 1)
    (holdings.spool.root / place).parent.mkdir(parents=True, exist_ok=True)
    (holdings.spool.root / kept.path).rename(holdings.spool.root / place)
    stray = Stray(path=place, size=len(content), calling_ae="OLDMR", sop_instance_uid="")
    with holdings.ledger.transaction() as tx:
        record_strays(tx, [stray], reason, holdings.clock.now())
        return max(entry.id for entry in list_quarantined(tx))


def test_what_can_be_placed_now_is_released_into_its_study(browser: Browser, holdings: Holdings) -> None:
    entry = put_aside(holdings, encode(a_series(slices=1)[0]), "found without a record")
    told = words(browser.get(PATH))
    assert "Found without a record." in told
    assert "Cannot be released" not in told
    pressed = browser.post(f"{PATH}/{entry}/release", headers=SAME_ORIGIN)
    assert pressed.status_code == 303
    with holdings.ledger.transaction() as tx:
        assert find_study(tx, uid("study")).instances == 1
    assert "released instance" in words(browser.get(PATH))
    assert "Nothing is in quarantine" in words(browser.get(PATH))


def test_what_cannot_be_placed_says_why_and_is_discarded_with_a_reason(browser: Browser, holdings: Holdings) -> None:
    entry = put_aside(holdings, b"no DICOM at all", "it cannot be read")
    page = browser.get(PATH)
    assert "Cannot be released:" in words(page)
    assert f"{PATH}/{entry}/release" not in page.text
    assert "What to do:" in words(browser.post(f"{PATH}/{entry}/release", headers=SAME_ORIGIN), 400)
    assert "A reason is missing" in words(browser.post(f"{PATH}/{entry}/discard", headers=SAME_ORIGIN), 400)
    browser.post(f"{PATH}/{entry}/discard", data={"reason": "a test file"}, headers=SAME_ORIGIN)
    assert "a test file (local)" in words(browser.get(PATH))
    with holdings.ledger.transaction() as tx:
        assert list_quarantined(tx) == ()


def test_who_may_not_operate_only_looks(holdings: Holdings) -> None:
    entry = put_aside(holdings, b"no DICOM at all", "it cannot be read")
    viewer = Browser(visited_by(holdings.app(), AccountRole.VIEWER))
    assert "Discard" not in words(viewer.get(PATH))
    for verb in ("release", "discard"):
        assert viewer.post(f"{PATH}/{entry}/{verb}", data={"reason": "x"}, headers=SAME_ORIGIN).status_code == 403


def test_an_entry_that_is_gone_is_told(browser: Browser) -> None:
    assert "nothing of number 7" in words(browser.post(f"{PATH}/7/release", headers=SAME_ORIGIN), 404).lower()
