from pathlib import Path

import pytest

from dicomnode.domain.errors import InvalidRule
from dicomnode.rules.yaml_document import read_yaml


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
        ("a: 2026-13-01\n", "no YAML file"),
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
