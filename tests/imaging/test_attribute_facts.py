from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from dicomnode.domain.fact_values import FactValues
from dicomnode.imaging.attribute_facts import MOST_VALUES, attribute_facts
from dicomnode.imaging.fact_catalogue import attribute_fields
from dicomnode.imaging.series_facts import study_facts
from tests.builders import FLAIR, T1, T2, a_series
from tests.imaging.enhanced import an_enhanced_mr


def _facts(instances: list[Dataset], only: frozenset[str] | None = None) -> FactValues:
    return attribute_facts(instances, attribute_fields(), only)


def _with_echoes(*echoes: float) -> list[Dataset]:
    series = a_series(slices=len(echoes), shape=(2, 2))
    for instance, echo in zip(series, echoes, strict=True):
        instance.EchoTime = echo
    return series


def test_values_that_differ_are_listed_beside_the_first() -> None:
    values = _facts(_with_echoes(30, 10, 20, 10))
    assert (values["EchoTime"], values["EchoTime.all"]) == (30, (10, 20, 30))
    assert (values["EchoTime.min"], values["EchoTime.max"], values["EchoTime.count"]) == (10, 30, 3)


def test_of_a_list_that_is_too_long_its_ends_and_length_are_kept() -> None:
    values = _facts(_with_echoes(*range(1, MOST_VALUES + 2)))
    assert values.get("EchoTime.all") is None
    ends = (values["EchoTime.min"], values["EchoTime.max"], values["EchoTime.count"])
    assert ends == (1, MOST_VALUES + 1, MOST_VALUES + 1)


def test_what_has_a_path_is_found_in_the_items() -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "MRHEAD", "99LOCAL", "MR head"
    series = a_series(slices=2, shape=(2, 2), ProcedureCodeSequence=[code])
    assert _facts(series)["ProcedureCodeSequence.CodeValue"] == ("MRHEAD",)


def test_a_private_attribute_is_found_by_its_creator_in_whatever_block() -> None:
    series = a_series(slices=2, shape=(2, 2))
    for block, instance in zip((0x10, 0x11), series, strict=True):
        instance.add_new((0x0019, block), "LO", "ACME 1.0")
        instance.add_new((0x0019, block << 8 | 0x0C), "LO", f"value {block:x}")
        instance.add_new((0x0021, 0x100C), "LO", "nobody reserved it")
    values = _facts(series)
    assert values["[ACME 1.0]0019,0C"] == ("value 10", "value 11")
    assert not [name for name in values if "0021" in name]


def test_the_frames_of_enhanced_objects_are_summarised() -> None:
    echoes: list[dict[str, Any]] = [{"MREchoSequence": {"EffectiveEchoTime": echo}} for echo in (5.0, 9.0)]
    values = _facts([an_enhanced_mr(frames=echoes)])
    assert {5.0, 9.0} <= set(values["MREchoSequence.EffectiveEchoTime"])  # type: ignore[arg-type]
    assert values["EchoTime.max"] == 9.0


def test_only_what_is_asked_for_is_read() -> None:
    assert set(_facts(a_series(slices=2, shape=(2, 2)), frozenset({"PatientID"}))) == {"PatientID"}


STUDY = [
    *a_series(series="t1", slices=3, shape=(2, 2), **T1),
    *a_series(series="t2", slices=3, shape=(2, 2), SeriesNumber=2, **T2),
    *a_series(series="flair", slices=2, shape=(2, 2), SeriesNumber=3, **FLAIR),
]


@settings(max_examples=30, deadline=None)
@given(st.permutations(STUDY))
def test_the_order_in_which_instances_come_makes_no_difference(shuffled: list[Dataset]) -> None:
    assert study_facts(shuffled) == study_facts(STUDY)
