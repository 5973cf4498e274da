from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.domain.errors import ContractViolation
from dicomnode.domain.model_card import InputRole, ModelCard
from dicomnode.domain.uids import FrameOfReferenceUID
from dicomnode.domain.volume import Volume
from dicomnode.synthesis.gate import check_inputs, refuse_outside_contract
from tests.synthesis.models import a_card, a_volume

HEAD = InputRole(
    weighting=("T2", "PD"),
    max_slice_spacing_mm=4.0,
    min_slices=5,
    min_extent_mm=20.0,
    body_parts=("HEAD", "BRAIN"),
    contrast_agent="never",
)
CARD = a_card(inputs={"source": HEAD})
PAIR = a_card(inputs={"source": HEAD, "other": InputRole(weighting=("T1",))})


def _affine(
    slice_mm: float = 4.0, plane_mm: float = 3.0, origin: tuple[float, float, float] = (0, 0, 0)
) -> npt.NDArray[np.float64]:
    affine = np.eye(4)[[2, 1, 0, 3]] * [slice_mm, plane_mm, plane_mm, 1.0]
    affine[:3, 3] = origin
    return affine


def _head(array: Any = None, affine: Any = None, **attributes: Any) -> Volume:
    return a_volume(array, affine=_affine() if affine is None else affine, **attributes)


def _reasons(volume: Volume, card: ModelCard = CARD) -> tuple[str, ...]:
    return check_inputs(card, {"source": volume})


def test_what_the_card_allows_passes() -> None:
    assert _reasons(_head()) == ()
    assert _reasons(_head(BodyPartExamined="head", Weighting="PD")) == ()
    refuse_outside_contract(CARD, {"source": _head()})


@pytest.mark.parametrize(
    ("volume", "reason"),
    [
        (_head(Modality="CT"), "source: modality is CT, not MR"),
        (_head(Modality=""), "source: modality is not known, not MR"),
        (_head(Weighting="T1"), "source: weighting is T1, not T2 or PD"),
        (_head(Weighting=""), "source: weighting is not known, not T2 or PD"),
        (_head(BodyPartExamined="KNEE"), "source: body part is KNEE, not HEAD or BRAIN"),
        (_head(ContrastEnhanced="YES"), "source: acquired with a contrast agent"),
        (_head(ContrastEnhanced="UNKNOWN"), "source: it cannot be told whether a contrast agent was given"),
        (_head(affine=_affine(slice_mm=4.5)), "source: slices are 4.5 mm apart, at most 4.0 mm are allowed"),
        (_head(affine=_affine(plane_mm=2.0)), "source: covers only 16 mm along one axis, at least 20 mm are needed"),
        (_head(np.full((6, 8, 10), 7)), "source: every voxel has the same value"),
        (_head(np.where(np.arange(480) == 9, np.nan, 1).reshape(6, 8, 10)), "source: holds values that are no numbers"),
        (
            _head((np.arange(480) < 4).reshape(6, 8, 10)),
            "source: almost all of it is background (0.8% shows something)",
        ),
    ],
)
def test_each_rule_has_its_reason(volume: Volume, reason: str) -> None:
    assert _reasons(volume) == (reason,)


def test_too_few_slices_are_told() -> None:
    thin = _head(np.arange(320).reshape(4, 8, 10))
    assert "source: 4 slices, at least 5 are needed" in _reasons(thin)


def test_all_reasons_are_told_at_once() -> None:
    with pytest.raises(ContractViolation) as raised:
        refuse_outside_contract(PAIR, {"source": _head(Weighting="T1", ContrastEnhanced="YES"), "extra": _head()})
    for reason in ("there is no other", "weighting is T1", "contrast agent", "knows no role extra"):
        assert reason in raised.value.reason


def test_without_limits_on_the_card_only_the_image_counts() -> None:
    free = a_card(inputs={"source": InputRole(weighting=())})
    assert _reasons(_head(Weighting="", ContrastEnhanced="YES", BodyPartExamined="KNEE"), free) == ()


def test_inputs_of_one_patient_space_have_to_overlap() -> None:
    other = _head(affine=_affine(origin=(0, 0, 12.0)), Weighting="T1")
    assert check_inputs(PAIR, {"source": _head(), "other": other}) == (
        "other: covers only 50% of the target, 80% are needed",
    )
    near = _head(affine=_affine(origin=(0, 0, 4.0)), Weighting="T1")
    assert check_inputs(PAIR, {"source": _head(), "other": near}) == ()


def test_the_rule_may_choose_another_target() -> None:
    small = _head(np.arange(240).reshape(6, 4, 10), Weighting="T1")
    assert check_inputs(PAIR, {"source": _head(), "other": small}) != ()
    assert check_inputs(PAIR, {"source": _head(), "other": small}, target_role="other") == ()


def test_inputs_of_two_patient_spaces_are_left_to_registration() -> None:
    far = _affine(origin=(0, 0, 500.0))
    other = a_volume(affine=far, frame=FrameOfReferenceUID("2.25.43"), Weighting="T1")
    assert check_inputs(PAIR, {"source": _head(), "other": other}) == ()


@given(degrees=st.floats(-180, 180), shift=st.floats(-300, 300))
def test_a_volume_always_covers_itself_however_it_lies(degrees: float, shift: float) -> None:
    angle = np.radians(degrees)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    turn[:3, 3] = shift
    affine = turn @ _affine()
    inputs = {"source": _head(affine=affine), "other": _head(affine=affine, Weighting="T1")}
    assert check_inputs(PAIR, inputs) == ()
