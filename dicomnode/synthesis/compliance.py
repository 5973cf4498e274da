"""The tests that every model must pass, shipped to authors, whose whole test file is `class TestMine(ModelCompliance)`.

The subclass names its `model_class`, and overrides `make_inputs` where the phantom is no input for the model. pytest
collects it; importing this does not need pytest.
"""

import subprocess
import sys
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dicomnode.domain.model_card import InputRole, ModelCard
from dicomnode.domain.uids import FrameOfReferenceUID
from dicomnode.domain.volume import Geometry, Units, Volume
from dicomnode.synthesis.contract import SynthesisModel, SynthesisOutput
from dicomnode.synthesis.gate import check_inputs
from dicomnode.synthesis.registry import Registry, card_problems, identify
from dicomnode.synthesis.runner import Runner

_SEED = 7
_SIDE = 48
_FRAME_OF_REFERENCE = FrameOfReferenceUID("2.25.20260301")
_HEAVY = ("torch", "tensorflow", "jax", "openvino")
"""What may be imported in `load`, never when the class is found: every process of the node looks at the card."""
_WORDS = ("vendor", "summary", "intended_use", "out_of_scope", "licence", "training_data")


class ModelCompliance:
    """Holds one model to the contract; each test says what the node relies on."""

    model_class: ClassVar[type[SynthesisModel]]

    def make_inputs(self) -> Mapping[str, Volume]:
        """Make inputs that the card allows, all on one grid; a phantom by default, for the author to override."""
        card = self.model_class().card
        return {role: _phantom(card, role) for role in card.inputs}

    def test_card_is_complete(self) -> None:
        """Who uses a model must be able to read what it is for, what it was made from and how good it is."""
        model = self.model_class()
        assert isinstance(model, SynthesisModel), "the class does not have every member of SynthesisModel"
        assert ModelCard.model_validate(model.card.model_dump()) == model.card, "the card does not survive its own form"
        problems = card_problems(model.card, model.weights())
        assert not problems, "; ".join(problems)
        empty = [name for name in _WORDS if not getattr(model.card, name).strip()]
        assert not empty, f"the card says nothing under {empty}"

    def test_figures_stand_beside_baselines(self) -> None:
        """A number without its baselines and a statement of its limits says nothing; trained weights need numbers."""
        card = self.model_class().card
        assert card.evaluation or card.weights is None, "a model with weights needs an evaluation on its card"
        if card.evaluation:
            assert card.evaluation.figures, "an evaluation has figures"
            assert card.evaluation.limits.strip(), "an evaluation states its limits"
            for figure in card.evaluation.figures:
                assert figure.baselines, f"{figure.metric} of {figure.subject} stands alone"

    def test_identity_is_readable_and_stable(self) -> None:
        """The node pins name, version and SHA-256 of the weights when work is decided."""
        identity = identify(self.model_class())
        assert identity == identify(self.model_class()), "two instances of the class are two different models"

    def test_missing_is_a_list_of_sentences(self) -> None:
        """An operator reads it as it is."""
        missing = self.model_class().missing()
        assert not isinstance(missing, str), "missing() gives one sentence per thing, in a sequence"
        assert all(isinstance(sentence, str) and " " in sentence.strip() for sentence in missing), (
            f"no sentences: {missing}"
        )

    def test_import_is_light(self) -> None:
        """Every process of the node imports the class to read its card; none of them wants a deep-learning library."""
        script = f"import sys, {self.model_class.__module__}; print(*[m for m in {_HEAVY} if m in sys.modules])"
        told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stderr
        assert not told.stdout.strip(), f"importing the model imports {told.stdout.strip()}"

    def test_inputs_of_this_test_are_inside_the_contract(self) -> None:
        """A model is only ever given what its own card allows."""
        reasons = check_inputs(self.model_class().card, self.make_inputs())
        assert not reasons, "; ".join(reasons)

    def test_output_is_what_the_card_declares(self) -> None:
        """On the CPU: the target's grid exactly, float32, finite, in the card's units; and not just a constant."""
        output = self._run(self.make_inputs())
        assert np.ptp(output.image.array) > 0, "the image is constant"

    def test_same_seed_same_voxels(self) -> None:
        """A rerun after a crash makes the same instances; the order of the inputs means nothing."""
        inputs = self.make_inputs()
        first, second = self._run(inputs), self._run(dict(reversed(list(inputs.items()))))
        assert np.array_equal(first.image.array, second.image.array), "two runs gave two images"
        assert (first.uncertainty is None) == (second.uncertainty is None), "only one of two runs gave an uncertainty"
        if first.uncertainty is not None and second.uncertainty is not None:
            assert np.array_equal(first.uncertainty.array, second.uncertainty.array), "two runs gave two uncertainties"

    def test_inputs_are_left_alone(self) -> None:
        """The inputs are shared with what runs after the model."""
        inputs = self.make_inputs()
        before = {role: volume.array.copy() for role, volume in inputs.items()}
        output = self._run(inputs)
        for role, volume in inputs.items():
            assert np.array_equal(volume.array, before[role]), f"the model changed its input {role}"
            assert not np.shares_memory(output.image.array, volume.array), f"the output is the memory of {role}"

    def _run(self, inputs: Mapping[str, Volume]) -> SynthesisOutput:
        """Run a model that was never used before, as the node does."""
        model = self.model_class()
        return Runner(Registry([model]), "cpu").run(identify(model), inputs, _SEED)


def _phantom(card: ModelCard, role: str) -> Volume:
    """Make nested ellipsoids with a little noise on a grid that every role of the card allows."""
    shape, spacing = _grid(card)
    geometry = Geometry(
        shape=shape, affine=np.diag([*spacing, 1.0])[[2, 1, 0, 3]], frame_of_reference_uid=_FRAME_OF_REFERENCE
    )
    place = list(card.inputs).index(role)
    noise = np.random.default_rng(place).normal(0, 4, shape)
    image = np.maximum(_ellipsoids(shape, place) + noise, 0)
    units = Units.HOUNSFIELD if card.inputs[role].modality == "CT" else Units.ARBITRARY
    return Volume(
        array=image.astype(np.float32), geometry=geometry, units=units, attributes=_attributes(card.inputs[role])
    )


def _grid(card: ModelCard) -> tuple[tuple[int, int, int], tuple[float, float, float]]:
    """Choose shape and spacing (mm) so that every role's limits are kept."""
    roles = card.inputs.values()
    between = min([role.max_slice_spacing_mm or 3.0 for role in roles] + [3.0])
    extent = max([role.min_extent_mm or 0.0 for role in roles] + [float(_SIDE)])
    slices = max([role.min_slices for role in roles] + [int(np.ceil(extent / between))])
    return (slices, _SIDE, _SIDE), (between, extent / _SIDE, extent / _SIDE)


def _ellipsoids(shape: tuple[int, int, int], place: int) -> npt.NDArray[np.float64]:
    """Draw three nested bodies; their values differ from role to role as weightings do."""
    axes = np.meshgrid(*(np.linspace(-1, 1, count) for count in shape), indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    values = np.roll([300.0, 150.0, 500.0], place)
    return np.select([radius < 0.3, radius < 0.6, radius < 0.9], list(values), 0.0)


def _attributes(role: InputRole) -> dict[str, str | float]:
    """State the acquisition facts that the role asks for."""
    facts: dict[str, str | float] = {"Modality": role.modality, "ContrastEnhanced": "NO"}
    if role.weighting:
        facts["Weighting"] = role.weighting[0]
    if role.body_parts:
        facts["BodyPartExamined"] = role.body_parts[0]
    return facts
