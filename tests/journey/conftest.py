"""Holdings to look into."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import FakeClock
from tests.web.holdings import Holdings, empty_holdings


@pytest.fixture
def holdings(sqlite_template: Path, tmp_path: Path, clock: FakeClock) -> Iterator[Holdings]:
    with empty_holdings(sqlite_template, tmp_path, clock) as holdings:
        yield holdings
