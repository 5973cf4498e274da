"""Facts are found by what they are called, or by what they mean; the nearest first."""

from dicomnode.imaging.fact_catalogue import fact_catalogue
from dicomnode.journey.fact_search import Scope, search_facts


def _names(search: str, limit: int = 10, scope: Scope | None = None) -> list[tuple[str, str]]:
    return [(one.scope, one.field.name) for one in search_facts(fact_catalogue(), search, limit, scope)]


def test_the_very_name_comes_before_its_beginning_before_its_parts_before_its_meaning() -> None:
    found = _names("slicethickness")
    assert found[0] == ("series", "SliceThickness")
    by_beginning = _names("slice", 40)
    assert by_beginning[0][1].startswith("Slice")
    names = [name for _scope, name in by_beginning]
    begin = [name.startswith("Slice") for name in names]
    assert begin == sorted(begin, reverse=True)
    assert ("series", "EchoTime") in _names("(0018,0081)")


def test_facts_of_the_study_and_of_a_series_are_told_apart() -> None:
    assert set(_names("studydate")) >= {("study", "StudyDate"), ("series", "StudyDate")}
    assert {scope for scope, _name in _names("date", scope="study")} == {"study"}


def test_a_name_with_a_path_is_found_when_it_is_whole() -> None:
    assert _names("ProcedureCodeSequence.CodeValue")[0][1] == "ProcedureCodeSequence.CodeValue"
    assert _names("ProcedureCodeSequence.CodeValu") == []


def test_nothing_is_found_of_nothing_and_something_of_an_empty_search() -> None:
    assert _names("phase of the moon") == []
    assert len(_names("", limit=7)) == 7
    assert _names("  slicethickness ") == _names("slicethickness")
