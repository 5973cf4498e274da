"""Whatever a program asks that the interface describes, it gets an answer of the node and never an error inside it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dicomnode.engine.queues import Queues
from tests.builders import uid
from tests.conftest import FakeClock
from tests.web.full_house import fill, site_of
from tests.web.holdings import HOST, Browser, empty_holdings

EXAMPLES = 40
"""Of each operation; raised by hand where something is sought."""


@pytest.fixture(scope="module")
def program(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A program on this machine that talks to a node with something of everything."""
    clock = FakeClock(datetime(2026, 3, 1, 10, 15, tzinfo=UTC))
    with empty_holdings(sqlite_template, tmp_path_factory.mktemp("api"), clock) as holdings:
        fill(holdings, clock)
        queues = Queues(holdings.ledger)
        yield Browser(holdings.app(**site_of(holdings, clock, queues)))
        queues.close()


KNOWN = {
    "study_instance_uid": uid("study"),
    "name": "pacs",
    "destination": "pacs",
    "ae_title": "CT2",
    "entry": 1,
}
"""What is there under each name of a parameter; a peer that listens somewhere would be waited for."""
ANSWERS_OF_OTHERS = {502}
"""A destination that cannot be reached is no error inside the node."""


def test_no_request_that_the_interface_describes_breaks_the_node(program: Browser) -> None:
    described = program.get("/api/openapi.json").json()
    schema = schemathesis.openapi.from_dict(described)
    operations = [found.ok() for found in schema.get_all_operations()]  # type: ignore[union-attr]
    assert len(operations) > 20
    statuses = {status for operation in operations for status in _ask(program, operation)}
    assert statuses >= {200, 404, 422}, "requests of every kind were tried"


def _ask(program: Browser, operation: Any) -> set[int]:
    """Send requests of one operation, some of them about what is there; gives the statuses of the answers."""
    statuses: set[int] = set()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), is_known=st.booleans())
    def ask(case: Any, is_known: bool) -> None:
        if is_known:
            case.path_parameters = {name: KNOWN.get(name, value) for name, value in case.path_parameters.items()}
        request = case.as_transport_kwargs(base_url=f"{HOST}/api")
        method, url = request.pop("method"), request.pop("url")
        request.pop("cookies", None)
        answer = program.request(method, url, **request)
        statuses.add(answer.status_code)
        assert answer.status_code < 500 or answer.status_code in ANSWERS_OF_OTHERS, (method, url, request, answer.text)

    ask()
    return statuses
