"""How an operator recognises a series."""

import pytest

from dicomnode.domain.study import FactValue, SeriesFacts
from dicomnode.domain.uids import SeriesInstanceUID


@pytest.mark.parametrize(
    ("values", "label"),
    [
        ({"SeriesNumber": 3, "SeriesDescription": "t1 se tra"}, "3 t1 se tra"),
        ({"SeriesNumber": 0, "SeriesDescription": "localizer"}, "0 localizer"),
        ({"SeriesDescription": "t1 se tra"}, "? t1 se tra"),
        ({"SeriesNumber": 3, "SeriesDescription": ""}, "3 (no description)"),
        ({"SeriesNumber": None, "SeriesDescription": None}, "? (no description)"),
    ],
)
def test_a_series_is_labelled_by_number_and_description(values: dict[str, FactValue], label: str) -> None:
    assert SeriesFacts(series_instance_uid=SeriesInstanceUID("1.2"), values=values).label == label
