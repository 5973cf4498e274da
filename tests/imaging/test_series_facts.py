from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from dicomnode.domain.derivation import NODE_MANUFACTURER
from dicomnode.domain.errors import InvalidValue, MalformedInstance
from dicomnode.domain.facts import FactType
from dicomnode.domain.study import FactValue, SeriesFacts
from dicomnode.imaging.fact_catalogue import fact_catalogue
from dicomnode.imaging.series_facts import is_own_output, read_datasets, study_facts
from tests.builders import SAGITTAL, T1, T2, a_series, uid, write_series
from tests.imaging.enhanced import an_enhanced_mr

DEMO = Path(__file__).parents[1] / "data" / "siemens-trio-brain"


def _facts(datasets: Sequence[Dataset]) -> SeriesFacts:
    (series,) = study_facts(datasets).series
    return series


def _contributed(purpose: str, scheme: str = "DCM") -> Dataset:
    code, equipment = Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = purpose, scheme, "purpose"
    equipment.Manufacturer, equipment.PurposeOfReferenceCodeSequence = "Model maker", [code]
    return equipment


def _has_type(fact_type: FactType, value: FactValue) -> bool:
    if fact_type in (FactType.TEXT, FactType.CODE):
        return type(value) is str and bool(value)
    if fact_type is FactType.NUMBER:
        return type(value) in (int, float)
    if fact_type is FactType.DATE:
        return type(value) is date
    kind = str if fact_type is FactType.TEXT_LIST else float
    return isinstance(value, tuple) and all(type(one) is kind for one in value)


def test_attributes_become_facts_of_their_type() -> None:
    values = _facts(a_series(slices=3, PatientAge="036Y", EchoTime="12.5")).values
    assert values["SeriesDescription"] == "series"
    assert values["Modality"] == "MR"
    assert values["ImageType"] == ("ORIGINAL", "PRIMARY", "M")
    assert values["ScanningSequence"] == ("SE",)
    assert values["PixelSpacing"] == (1.5, 1.0)
    assert values["StudyDate"] == date(2026, 3, 1)
    assert (values["EchoTime"], values["SeriesNumber"], values["Rows"]) == (12.5, 1, 32)
    assert values["PatientAge"] == 36
    assert values.get("ScanOptions") is None
    assert values.get("PixelData") is None


@pytest.mark.parametrize(
    ("age", "years"), [("045Y", 45), ("018M", 1.5), ("026W", 0.498), ("003D", 0.0082), ("x", None)]
)
def test_an_age_is_in_years(age: str, years: float | None) -> None:
    (dataset,) = a_series(slices=1)
    dataset.add_new("PatientAge", "LO", age)
    assert _facts([dataset]).values.get("PatientAge") == (None if years is None else pytest.approx(years, rel=1e-2))


def test_a_fact_is_the_value_of_the_first_instance_that_has_one() -> None:
    series = a_series(slices=4)
    for instance, location in zip(series, (None, 30, 20, 10), strict=True):
        instance.SliceLocation = location
        instance.InstanceNumber = 5 - instance.InstanceNumber
    del series[3].InstanceNumber
    assert [instance.get("InstanceNumber") for instance in series] == [4, 3, 2, None]
    assert _facts(series).values["SliceLocation"] == 20
    series[2].SliceLocation = None
    assert _facts(series).values["SliceLocation"] == 30


def test_a_series_tells_what_it_is() -> None:
    facts = _facts(a_series(slices=7, orientation=SAGITTAL, **T2))
    names = ("Weighting", "ContrastEnhanced", "NumberOfInstances", "Orientation")
    assert [facts.values[name] for name in names] == ["T2", "NO", 7, "SAGITTAL"]
    assert facts.evidence["Weighting"] == "TR 4500 ms, TE 100 ms, spin echo"
    assert facts.evidence["ContrastEnhanced"] == "no contrast agent named"
    assert facts.label == "1 t2 tse tra"


def test_the_frames_of_a_multi_frame_instance_are_counted_and_read() -> None:
    values = _facts([an_enhanced_mr()]).values
    assert (values["NumberOfInstances"], values["Orientation"], values["Weighting"]) == (3, "AXIAL", "T1")
    assert (values["RepetitionTime"], values["EchoTime"], values["InversionTime"]) == (1800, 2.41, 900)


def test_a_study_gathers_its_series_in_the_order_of_their_numbers() -> None:
    t2 = a_series(series="t2", slices=2, SeriesNumber=12, **T2)
    t1 = a_series(series="t1", slices=2, SeriesNumber=3, **T1)
    report = a_series(series="sr", slices=1, SeriesNumber=None, Modality="SR")
    study = study_facts([*t2, *report, *t1])
    assert study.study_instance_uid == uid("study")
    assert [series.series_instance_uid for series in study.series] == [
        uid("study", name) for name in ("t1", "t2", "sr")
    ]
    assert (study.values["NumberOfSeries"], study.values["Modalities"]) == (3, ("MR", "SR"))
    assert study.values["PatientID"] == "T-0001"
    assert "EchoTime" not in study.values


def test_own_outputs_are_series_that_the_study_does_not_count() -> None:
    own = a_series(
        series="synthetic",
        Modality="CT",
        Manufacturer=NODE_MANUFACTURER,
        ContributingEquipmentSequence=[_contributed("109101"), _contributed("109100")],
    )
    study = study_facts([*a_series(series="t1", **T1), *own])
    assert len(study.series) == 2
    assert (study.values["NumberOfSeries"], study.values["Modalities"]) == (1, ("MR",))


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"Manufacturer": NODE_MANUFACTURER, "ContributingEquipmentSequence": [_contributed("109100")]}, True),
        ({"Manufacturer": NODE_MANUFACTURER, "ContributingEquipmentSequence": [_contributed("109102")]}, True),
        ({"Manufacturer": NODE_MANUFACTURER, "ContributingEquipmentSequence": [_contributed("109101")]}, False),
        ({"Manufacturer": NODE_MANUFACTURER, "ContributingEquipmentSequence": [_contributed("109100", "99X")]}, False),
        ({"Manufacturer": NODE_MANUFACTURER, "ContributingEquipmentSequence": []}, False),
        ({"Manufacturer": NODE_MANUFACTURER}, False),
        ({"Manufacturer": "Another AI", "ContributingEquipmentSequence": [_contributed("109100")]}, False),
        ({"ContributingEquipmentSequence": [_contributed("109100")]}, False),
    ],
)
def test_only_what_this_node_made_is_its_own(attributes: dict[str, Any], expected: bool) -> None:
    (dataset,) = a_series(slices=1, **attributes)
    assert is_own_output(dataset) is expected


def test_own_outputs_are_known_from_their_files_too(tmp_path: Path) -> None:
    own = a_series(slices=2, Manufacturer=NODE_MANUFACTURER, ContributingEquipmentSequence=[_contributed("109100")])
    read = read_datasets(write_series(tmp_path, own))
    assert [is_own_output(dataset) for dataset in read] == [True, True]
    assert not any("PixelData" in dataset for dataset in read)


def test_a_study_without_instances_or_identifiers_has_no_facts() -> None:
    with pytest.raises(MalformedInstance, match="without instances"):
        study_facts([])
    with pytest.raises(InvalidValue, match="SeriesInstanceUID"):
        study_facts(a_series(slices=1, SeriesInstanceUID=None))


def test_a_file_that_is_no_instance_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"nothing")
    with pytest.raises(MalformedInstance):
        read_datasets([file])


_NOT_FREE = {"StudyInstanceUID", "SeriesInstanceUID"}
ATTRIBUTES = sorted(
    # pydicom itself gives descriptors of lookup tables a number for their first value, whatever is set.
    keyword
    for keyword in filter(tag_for_keyword, fact_catalogue().series.keys() - _NOT_FREE)
    if not keyword.endswith(("LUTDescriptor", "LookupTableDescriptor"))
)
VALUES = ["", "text", "a\\b", "12", "1\\2", "nan", "20260301", "2026.03.01", "003W", "ÄÖ", "\0"]


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(ATTRIBUTES), st.sampled_from(VALUES), min_size=1, max_size=30))
def test_every_fact_has_the_type_that_the_catalogue_promises(attributes: dict[str, str]) -> None:
    (dataset,) = a_series(slices=1, shape=(2, 2))
    for keyword, value in attributes.items():
        dataset.add_new(keyword, "LO", value)
    study = study_facts([dataset])
    found = [(study.values, fact_catalogue().study), (study.series[0].values, fact_catalogue().series)]
    for values, fields in found:
        for name, fact in values.items():
            assert _has_type(fields[name].type, fact), (name, fact)
            assert not fields[name].values or fact in fields[name].values


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, SeriesFacts]:
    """The facts of the study that `dicomnode demo` sends, by the number of the series."""
    folder = tmp_path_factory.mktemp("demo")
    for archive in DEMO.glob("*.zip"):
        with ZipFile(archive) as files:
            files.extractall(folder / archive.stem)
    study = study_facts(read_datasets(sorted(folder.rglob("*.dcm"))))
    return {str(series.values["SeriesNumber"]): series for series in study.series}


@pytest.mark.parametrize(
    ("number", "weighting", "orientation", "instances"), [("5", "T1", "SAGITTAL", 175), ("6", "T2", "AXIAL", 55)]
)
def test_the_demo_study_is_a_t1_and_a_t2_without_contrast(
    demo: dict[str, SeriesFacts], number: str, weighting: str, orientation: str, instances: int
) -> None:
    facts = demo[number]
    assert (facts.values["Weighting"], facts.values["Orientation"]) == (weighting, orientation)
    assert facts.values["NumberOfInstances"] == instances
    assert (facts.values["ContrastEnhanced"], facts.evidence["ContrastEnhanced"]) == ("NO", "no contrast agent named")


def test_the_demo_study_says_what_its_weightings_were_concluded_from(demo: dict[str, SeriesFacts]) -> None:
    assert {number: facts.evidence["Weighting"] for number, facts in demo.items()} == {
        "5": "TR 2530 ms, TE 1.66 ms, flip angle 7°, magnetization-prepared gradient echo",
        "6": "TR 11730 ms, TE 91 ms, spin echo",
    }
