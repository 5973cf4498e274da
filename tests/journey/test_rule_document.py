"""A document is kept as it was written, travels as YAML and JSON, and is the same afterwards."""

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.domain.errors import InvalidRule
from dicomnode.imaging.fact_catalogue import fact_catalogue
from dicomnode.journey.rule_changes import rule_changes
from dicomnode.journey.rule_document import RuleScope, as_written, check_texts, document_problems, read_document
from dicomnode.rules.json_document import read_json_text, write_json
from dicomnode.rules.yaml_document import read_yaml_text, write_yaml
from tests.nodes import COPY_RULE
from tests.rules.strategies import documents


def _is_unwritable(document: object) -> bool:
    try:
        check_texts(document)
    except InvalidRule:
        return True
    return False


READABLE = documents().filter(lambda document: not _is_unwritable(document))
NOTHING = RuleScope(models={}, destinations=())


@settings(deadline=None)
@given(READABLE)
def test_what_is_kept_exported_and_imported_is_the_same_version(document: dict[str, Any]) -> None:
    version, kept = read_document(document).version, as_written(document)
    assert as_written(kept) == kept
    assert read_document(kept).version == version
    assert read_yaml_text(write_yaml(kept), "export") == kept
    assert read_json_text(write_json(kept), "export") == kept
    assert rule_changes(document, kept, fact_catalogue()) == ()


@settings(deadline=None)
@given(READABLE)
def test_each_rule_in_its_short_form_is_the_same_rule(document: dict[str, Any]) -> None:
    added = rule_changes({"rules": []}, as_written(document), fact_catalogue())
    short = {"rules": [yaml.safe_load(change.after) for change in added]}
    assert read_document(short).version == read_document(document).version


@pytest.mark.parametrize("text", ["\0", "a \ud800", "\udfff b"])
@pytest.mark.parametrize("place", ["value", "key", "deep"])
def test_a_text_that_nothing_could_show_is_refused_wherever_it_stands(text: str, place: str) -> None:
    document: Any = {"value": text, "key": {text: 1}, "deep": {"rules": [[{"name": (text,)}]]}}[place]
    with pytest.raises(InvalidRule, match="cannot be kept"):
        check_texts({"a": document})
    (said,) = document_problems({"a": document}, NOTHING)
    assert "cannot be kept" in said
    said.encode()


def test_a_document_that_grows_without_end_is_looked_at_in_an_instant() -> None:
    """YAML's aliases: each level stands nine times in the next one."""
    node: Any = ["lol"]
    for _level in range(40):
        node = [node] * 9
    check_texts({"rules": node})
    assert document_problems({"rules": node}, NOTHING)


def test_what_cannot_be_had_is_told_with_what_can() -> None:
    problems = document_problems(yaml.safe_load(COPY_RULE), NOTHING)
    assert problems == (
        "rule 'copy-t2', then: no model 'identity' is installed; installed are: none",
        "rule 'copy-t2', then: no destination 'pacs' is configured; configured are: none",
    )


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.dates(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=20,
    )
)
def test_anything_is_either_a_document_or_refused(anything: Any) -> None:
    for document in (anything, {"rules": anything}, {"rules": [anything]}):
        for said in document_problems(document, NOTHING):
            assert said
