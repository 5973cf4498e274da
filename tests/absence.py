"""What a test does when a program or a folder it needs is not here."""

import os
from typing import NoReturn

import pytest


def absent(what: str) -> NoReturn:
    """Fail where everything must be installed (CI), skip with the reason elsewhere."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"missing in CI: {what}")
    pytest.skip(what)
