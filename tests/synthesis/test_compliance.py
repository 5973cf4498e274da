"""The suite for authors lets a good model pass and catches each broken promise."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from dicomnode.domain.errors import ModelFailed, ModelOutputInvalid
from dicomnode.domain.model_card import Evaluation, Figure, InputRole
from dicomnode.domain.volume import Volume
from dicomnode.synthesis.compliance import ModelCompliance
from dicomnode.synthesis.contract import SynthesisModel, SynthesisOutput
from tests.synthesis.models import DoublingModel, a_card


class TestDoubling(ModelCompliance):
    model_class = DoublingModel


class Demanding(DoublingModel):
    card = a_card(
        inputs={
            "t1": InputRole(
                weighting=("T1",), min_extent_mm=150.0, min_slices=80, body_parts=("HEAD",), contrast_agent="never"
            ),
            "ct": InputRole(weighting=(), modality="CT", max_slice_spacing_mm=1.5),
        },
        target_role="t1",
    )


class TestDemanding(ModelCompliance):
    model_class = Demanding


def _suite(model: type[SynthesisModel]) -> ModelCompliance:
    class Suite(ModelCompliance):
        model_class: ClassVar[type[SynthesisModel]] = model

    return Suite()


def test_an_empty_card_is_caught() -> None:
    class Wordless(DoublingModel):
        card = a_card(out_of_scope=" ")

    with pytest.raises(AssertionError, match="out_of_scope"):
        _suite(Wordless).test_card_is_complete()


def test_a_number_that_stands_alone_is_caught() -> None:
    figure = Figure(metric="PSNR", region="head", subject="p1", value=30.0)
    evaluation = Evaluation(metric_version="1", data="d", protocol="p", figures=(figure,), limits="few subjects")

    class Boasting(DoublingModel):
        card = a_card(evaluation=evaluation)

    with pytest.raises(AssertionError, match="PSNR of p1 stands alone"):
        _suite(Boasting).test_figures_stand_beside_baselines()


def test_weights_without_numbers_are_caught() -> None:
    class Unmeasured(DoublingModel):
        card = a_card(weights="w.bin")

    with pytest.raises(AssertionError, match="needs an evaluation"):
        _suite(Unmeasured).test_figures_stand_beside_baselines()


def test_unreadable_weights_are_caught(tmp_path: Path) -> None:
    class Lost(DoublingModel):
        card = a_card(weights="w.bin")

        def weights(self) -> Path | None:
            return tmp_path / "w.bin"

    with pytest.raises(OSError, match=r"w\.bin"):
        _suite(Lost).test_identity_is_readable_and_stable()


@pytest.mark.parametrize("told", ["no GPU here", ("gpu",)])
def test_missing_that_no_operator_can_read_is_caught(told: Sequence[str]) -> None:
    class Terse(DoublingModel):
        def missing(self) -> Sequence[str]:
            return told

    with pytest.raises(AssertionError, match="sentence"):
        _suite(Terse).test_missing_is_a_list_of_sentences()


def test_a_heavy_import_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").touch()
    (tmp_path / "heavy_plugin.py").write_text("import torch\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    class Heavy(DoublingModel):
        __module__ = "heavy_plugin"

    with pytest.raises(AssertionError, match="imports torch"):
        _suite(Heavy).test_import_is_light()


def test_inputs_outside_the_own_card_are_caught() -> None:
    class Suite(ModelCompliance):
        model_class = Demanding

        def make_inputs(self) -> Mapping[str, Volume]:
            return {"t1": super().make_inputs()["t1"]}

    with pytest.raises(AssertionError, match="there is no ct"):
        Suite().test_inputs_of_this_test_are_inside_the_contract()


def test_a_shifted_or_constant_output_is_caught() -> None:
    class Shifted(DoublingModel):
        def synthesise(self, inputs: Mapping[str, Volume], seed: int) -> SynthesisOutput:
            source = inputs["source"]
            return SynthesisOutput(image=Volume(array=source.array * np.float32("nan"), geometry=source.geometry))

    class Flat(DoublingModel):
        def synthesise(self, inputs: Mapping[str, Volume], seed: int) -> SynthesisOutput:
            source = inputs["source"]
            return SynthesisOutput(image=Volume(array=source.array * np.float32(0), geometry=source.geometry))

    with pytest.raises(ModelOutputInvalid):
        _suite(Shifted).test_output_is_what_the_card_declares()
    with pytest.raises(AssertionError, match="constant"):
        _suite(Flat).test_output_is_what_the_card_declares()


def test_a_model_that_rolls_dice_is_caught() -> None:
    class Dicing(DoublingModel):
        def synthesise(self, inputs: Mapping[str, Volume], seed: int) -> SynthesisOutput:
            source = inputs["source"]
            noise = np.random.default_rng().normal(size=source.array.shape).astype(np.float32)
            return SynthesisOutput(image=Volume(array=source.array + noise, geometry=source.geometry))

    with pytest.raises(AssertionError, match="two images"):
        _suite(Dicing).test_same_seed_same_voxels()


def test_changing_or_returning_an_input_is_caught() -> None:
    class Changing(DoublingModel):
        def synthesise(self, inputs: Mapping[str, Volume], seed: int) -> SynthesisOutput:
            source = inputs["source"]
            source.array.setflags(write=True)
            source.array[0] = 0
            return super().synthesise(inputs, seed)

    class Handing(DoublingModel):
        def synthesise(self, inputs: Mapping[str, Volume], seed: int) -> SynthesisOutput:
            return SynthesisOutput(image=inputs["source"])

    class Writing(DoublingModel):
        def synthesise(self, inputs: Mapping[str, Volume], seed: int) -> SynthesisOutput:
            inputs["source"].array[0] = 0
            return super().synthesise(inputs, seed)

    with pytest.raises(AssertionError, match="changed its input"):
        _suite(Changing).test_inputs_are_left_alone()
    with pytest.raises(AssertionError, match="the memory of source"):
        _suite(Handing).test_inputs_are_left_alone()
    with pytest.raises(ModelFailed, match="ValueError"):
        _suite(Writing).test_inputs_are_left_alone()
