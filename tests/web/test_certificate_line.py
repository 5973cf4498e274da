"""The first page says until when each certificate of the node is valid, and warns in time."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest

from dicomnode.domain.tls import CertificateState
from tests.web.holdings import Browser, Holdings


@dataclass(frozen=True)
class Drawer:
    """Implements domain.tls.Certificates with one state of a test's own."""

    state: CertificateState

    def states(self) -> Sequence[CertificateState]:
        return [self.state]


def _line(holdings: Holdings, **state: object) -> str:
    drawer = Drawer(CertificateState(used_by="listener 0.0.0.0:2762", **state))  # type: ignore[arg-type]
    page = Browser(holdings.app(certificates=drawer)).get("/")
    assert page.status_code == 200
    row = re.search(
        r"<tr[^>]*>\s*<th scope=\"row\">Certificate of listener 0.0.0.0:2762</th>(.*?)</tr>", page.text, re.DOTALL
    )
    assert row is not None
    return row.group(1)


@pytest.mark.parametrize(
    ("days", "shown"),
    [
        (30, 'data-tone="good">ok<'),
        (29.9, 'data-tone="wait">expires soon<'),
        (7, 'data-tone="wait">expires soon<'),
        (6.9, 'data-tone="bad">alarm<'),
    ],
)
def test_the_nearer_the_end_the_louder_the_warning(holdings: Holdings, days: float, shown: str) -> None:
    told = _line(holdings, expires_at=holdings.clock.now() + timedelta(days=days))
    assert shown in told
    assert f"expires in {int(days)} days, on 2026-" in told


def test_a_certificate_of_no_use_is_an_alarm_with_the_reason(holdings: Holdings) -> None:
    told = _line(holdings, problem="node.pem holds no certificate in PEM")
    assert 'data-tone="bad">alarm<' in told
    assert "node.pem holds no certificate in PEM" in told


def test_a_node_without_tls_has_no_such_line(holdings: Holdings) -> None:
    assert "ertificate" not in Browser(holdings.app()).get("/").text
