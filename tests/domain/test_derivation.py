"""The key of a derivation: the same work has the same key, any other work another."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.domain.derivation import (
    Alignment,
    Derivation,
    DerivationInput,
    ModelIdentity,
    Preparation,
    content_digest,
    derivation_key,
)
from dicomnode.domain.uids import SeriesInstanceUID, SOPInstanceUID, StudyInstanceUID

MODEL = ModelIdentity(name="mr-flair", version="1.0.0", weights_digest="ab" * 32)
Content = Mapping[str, Sequence[SOPInstanceUID]]
_UIDS = st.lists(st.integers(0, 10**6).map(lambda n: SOPInstanceUID(f"1.2.{n}")), min_size=1, max_size=8, unique=True)
_CONTENT = st.dictionaries(st.sampled_from(["t1", "t2", "flair"]), _UIDS, min_size=1)


def _bind(content: Content, series: str = "1.9") -> tuple[DerivationInput, ...]:
    return tuple(
        DerivationInput(role=role, series_instance_uid=SeriesInstanceUID(series), sop_instance_uids=tuple(uids))
        for role, uids in content.items()
    )


@given(_CONTENT, st.data())
def test_the_order_of_roles_and_instances_does_not_matter(content: Content, data: st.DataObject) -> None:
    shuffled = {role: data.draw(st.permutations(content[role])) for role in data.draw(st.permutations(list(content)))}
    assert content_digest(_bind(shuffled)) == content_digest(_bind(content))


@given(_CONTENT, _CONTENT)
def test_other_content_has_another_digest(one: Content, other: Content) -> None:
    same = {role: set(uids) for role, uids in one.items()} == {role: set(uids) for role, uids in other.items()}
    assert (content_digest(_bind(one)) == content_digest(_bind(other))) == same


def test_content_is_named_by_its_instances_not_by_the_series_they_came_in() -> None:
    content = {"t1": [SOPInstanceUID("1.2.3")]}
    assert content_digest(_bind(content, "1.9")) == content_digest(_bind(content, "1.8"))


def test_the_same_instance_in_another_role_is_other_content() -> None:
    one, other = {"t1": [SOPInstanceUID("1.2.3")]}, {"t2": [SOPInstanceUID("1.2.3")]}
    assert content_digest(_bind(one)) != content_digest(_bind(other))


def test_the_key_names_content_rule_and_model_and_fits_its_column() -> None:
    inputs = _bind({"t1": [SOPInstanceUID("1.2.3")]})
    key = derivation_key(inputs, "make a FLAIR", MODEL, "t1")

    word, content, rule, model = key.split(":")
    assert (word, content, model) == ("derive", content_digest(inputs), MODEL.digest)
    assert len(rule) == 12
    assert len(key) <= 160


@pytest.mark.parametrize(
    "change",
    [
        {"rule": "make another FLAIR"},
        {"target_role": "t2"},
        {"model": replace(MODEL, name="mr-t2")},
        {"model": replace(MODEL, version="1.0.1")},
        {"model": replace(MODEL, weights_digest="cd" * 32)},
        {"preparation": Preparation(alignment=Alignment.RIGID)},
        {"preparation": Preparation(missing_slices=1)},
        {"inputs": _bind({"t1": [SOPInstanceUID("1.2.3"), SOPInstanceUID("1.2.4")]})},
    ],
    ids=str,
)
def test_any_other_work_has_another_key(change: dict[str, object]) -> None:
    asked: dict[str, object] = {
        "inputs": _bind({"t1": [SOPInstanceUID("1.2.3")]}),
        "rule": "make a FLAIR",
        "model": MODEL,
        "target_role": "t1",
        "preparation": Preparation(),
    }
    assert derivation_key(**{**asked, **change}) != derivation_key(**asked)  # type: ignore[arg-type]


def test_the_parts_of_a_model_do_not_run_into_each_other() -> None:
    one = ModelIdentity(name="a", version="1.0", weights_digest="0")
    other = ModelIdentity(name="a1", version=".0", weights_digest="0")
    assert one.digest != other.digest


def test_an_input_is_found_by_its_role() -> None:
    derivation = Derivation(
        key="derive:x",
        study_instance_uid=StudyInstanceUID("1.2"),
        revision=1,
        rule="make a FLAIR",
        model=MODEL,
        target_role="t1",
        inputs=_bind({"t1": [SOPInstanceUID("1.2.3")], "t2": [SOPInstanceUID("1.2.4")]}),
        destinations=("pacs",),
        priority=10,
        decided_at=datetime(2026, 3, 1, tzinfo=UTC),
    )
    assert derivation.input_for("t2").sop_instance_uids == ("1.2.4",)
    with pytest.raises(KeyError):
        derivation.input_for("flair")
