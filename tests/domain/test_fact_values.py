from datetime import date

import pytest

from dicomnode.domain.fact_values import FactValues
from dicomnode.domain.study import FactValue

VALUES = FactValues(
    {
        "EchoTime": 12.0,
        "RepetitionTime": 500.0,
        "RepetitionTime.all": (500.0, 900.0, 700.0),
        "SeriesDescription": "t1",
        "StudyDate": date(2026, 3, 1),
        "PixelSpacing": (0.5, 0.5),
        "MREchoSequence.EffectiveEchoTime": (30.0, 10.0),
        "SliceLocation": 0.5,
        "SliceLocation.min": 0.5,
        "SliceLocation.max": 99.5,
        "SliceLocation.count": 900,
        "Deep.Path.min": -1.0,
        "Deep.Path.count": 900,
        "ScanOptions": None,
        "PatientPosition": "HFS",
    }
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("EchoTime", 12.0),
        ("EchoTime.all", (12.0,)),
        ("EchoTime.min", 12.0),
        ("EchoTime.max", 12.0),
        ("EchoTime.count", 1),
        ("RepetitionTime.max", 900.0),
        ("RepetitionTime.min", 500.0),
        ("RepetitionTime.count", 3),
        ("PixelSpacing.count", 1),
        ("SeriesDescription.all", ("t1",)),
        ("SeriesDescription.max", None),
        ("StudyDate.max", date(2026, 3, 1)),
        ("StudyDate.all", None),
        ("StudyDate.count", 1),
        ("MREchoSequence.EffectiveEchoTime", (30.0, 10.0)),
        ("MREchoSequence.EffectiveEchoTime.min", 10.0),
        ("SliceLocation.all", None),
        ("SliceLocation.max", 99.5),
        ("Deep.Path", None),
        ("Deep.Path.min", -1.0),
        ("Deep.Path.count", 900),
        ("Deep.Path.max", None),
        ("ScanOptions", None),
        ("ScanOptions.count", None),
        ("Absent", None),
        ("Absent.min", None),
        ("EchoTime.median", None),
    ],
)
def test_a_summary_is_worked_out_from_what_is_held(name: str, expected: FactValue) -> None:
    assert VALUES.get(name) == expected
    assert VALUES.get(name, "nothing") == ("nothing" if expected is None else expected)
    if expected is None and name != "ScanOptions":
        with pytest.raises(KeyError):
            VALUES[name]
    else:
        assert VALUES[name] == expected


def test_a_summary_is_not_one_of_the_names() -> None:
    assert "EchoTime.max" not in VALUES
    assert dict(VALUES) == VALUES
