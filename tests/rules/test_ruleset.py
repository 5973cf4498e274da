import hashlib
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.domain.errors import InvalidRule
from dicomnode.rules.ruleset import RuleSet, load_rule_set, read_rule_set
from tests.rules.catalogue import CATALOGUE, a_rule, load
from tests.rules.strategies import PATIENT, documents


def _shuffled(value: Any, random: Random) -> Any:
    """The same document with its keys in another order; only roles keep theirs, because it has a meaning."""
    if isinstance(value, list):
        return [_shuffled(one, random) for one in value]
    if not isinstance(value, dict):
        return value
    keys = list(value)
    if "t1" not in keys and "t2" not in keys:
        random.shuffle(keys)
    return {key: _shuffled(value[key], random) for key in keys}


@PATIENT
@given(document=documents())
def test_a_dump_loads_to_the_same_rule_set(document: dict[str, Any]) -> None:
    rules = load_rule_set(document, CATALOGUE)
    for dump in (rules.model_dump(mode="json"), rules.model_dump(), json.loads(rules.model_dump_json())):
        again = load_rule_set(dump, CATALOGUE)
        assert again == rules
        assert again.version == rules.version
    assert json.loads(json.dumps(rules.model_dump(mode="json"))) == rules.model_dump(mode="json")


@PATIENT
@given(document=documents(), random=st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_change_the_version(document: dict[str, Any], random: Random) -> None:
    rules = load_rule_set(document, CATALOGUE)
    shuffled = load_rule_set(_shuffled(document, random), CATALOGUE)
    assert shuffled.version == rules.version


def test_the_version_is_the_digest_of_the_document() -> None:
    rules = load(a_rule())
    document = rules.model_dump(mode="json")
    for rule in document["rules"]:
        rule["then"]["inputs"] = [[role, selection] for role, selection in rule["then"]["inputs"].items()]
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    assert rules.version == hashlib.sha256(canonical).hexdigest()[:16]


def test_what_changes_a_decision_changes_the_version() -> None:
    one = {"rules": [{"field": "Weighting", "value": "T1"}]}
    then = a_rule()["then"]
    variants = [
        load(a_rule()),
        load(a_rule(enabled=False)),
        load(a_rule(then={**then, "priority": 1})),
        load(a_rule(then={**then, "inputs": {"t1": one, "t2": one}})),
        load(a_rule(then={**then, "inputs": {"t2": one, "t1": one}})),
        load(a_rule("b-rule")),
        load(a_rule(), a_rule("b-rule")),
        load(a_rule("b-rule"), a_rule()),
    ]
    assert len({rules.version for rules in variants}) == len(variants)


def test_a_default_written_out_is_the_same_version() -> None:
    assert load(a_rule(enabled=True)).version == load(a_rule()).version


def test_a_rule_set_without_rules_is_allowed() -> None:
    assert load().rules == ()


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (None, "rule set: must be a mapping (key: value)"),
        ([], "rule set: must be a mapping (key: value)"),
        ("rules", "rule set: must be a mapping (key: value)"),
        ({}, "rule set, rules: is missing"),
        ({"rules": None}, "rule set, rules: must be a list"),
        ({"rules": [], "ruls": []}, "rule set, ruls: unknown key 'ruls', did you mean 'rules'?"),
        ({"rules": [None]}, "rule number 1: must be a mapping (key: value)"),
        ({"rules": [{}]}, "rule number 1, name: is missing"),
        ({"rules": [a_rule(), a_rule()]}, "rule 'a-rule', name: an earlier rule has the same name"),
        ({1: 2, "rules": []}, "rule set"),
    ],
)
def test_a_document_of_another_form_is_refused(document: Any, problem: str) -> None:
    with pytest.raises(InvalidRule) as refused:
        load_rule_set(document, CATALOGUE)
    assert any(line.startswith(problem) for line in str(refused.value).splitlines()), str(refused.value)


def test_every_problem_of_every_rule_stands_on_its_own_line() -> None:
    first = a_rule(
        "first", description=3, when={"rules": [{"field": "Modalitys", "operator": "contains", "value": "MR"}]}
    )
    second = a_rule("second", enabeld=True)
    third = a_rule("first")
    with pytest.raises(InvalidRule) as refused:
        load(first, second, third)
    assert str(refused.value).splitlines() == [
        "rule 'first', description: must be text; put it in quotes",
        "rule 'first', when.rules[0].field: unknown fact 'Modalitys', did you mean 'Modalities'?",
        "rule 'second', enabeld: unknown key 'enabeld', did you mean 'enabled'?",
        "rule 'first', name: an earlier rule has the same name",
    ]


def test_only_load_rule_set_makes_a_rule_set() -> None:
    with pytest.raises(InvalidRule, match="load_rule_set"):
        RuleSet(rules=())
    with pytest.raises(InvalidRule, match="load_rule_set"):
        RuleSet.model_validate({"rules": []}, context={"catalogue": CATALOGUE})
    with pytest.raises(InvalidRule, match="must be a mapping"):
        load_rule_set(RuleSet.model_construct(rules=()), CATALOGUE)
    with pytest.raises(InvalidRule, match="must be a mapping"):
        load(load(a_rule()).rules[0])


def test_the_same_document_can_be_loaded_twice() -> None:
    document = {"rules": [a_rule()]}
    assert load_rule_set(document, CATALOGUE) == load_rule_set(document, CATALOGUE)


def test_a_rule_set_is_read_from_yaml(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(json.dumps({"rules": [a_rule()]}))
    assert read_rule_set(file, CATALOGUE) == load(a_rule())


def test_problems_of_a_file_name_the_file_on_every_line(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("rules: [{}]\nnmae: x\n")
    with pytest.raises(InvalidRule) as refused:
        read_rule_set(file, CATALOGUE)
    lines = str(refused.value).splitlines()
    assert len(lines) == 5
    assert all(line.startswith(f"{file}: rule ") for line in lines)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.touch()
    with pytest.raises(InvalidRule, match="must be a mapping"):
        read_rule_set(file, CATALOGUE)
