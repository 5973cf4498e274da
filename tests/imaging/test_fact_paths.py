import pytest

from dicomnode.domain.facts import FactType, NamesWithPaths
from dicomnode.imaging.fact_catalogue import fact_catalogue


def _series() -> NamesWithPaths:
    fields = fact_catalogue().series
    assert isinstance(fields, NamesWithPaths)
    return fields


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("EchoTime.max", FactType.NUMBER),
        ("EchoTime.all", FactType.NUMBER_LIST),
        ("ImageType.all", FactType.TEXT_LIST),
        ("SeriesDescription.count", FactType.NUMBER),
        ("AcquisitionDate.min", FactType.DATE),
        ("ProcedureCodeSequence.CodeValue", FactType.TEXT_LIST),
        ("MREchoSequence.EffectiveEchoTime", FactType.NUMBER_LIST),
        ("MREchoSequence.EffectiveEchoTime.max", FactType.NUMBER),
        ("[SIEMENS MR HEADER]0019,0C", FactType.NUMBER_LIST),
        ("[Nobody knows 1.0]0019,0C", FactType.TEXT_LIST),
    ],
)
def test_a_name_with_a_path_is_found_and_typed(name: str, expected: FactType) -> None:
    field = _series()[name]
    assert (field.name, field.type) == (name, expected)
    assert name in _series()
    assert name not in list(_series())


@pytest.mark.parametrize(
    "name",
    [
        "SeriesDescription.max",
        "EchoTime.median",
        "Weighting.count",
        "EchoTime.CodeValue",
        "ProcedureCodeSequence",
        "ProcedureCodeSequence.",
        "ProcedureCodeSequence.CodeValue.all",
        "ProcedureCodeSequence.PixelData",
        "PerFrameFunctionalGroupsSequence.MREchoSequence.EffectiveEchoTime",
        "[SIEMENS MR HEADER]0019",
        "[SIEMENS MR HEADER]0018,0C",
        "[SIEMENS MR HEADER]0019,0c",
        "[siemens mr header]0019,0C",
        "A.B.C.D.E",
        "",
    ],
)
def test_what_is_no_name_is_not_found(name: str) -> None:
    assert name not in _series()
    with pytest.raises(KeyError):
        _series()[name]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("EchoTme", "EchoTime"),
        ("echotime", "EchoTime"),
        ("EchoTime.maxx", "EchoTime.max"),
        ("EchoTme.max", "EchoTime.max"),
        ("ProcedureCodeSequenc.CodeValu", "ProcedureCodeSequence.CodeValue"),
        (
            "PerFrameFunctionalGroupsSequence.MREchoSequence.EffectiveEchoTime",
            "MREchoSequence.EffectiveEchoTime",
        ),
        ("[siemens mr header]0019,0C", "[SIEMENS MR HEADER]0019,0C"),
        ("Qqqqqqqqq", None),
    ],
)
def test_a_wrong_name_is_told_what_was_probably_meant(name: str, meant: str | None) -> None:
    assert _series().nearest(name) == meant


def test_a_path_of_a_study_begins_in_a_sequence_of_the_study() -> None:
    study = fact_catalogue().study
    assert study["ProcedureCodeSequence.CodeValue"].type is FactType.TEXT_LIST
    assert "MREchoSequence.EffectiveEchoTime" not in study
    assert "PatientAge.max" not in study
