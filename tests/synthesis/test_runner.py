from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dicomnode.domain.derivation import ModelIdentity
from dicomnode.domain.errors import (
    ContractViolation,
    ModelFailed,
    ModelNotFound,
    ModelOutputInvalid,
    ModelUnavailable,
    WeightsChanged,
)
from dicomnode.domain.model_card import InputRole, OutputDeclaration
from dicomnode.domain.volume import Geometry, Units, Volume
from dicomnode.synthesis.contract import SynthesisModel, SynthesisOutput
from dicomnode.synthesis.registry import Registry, identify
from dicomnode.synthesis.runner import Runner
from tests.synthesis.models import FRAME, DoublingModel, a_card, a_volume

SOURCE = a_volume()


def _run(model: SynthesisModel, inputs: Mapping[str, Volume] | None = None) -> SynthesisOutput:
    return Runner(Registry([model]), "cpu").run(identify(model), inputs or {"source": SOURCE}, seed=1)


def test_the_model_runs_on_the_device_and_is_loaded_once() -> None:
    loaded: list[str] = []

    class Counted(DoublingModel):
        def load(self, device: str) -> None:
            loaded.append(device)

    runner = Runner(Registry([Counted()]), "cuda:0")
    for _ in range(3):
        output = runner.run(identify(Counted()), {"source": SOURCE}, seed=1)
        assert np.array_equal(output.image.array, SOURCE.array * 2)
    assert loaded == ["cuda:0"]


def test_the_longest_unused_model_goes_first() -> None:
    loaded: list[str] = []

    def named(name: str) -> DoublingModel:
        class Named(DoublingModel):
            card = a_card(name=name)

            def load(self, device: str) -> None:
                loaded.append(self.card.name)

        return Named()

    registry = Registry([named("first"), named("second"), named("third")])
    runner = Runner(registry, "cpu", keep=2)
    for name in ("first", "second", "first", "third", "first", "second"):
        runner.run(registry.entry(name).identity, {"source": SOURCE}, seed=1)
    assert loaded == ["first", "second", "third", "second"]


@pytest.mark.parametrize(
    ("pinned", "reason"),
    [
        ({"version": "1.2.4"}, "1.2.4 was pinned, but 1.2.3 is installed"),
        ({"weights_digest": "f" * 64}, "pinned were ffffffffffff"),
    ],
)
def test_another_model_than_the_pinned_one_is_refused(pinned: dict[str, str], reason: str) -> None:
    found = identify(DoublingModel())
    values = {"name": found.name, "version": found.version, "weights_digest": found.weights_digest, **pinned}
    with pytest.raises(WeightsChanged, match=reason):
        Runner(Registry([DoublingModel()]), "cpu").run(ModelIdentity(**values), {"source": SOURCE}, seed=1)


def test_weights_that_changed_on_disk_after_the_start_are_noticed(tmp_path: Path) -> None:
    file = tmp_path / "weights.bin"

    class WithWeights(DoublingModel):
        card = a_card(weights="weights.bin")

        def weights(self) -> Path | None:
            return file

    file.write_bytes(b"pinned")
    registry = Registry([WithWeights()])
    pinned = registry.entry("doubling").identity
    file.write_bytes(b"other")
    with pytest.raises(WeightsChanged, match="the weights of model doubling"):
        Runner(registry, "cpu").run(pinned, {"source": SOURCE}, seed=1)
    file.unlink()
    with pytest.raises(WeightsChanged, match="cannot be read"):
        Runner(registry, "cpu").run(pinned, {"source": SOURCE}, seed=1)


def test_a_model_that_is_not_here_or_cannot_run_here_is_told_apart() -> None:
    class Lacking(DoublingModel):
        lacking = ("There is no GPU.", "The library x is missing.")

    with pytest.raises(ModelUnavailable, match=r"There is no GPU\.; The library x is missing\."):
        _run(Lacking())
    unknown = ModelIdentity(name="zebra", version="1.0.0", weights_digest="0")
    with pytest.raises(ModelNotFound):
        Runner(Registry(), "cpu").run(unknown, {"source": SOURCE}, seed=1)


@pytest.mark.parametrize("error", [ValueError, KeyError, MemoryError, type("OwnError", (Exception,), {})])
def test_what_a_model_raises_becomes_a_failure_without_its_words(error: type[Exception]) -> None:
    class Raising(DoublingModel):
        def synthesise(self, inputs: Mapping[str, Volume], seed: int) -> SynthesisOutput:
            raise error("Testperson^Tilda")

    with pytest.raises(ModelFailed) as raised:
        _run(Raising())
    assert error.__name__ in raised.value.reason
    assert "test_runner.py line" in raised.value.reason
    assert "Tilda" not in raised.value.reason
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    assert raised.value.retryable


def test_a_model_that_cannot_be_loaded_has_failed_and_is_not_kept() -> None:
    class Unloadable(DoublingModel):
        def load(self, device: str) -> None:
            raise OSError(device)

    runner = Runner(Registry([Unloadable()]), "cpu")
    for _ in range(2):
        with pytest.raises(ModelFailed, match="OSError in load"):
            runner.run(identify(Unloadable()), {"source": SOURCE}, seed=1)


def test_the_models_own_refusal_is_a_refusal() -> None:
    class Refusing(DoublingModel):
        def synthesise(self, inputs: Mapping[str, Volume], seed: int) -> SynthesisOutput:
            raise ContractViolation("there is no head in the images")

    with pytest.raises(ContractViolation, match="no head"):
        _run(Refusing())


def _moved(by_mm: float) -> Geometry:
    affine = np.array(SOURCE.geometry.affine)
    affine[0, 3] += by_mm
    return Geometry(shape=SOURCE.geometry.shape, affine=affine, frame_of_reference_uid=FRAME)


def _uncertain(array: Any, units: Units = Units.STANDARD_DEVIATION) -> SynthesisOutput:
    return SynthesisOutput(
        image=Volume(array=SOURCE.array, geometry=SOURCE.geometry),
        uncertainty=Volume(array=array.astype(np.float32), geometry=SOURCE.geometry, units=units),
    )


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (None, "returned NoneType"),
        (SynthesisOutput(image=Volume(array=SOURCE.array, geometry=_moved(1e-6))), "not lie on the target's grid"),
        (SynthesisOutput(image=a_volume(SOURCE.array[:-1])), "not lie on the target's grid"),
        (SynthesisOutput(image=a_volume(np.where(SOURCE.array == 3, np.nan, 1))), "no numbers"),
        (SynthesisOutput(image=a_volume(np.where(SOURCE.array == 3, np.inf, 1))), "no numbers"),
        (SynthesisOutput(image=a_volume(units=Units.HOUNSFIELD)), "is in HU, not in arbitrary"),
        (_uncertain(SOURCE.array, Units.ARBITRARY), "uncertainty is in arbitrary, not in sd"),
        (_uncertain(-SOURCE.array), "never negative"),
    ],
)
def test_an_output_that_breaks_its_card_is_refused_for_good(output: Any, reason: str) -> None:
    class Wrong(DoublingModel):
        def synthesise(self, inputs: Mapping[str, Volume], seed: int) -> SynthesisOutput:
            return output  # type: ignore[no-any-return]

    with pytest.raises(ModelOutputInvalid, match=reason) as raised:
        _run(Wrong())
    assert not raised.value.retryable


def test_the_cards_own_units_and_uncertainty_are_accepted() -> None:
    class Computed(DoublingModel):
        card = a_card(
            inputs={"source": InputRole(weighting=(), modality="CT")},
            output=OutputDeclaration(label="CT", weighting="CT", modality="CT", units="HU"),
        )

        def synthesise(self, inputs: Mapping[str, Volume], seed: int) -> SynthesisOutput:
            uncertain = _uncertain(SOURCE.array).uncertainty
            return SynthesisOutput(image=a_volume(units=Units.HOUNSFIELD), uncertainty=uncertain)

    assert _run(Computed()).uncertainty is not None
