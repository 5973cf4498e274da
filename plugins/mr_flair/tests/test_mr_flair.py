import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK as sitk  # noqa: N813  its own documentation calls it so

from dicomnode.domain.errors import ContractViolation
from dicomnode.domain.uids import FrameOfReferenceUID
from dicomnode.domain.volume import Geometry, Volume
from dicomnode.synthesis.compliance import ModelCompliance
from dicomnode_mr_flair.model import CARD, MRFlairModel
from dicomnode_mr_flair.regression import WHITE_MATTER
from tests.absence import absent

PLUGIN = Path(__file__).parents[1]
ROOT = PLUGIN.parents[1]
BRAIN_STUDY = ROOT / "tests" / "data" / "siemens-trio-brain"
SHAPE, SPACING = (44, 96, 80), (3.5, 2.2, 2.2)
AXIAL = np.diag([1.0, 1.0, 1.0, 1.0])[[2, 1, 0, 3]] * [*SPACING, 1.0]
FACTS: dict[str, str | float] = {"Modality": "MR", "ContrastEnhanced": "NO", "BodyPartExamined": "HEAD"}

AIR, SKIN, BONE, FLUID, GREY, WHITE = range(6)
T1_VALUES = np.array([0, 900, 60, 180, 420, 560], dtype=np.float32)
T2_VALUES = np.array([0, 500, 60, 1400, 620, 430], dtype=np.float32)


def _tissues() -> npt.NDArray[np.int_]:
    """A head of ellipsoids: skin, bone, fluid around grey around white matter, and ventricles in the middle."""
    axes = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(SHAPE, SPACING, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    tissues = np.full(SHAPE, AIR)
    for tissue, inset in ((SKIN, 0), (BONE, 7), (FLUID, 14), (GREY, 17), (WHITE, 24)):
        tissues[(z / (74 - inset)) ** 2 + (y / (96 - inset)) ** 2 + (x / (80 - inset)) ** 2 < 1] = tissue
    tissues[(z / 16) ** 2 + (y / 22) ** 2 + (x / 14) ** 2 < 1] = FLUID
    return tissues


def _volume(array: npt.NDArray[np.float32], weighting: str, affine: npt.NDArray[np.float64] = AXIAL) -> Volume:
    geometry = Geometry(shape=SHAPE, affine=affine, frame_of_reference_uid=FrameOfReferenceUID("2.25.1"))
    return Volume(array=array, geometry=geometry, attributes={**FACTS, "Weighting": weighting})


def _head(tissues: npt.NDArray[np.int_], affine: npt.NDArray[np.float64] = AXIAL) -> dict[str, Volume]:
    random = np.random.default_rng(4)
    images = [np.abs(values[tissues] + random.normal(0, 12, SHAPE)) for values in (T1_VALUES, T2_VALUES)]
    t1, t2 = (np.where(tissues == AIR, 0, image).astype(np.float32) for image in images)
    return {"t1": _volume(t1, "T1", affine), "t2": _volume(t2, "T2", affine)}


def _synthesise(inputs: Mapping[str, Volume]) -> npt.NDArray[np.float32]:
    model = MRFlairModel()
    model.load("cpu")
    return model.synthesise(inputs, 0).image.array


class TestMRFlair(ModelCompliance):
    model_class = MRFlairModel

    def make_inputs(self) -> Mapping[str, Volume]:
        return _head(_tissues())


def _looks_like_flair(image: npt.NDArray[np.float32], tissues: npt.NDArray[np.int_]) -> None:
    fluid, grey, white = (float(np.median(image[tissues == tissue])) for tissue in (FLUID, GREY, WHITE))
    assert fluid < 0.6 * white
    assert white < grey
    assert white == pytest.approx(WHITE_MATTER, rel=0.15)
    assert (image[tissues == AIR] == 0).mean() > 0.99


def test_fluid_is_dark_and_grey_matter_brighter_than_white() -> None:
    tissues = _tissues()
    _looks_like_flair(_synthesise(_head(tissues)), tissues)


def test_a_brain_without_its_skull_works_too() -> None:
    tissues = _tissues()
    tissues[np.isin(tissues, (SKIN, BONE))] = AIR
    _looks_like_flair(_synthesise(_head(tissues)), tissues)


def test_the_scale_of_the_scanner_does_not_matter() -> None:
    inputs = _head(_tissues())
    scaled = {
        "t1": _volume(inputs["t1"].array * np.float32(0.25), "T1"),
        "t2": _volume(inputs["t2"].array * np.float32(8), "T2"),
    }
    assert _synthesise(scaled) == pytest.approx(_synthesise(inputs), abs=0.02 * WHITE_MATTER)


def test_what_is_no_head_is_refused() -> None:
    tissues = _tissues()
    bottle = np.where(tissues == AIR, AIR, BONE)
    bottle[20:24, 46:50, 38:42] = FLUID
    with pytest.raises(ContractViolation, match="no brain"):
        _synthesise(_head(bottle))
    with pytest.raises(ContractViolation, match="empty"):
        _synthesise(_head(np.full(SHAPE, AIR)))


def test_sagittal_slices_are_refused() -> None:
    sagittal = np.diag([*SPACING, 1.0])
    with pytest.raises(ContractViolation, match="not axial"):
        _synthesise(_head(_tissues(), sagittal))


def test_the_figures_belong_to_these_weights() -> None:
    weights = MRFlairModel().weights()
    assert weights is not None
    assert CARD.evaluation is not None
    assert sha256(weights.read_bytes()).hexdigest() in CARD.evaluation.protocol
    assert {figure.subject for figure in CARD.evaluation.figures} == {"p12", "p19"}


def test_copies_of_the_inputs_are_beaten_outside_of_lesions() -> None:
    assert CARD.evaluation is not None
    compared = [
        figure for figure in CARD.evaluation.figures if figure.metric in ("PSNR", "SSIM") and figure.region != "lesions"
    ]
    assert len(compared) == 6
    for figure in compared:
        assert len(figure.baselines) == 4
        assert figure.value > max(figure.baselines.values())


@pytest.mark.slow
@pytest.mark.peer
def test_on_the_real_study_fluid_is_dark_and_nothing_is_outside_of_the_head(tmp_path: Path) -> None:
    t1, t2 = (_read(name, tmp_path) for name in ("t1_memprage_sag", "t2_fse_ax"))
    on_grid = sitk.GetArrayFromImage(sitk.Resample(t1, t2, sitk.Transform(3, sitk.sitkIdentity), sitk.sitkLinear, 0.0))
    target = sitk.GetArrayFromImage(t2)
    geometry = Geometry(
        shape=target.shape,
        affine=np.diag([1.0, 1.0, 1.0, 1.0])[[2, 1, 0, 3]] * [*t2.GetSpacing()[::-1], 1.0],
        frame_of_reference_uid=FrameOfReferenceUID("2.25.1"),
    )
    inputs = {role: Volume(array=array, geometry=geometry) for role, array in (("t1", on_grid), ("t2", target))}
    image = _synthesise(inputs)

    centre = (slice(18, 40), slice(150, 380), slice(100, 290))
    t1_deep, t2_deep, deep = on_grid[centre], target[centre], image[centre]
    fluid = deep[(t2_deep > np.percentile(t2_deep, 98)) & (t1_deep < np.percentile(t1_deep, 5))]
    white = deep[t1_deep > np.percentile(t1_deep, 80)]
    grey = deep[(t1_deep > np.percentile(t1_deep, 30)) & (t1_deep < np.percentile(t1_deep, 45))]
    assert np.median(fluid) < 0.4 * np.median(white)
    assert np.median(white) < np.median(grey)
    assert np.median(white) == pytest.approx(WHITE_MATTER, rel=0.15)
    corners = image[:, :40, :40]
    assert corners.max() == 0


def _read(series: str, folder: Path) -> sitk.Image:
    with zipfile.ZipFile(BRAIN_STUDY / f"{series}.zip") as archive:
        archive.extractall(folder / series)
    files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(next((folder / series).rglob("*.dcm")).parent))
    return sitk.ReadImage(files, sitk.sitkFloat32)


@pytest.mark.shared_data
@pytest.mark.slow
@pytest.mark.peer
def test_the_figures_of_the_card_are_measured_again() -> None:
    data = Path(os.environ.get("DICOMNODE_SHARED_DATA", ROOT.parent / "shared" / "data")) / "nifti"
    if not data.is_dir():
        absent(f"the images of the training are not at {data} (set DICOMNODE_SHARED_DATA)")
    told = subprocess.run(
        [sys.executable, str(PLUGIN / "train.py"), str(data), "--evaluate"], capture_output=True, text=True, check=True
    )
    measured = {(f["metric"], f["region"], f["subject"]): f["value"] for f in json.loads(told.stdout)["figures"]}
    assert CARD.evaluation is not None
    assert measured == {
        (figure.metric, figure.region, figure.subject): pytest.approx(figure.value, abs=0.02)
        for figure in CARD.evaluation.figures
    }
