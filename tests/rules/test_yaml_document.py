from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dicomnode.domain.errors import InvalidRule
from dicomnode.rules.json_document import read_json_text, write_json
from dicomnode.rules.ruleset import load_rule_set
from dicomnode.rules.yaml_document import read_yaml, read_yaml_text, write_yaml
from tests.rules.catalogue import CATALOGUE
from tests.rules.strategies import PATIENT, documents


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rules.yaml"


def test_plain_values_are_read(file: Path) -> None:
    file.write_text("a: [1, x, {b: true}]\nc: é\n", encoding="utf-8")
    assert read_yaml(file) == {"a": [1, "x", {"b": True}], "c": "é"}


def test_a_bare_equals_sign_is_an_operator(file: Path) -> None:
    file.write_text("- {operator: =}\n- operator: =\n")
    assert read_yaml(file) == [{"operator": "="}, {"operator": "="}]


def test_anchors_and_merges_work(file: Path) -> None:
    file.write_text("a: &a {x: 1, y: 2}\nb: *a\nc: {<<: *a, y: 3}\n")
    assert read_yaml(file) == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 2}, "c": {"x": 1, "y": 3}}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3, column 1: the key 'a' stands twice"),
        ("x:\n  - {b: 2, b: 3}\n", "line 2, column 12: the key 'b' stands twice"),
        ("a: [1\n", "line 2, column 1: "),
        ("a: >=\n", "line 1"),
        ("a: !!python/object/apply:os.system [ls]\n", "line 1, column 4: could not determine a constructor"),
        ("{[1]: 2}\n", "line 1, column 2: found unhashable key"),
        ("a: !!int many\n", "no YAML file"),
        ("[" * 5000, "no YAML file"),
        ("--- a\n--- b\n", "line 2"),
        ("a: \x07\n", "is no text file"),
    ],
)
def test_what_is_no_strict_yaml_is_refused_with_its_place(file: Path, text: str, told: str) -> None:
    file.write_text(text)
    with pytest.raises(InvalidRule) as refused:
        read_yaml(file)
    assert str(refused.value).startswith(str(file))
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRule, match="cannot be read: No such file"):
        read_yaml(file)
    with pytest.raises(InvalidRule, match="cannot be read: Is a directory"):
        read_yaml(tmp_path)
    file.write_bytes(b"a: \xff\xfe\n")
    with pytest.raises(InvalidRule, match="no text file in UTF-8"):
        read_yaml(file)


def test_dates_and_times_of_day_are_the_texts_that_they_look_like(file: Path) -> None:
    file.write_text("a: 2026-03-01\nb: 19:00\nc: 07:30\nd: 12:30:45.5\ne: 190\nf: 1.5\ng: 0x1F\n")
    assert read_yaml(file) == {
        "a": "2026-03-01",
        "b": "19:00",
        "c": "07:30",
        "d": "12:30:45.5",
        "e": 190,
        "f": 1.5,
        "g": 31,
    }


_HARD_TEXTS = st.sampled_from(
    [
        "=",
        "<<",
        "NO",
        "on",
        "null",
        "~",
        "19:00",
        "2026-03-01",
        "1_000",
        "0x1F",
        "1e3",
        ".5",
        "- a",
        "a: b",
        "a #b",
        "#",
    ]
)
_TEXTS = _HARD_TEXTS | st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=12,
)


@PATIENT
@given(document=_PLAIN)
@example(document=["\x85", "\u2028", "a\u2029b", "\r", "a\n", "\n\n b", "a\r\nb" * 40])
@example(document={"a": "x\x85y\u2028z\ufeff\x07", "b": [" lead", "trail ", "two  spaces", "tab\t", "\U0001f600"]})
def test_what_is_exported_is_imported_as_it_was(document: object) -> None:
    assert read_yaml_text(write_yaml(document), "export") == document
    assert read_json_text(write_json(document), "export") == document


@PATIENT
@given(document=documents())
def test_an_exported_rule_set_is_imported_as_the_same_version(document: dict[str, Any]) -> None:
    rules = load_rule_set(document, CATALOGUE)
    for written in (rules.model_dump(mode="json"), document):
        for again in (
            read_yaml_text(write_yaml(written), "export"),
            read_json_text(write_json(rules.model_dump(mode="json")), "export"),
        ):
            imported = load_rule_set(again, CATALOGUE)
            assert imported == rules
            assert imported.version == rules.version


def test_what_stands_in_several_places_is_written_out_in_each() -> None:
    shared = {"field": "Modality", "operator": "=", "value": "MR"}
    assert write_yaml({"a": [shared], "b": [shared]}) == (
        "a:\n- {field: Modality, operator: '=', value: MR}\nb:\n- {field: Modality, operator: '=', value: MR}\n"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": 1, "a": 2}', "export: the key 'a' stands twice"),
        ('{"a": [1,]}', "export: line 1, column 10: "),
        ("", "export: line 1, column 1: "),
        ('{"a": NaN}', "export: NaN is no number of JSON"),
        ("[" * 100_000, "nested too deep"),
    ],
)
def test_what_is_no_strict_json_is_refused_with_its_place(text: str, told: str) -> None:
    with pytest.raises(InvalidRule) as refused:
        read_json_text(text, "export")
    assert told in str(refused.value)
