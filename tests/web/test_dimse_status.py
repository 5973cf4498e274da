"""Each status of a C-STORE response has a meaning and a next step."""

import pytest
from pynetdicom.status import STORAGE_SERVICE_CLASS_STATUS

from dicomnode.web.dimse_status import meaning_of


def test_every_status_of_the_standard_is_explained() -> None:
    for status in STORAGE_SERVICE_CLASS_STATUS:
        found = meaning_of(status)
        assert found.code == f"0x{status:04X}"
        assert found.meaning != "a status of its own", found.code
        assert found.next_step.endswith(".")


@pytest.mark.parametrize(
    ("status", "meaning"),
    [(0xA701, "out of resources"), (0xC123, "it cannot understand the data set"), (0xB123, "stored, with a warning")],
)
def test_ranges_are_explained_as_a_whole(status: int, meaning: str) -> None:
    assert meaning_of(status).meaning == meaning


def test_what_no_table_has_is_said_to_be_so() -> None:
    assert meaning_of(0x9999).meaning == "a status of its own"
