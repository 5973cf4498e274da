"""Train the FLAIR regression and measure it on subjects it has never seen: every number on the card comes from here.

python train.py DATA             trains, writes weights.npz and evaluation.json beside the model
python train.py DATA --evaluate  measures the shipped weights again and prints the evaluation, writes nothing

DATA is a folder with `open-ms-longitudinal` and `open-ms-mni`: NIfTI volumes <visit>_<T1|T2|FLAIR|lesion>.nii.gz.
"""

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813  its own documentation calls it so

from dicomnode.domain.model_card import Evaluation, Figure
from dicomnode.evaluation.baselines import Rescaling, fit_rescaling
from dicomnode.evaluation.metrics import METRIC_VERSION, NORMALISATION, contrast_recovery, measure, normalise
from dicomnode_mr_flair.head import Array, Head, Mask, Spacing, find_head
from dicomnode_mr_flair.intensity import Landmarks, landmarks, standardise
from dicomnode_mr_flair.regression import (
    COLUMNS,
    Weights,
    design,
    predict,
    predict_from,
    predictors,
    read_weights,
    write_weights,
)

PACKAGE = Path(__file__).parent / "dicomnode_mr_flair"
WEIGHTS, EVALUATION = PACKAGE / "weights.npz", PACKAGE / "evaluation.json"
SEEN = {
    "open-ms-longitudinal/p01_s1": "p01",
    "open-ms-longitudinal/p01_s2": "p01",
    "open-ms-longitudinal/p03_s2": "p03",
    "open-ms-longitudinal/p04_s1": "p04",
    "open-ms-mni/p07": "p07",
}
"""Visit -> subject: the visits of one subject stay together, and the subjects count the same."""
UNSEEN = {"open-ms-longitudinal/p12_s1": "p12", "open-ms-mni/p19": "p19"}
PENALTIES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
BRIGHTEST = 3.0
RING_MM = 3
RECOVERY = "contrast recovery"
INPUTS = ("T1", "T2")

LIMITS = (
    "Four training and two test subjects, all with multiple sclerosis, from one laboratory; whether one person is in "
    "both of its collections is not known, and no subgroup can be looked at. Lesions may also be invented. The head "
    "outside of the brain is less true than the brain, and fluid at the skull base may be bright. Only near-axial "
    "slices of 1 to 4 mm were seen; never children, tumours, bleeding, implants or contrast agent. Not a medical "
    "device: research only."
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Visit:
    """One visit's images on one grid, arrays of float32 (slices, rows, columns)."""

    name: str
    images: Mapping[str, Array]
    spacing: Spacing
    mask: Mask
    """Where the true FLAIR has signal: the head, or the brain where the source is skull-stripped."""
    lesion: Mask | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """A part of a visit that is normalised and compared by itself, and the regions measured in it."""

    kind: str
    mask: Mask
    regions: Mapping[str, Mask]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moments:
    """What least squares needs of one visit, per voxel."""

    gram: npt.NDArray[np.float64]
    product: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Example:
    """A training visit, with its head found once."""

    visit: Visit
    head: Head
    subject: str


def read_visit(data: Path, name: str) -> Visit:
    """Read one visit; NIfTI counts columns, rows, slices, the model slices, rows, columns."""

    def read(what: str) -> Array:
        array = np.asarray(nib.load(data / f"{name}_{what}.nii.gz").dataobj, dtype=np.float32)  # type: ignore[attr-defined]
        return np.ascontiguousarray(array.transpose(2, 1, 0))

    columns, rows, slices = nib.load(data / f"{name}_T1.nii.gz").header.get_zooms()  # type: ignore[attr-defined]
    images = {what: read(what) for what in (*INPUTS, "FLAIR")}
    lesion = read("lesion") > 0 if (data / f"{name}_lesion.nii.gz").is_file() else None
    return Visit(
        name=name,
        images=images,
        spacing=(float(slices), float(rows), float(columns)),
        mask=images["FLAIR"] > 0,
        lesion=lesion,
    )


def prepare(data: Path) -> list[Example]:
    """Read the training visits and find their heads."""
    examples = []
    for name, subject in SEEN.items():
        visit = read_visit(data, name)
        head = find_head(visit.images["T1"], visit.images["T2"], visit.spacing)
        examples.append(Example(visit=visit, head=head, subject=subject))
        print(f"{name}: {visit.mask.shape}, spacing {np.round(visit.spacing, 2)} mm, {visit.mask.mean():.0%} signal")
    return examples


def standard_landmarks(examples: Sequence[Example]) -> Landmarks:
    """Average the landmarks of the training visits: the scale that every input is brought onto."""
    return np.asarray(np.mean([landmarks(example.head) for example in examples], axis=0))


def white_matter(example: Example, standard: Landmarks) -> float:
    """Measure the true FLAIR in white matter: bright in T1 and dark in T2, deep in the brain."""
    t1, t2 = standardise(example.head, standard)
    bright = t1 > standard[0, 1:].mean()
    dark = (t2 > standard[1, 0]) & (t2 < standard[1, 1])
    return float(np.median(example.visit.images["FLAIR"][bright & dark & (example.head.brain > 0.95)]))


def moments(example: Example, standard: Landmarks) -> Moments:
    """Sum up one visit's normal equations; the target is FLAIR in units of its white matter."""
    given = predictors(example.head, standard, example.visit.spacing)
    target = np.clip(example.visit.images["FLAIR"] / white_matter(example, standard), 0, BRIGHTEST)
    chosen = example.visit.mask & given.mask
    gram, product = np.zeros((COLUMNS, COLUMNS)), np.zeros(COLUMNS)
    for index, voxels in enumerate(chosen):
        rows = design(given, index, voxels).astype(np.float64)
        gram += rows.T @ rows
        product += rows.T @ target[index][voxels]
    return Moments(gram=gram / chosen.sum(), product=product / chosen.sum())


def solve(examples: Sequence[Example], sums: Mapping[str, Moments], standard: Landmarks, penalty: float) -> Weights:
    """Fit the ridge regression in which every subject counts the same."""
    subjects = [example.subject for example in examples]
    shares = {example.visit.name: 1 / subjects.count(example.subject) / len(set(subjects)) for example in examples}
    gram = sum((share * sums[name].gram for name, share in shares.items()), start=penalty * np.eye(COLUMNS))
    product = sum((share * sums[name].product for name, share in shares.items()), start=np.zeros(COLUMNS))
    return Weights(landmarks=standard, coefficients=np.linalg.solve(gram, product).astype(np.float32))


def choose_penalty(examples: Sequence[Example]) -> float:
    """Choose the penalty by leaving out one training subject after the other; the highest mean PSNR wins."""
    found: dict[float, list[float]] = {penalty: [] for penalty in PENALTIES}
    for subject in sorted({example.subject for example in examples}):
        kept = [example for example in examples if example.subject != subject]
        left_out = [example for example in examples if example.subject == subject]
        standard = standard_landmarks(kept)
        sums = {example.visit.name: moments(example, standard) for example in kept}
        for penalty in PENALTIES:
            weights = solve(kept, sums, standard, penalty)
            scores = [score(one.visit, predict_from(one.head, one.visit.spacing, weights)) for one in left_out]
            found[penalty].append(float(np.mean([one["all"]["PSNR"] for one in scores])))
            ssim = float(np.mean([one["all"]["SSIM"] for one in scores]))
            print(f"  without {subject}, penalty {penalty:g}: PSNR {found[penalty][-1]:.2f} dB, SSIM {ssim:.3f}")
    means = {penalty: float(np.mean(values)) for penalty, values in found.items()}
    for penalty, mean in means.items():
        print(f"penalty {penalty:g}: mean PSNR of the left-out subjects {mean:.3f} dB")
    return max(means, key=lambda penalty: means[penalty])


def synthesise(visit: Visit, weights: Weights) -> Array:
    """Make the FLAIR of a visit as the model does."""
    return predict(visit.images["T1"], visit.images["T2"], visit.spacing, weights)


def score(visit: Visit, image: Array) -> dict[str, dict[str, float]]:
    """Measure an image over all of a visit's signal, as a candidate on its own scale."""
    truth = normalise(visit.images["FLAIR"], visit.mask)
    return measure(truth, normalise(image, visit.mask), {"all": visit.mask})


def parts_of(visit: Visit) -> list[Part]:
    """Name what is measured of a visit: its head and the brain found in it, or its brain and the lesions."""
    if visit.lesion is not None:
        return [
            Part(kind="brain", mask=visit.mask, regions={"brain": visit.mask, "lesions": visit.lesion & visit.mask})
        ]
    found = find_head(visit.images["T1"], visit.images["T2"], visit.spacing)
    brain = visit.mask & (found.brain > 0.5)
    return [
        Part(kind="head", mask=visit.mask, regions={"head": visit.mask}),
        Part(kind="brain", mask=brain, regions={"brain (as the model finds it)": brain}),
    ]


def fit_baselines(visits: Sequence[Visit]) -> dict[tuple[str, str], Rescaling]:
    """Fit the best line from each input to FLAIR on the training visits, for heads and for brains."""
    parts = [(visit, part) for visit in visits for part in parts_of(visit)]
    return {
        (kind, what): fit_rescaling(
            (normalise(visit.images[what], part.mask), normalise(visit.images["FLAIR"], part.mask), part.mask)
            for visit, part in parts
            if part.kind == kind
        )
        for kind in ("head", "brain")
        for what in INPUTS
    }


def candidates(visit: Visit, part: Part, image: Array, lines: Mapping[tuple[str, str], Rescaling]) -> dict[str, Array]:
    """Collect what is compared with the truth, all normalised in the part: the model first, then the baselines."""
    found = {"model": normalise(image, part.mask)}
    for what in INPUTS:
        copy = normalise(visit.images[what], part.mask)
        found[f"copy of {what}"] = copy
        found[f"{what} rescaled"] = lines[part.kind, what].apply(copy, visit.mask)
    return found


def figures_of(
    visit: Visit, subject: str, weights: Weights, lines: Mapping[tuple[str, str], Rescaling]
) -> list[Figure]:
    """Measure the model and its baselines on one unseen visit."""
    image, figures = synthesise(visit, weights), []
    for part in parts_of(visit):
        truth = normalise(visit.images["FLAIR"], part.mask)
        images = candidates(visit, part, image, lines)
        found = {name: measure(truth, one, part.regions) for name, one in images.items()}
        figures += [
            _figure(metric, region, subject, {name: values[region][metric] for name, values in found.items()})
            for region in part.regions
            for metric in ("PSNR", "SSIM", "MAE", "NMSE")
        ]
        if visit.lesion is not None:
            ring = around(visit.lesion, visit.spacing) & part.mask
            shown = {name: contrast_recovery(truth, one, part.regions["lesions"], ring) for name, one in images.items()}
            figures.append(_figure(RECOVERY, f"lesions against {RING_MM} mm around them", subject, shown))
    return figures


def around(lesion: Mask, spacing: Spacing) -> Mask:
    """Find the tissue around lesions, up to a few mm away."""
    image = sitk.GetImageFromArray(lesion.astype(np.uint8))
    radius = [max(round(RING_MM / step), 1) for step in spacing[::-1]]
    return np.asarray(sitk.GetArrayFromImage(sitk.BinaryDilate(image, radius)) > 0) & ~lesion


def _figure(metric: str, region: str, subject: str, values: Mapping[str, float]) -> Figure:
    rounded = {name: round(value, 4) for name, value in values.items()}
    return Figure(metric=metric, region=region, subject=subject, value=rounded.pop("model"), baselines=rounded)


def evaluate(data: Path, weights: Weights, digest: str) -> Evaluation:
    """Measure the weights on the unseen subjects."""
    lines = fit_baselines([read_visit(data, name) for name in SEEN])
    figures: list[Figure] = []
    for name, subject in UNSEEN.items():
        figures += figures_of(read_visit(data, name), subject, weights, lines)
    return Evaluation(
        metric_version=METRIC_VERSION,
        data="open_ms_data (Lesjak et al. 2016, 2017): p12 (longitudinal, whole head, 3 mm slices) and p19 (MNI space, "
        "skull-stripped, 1 mm), used neither for training nor for any choice",
        protocol=f"{NORMALISATION}. Trained on {', '.join(SEEN)}; penalty chosen by leaving out one training subject "
        "after the other. The unseen subjects were measured three times: the landmarks of intensity.py were changed on "
        "the evidence of the training subjects, and more weight for lesion-like tissue was tried and dropped, because "
        "it drew bright rims around the ventricles of a healthy volunteer. Everything is normalised in the head or "
        "brain that it is measured in. Rescaled baselines: the best line on the heads or brains of the training "
        f"subjects. Weights SHA-256 {digest}.",
        figures=tuple(figures),
        limits=limits_of(figures),
    )


def limits_of(figures: Sequence[Figure]) -> str:
    """Say what the model cannot do, beginning with what the figures themselves show."""
    lost = [
        f"Of the contrast of lesions in {figure.subject} the image shows {figure.value:.0%} (a copy of T2 "
        f"{figure.baselines['copy of T2']:.0%}): a lesion may look like healthy tissue."
        for figure in figures
        if figure.metric == RECOVERY
    ]
    worse = [f"{figure.metric} of {figure.subject} in {figure.region}" for figure in figures if not is_best(figure)]
    beaten = [f"Not better than every baseline: {', '.join(worse)}."] if worse else []
    return " ".join([*lost, *beaten, LIMITS])


def is_best(figure: Figure) -> bool:
    """Whether the model is better than all of its baselines."""
    values = {"model": figure.value, **figure.baselines}
    better = {"PSNR": -1, "SSIM": -1, "MAE": 1, "NMSE": 1}
    cost = {
        name: abs(1 - value) if figure.metric == RECOVERY else better[figure.metric] * value
        for name, value in values.items()
    }
    return min(cost, key=lambda name: cost[name]) == "model"


def tell(evaluation: Evaluation) -> None:
    """Print every figure beside its baselines, and the limits."""
    for figure in evaluation.figures:
        others = ", ".join(f"{name} {value:.4f}" for name, value in figure.baselines.items())
        mark = "best" if is_best(figure) else "NOT the best"
        print(f"{figure.subject} {figure.region} {figure.metric}: {figure.value:.4f}, {mark} ({others})")
    print(evaluation.limits)


def train(data: Path) -> Weights:
    """Choose the penalty, fit on all training subjects and write the weights."""
    examples = prepare(data)
    penalty = choose_penalty(examples)
    print(f"chosen penalty: {penalty:g}")
    standard = standard_landmarks(examples)
    print(f"standard landmarks: T1 {np.round(standard[0], 3)}, T2 {np.round(standard[1], 3)}")
    sums = {example.visit.name: moments(example, standard) for example in examples}
    weights = solve(examples, sums, standard, penalty)
    write_weights(WEIGHTS, weights)
    return weights


def main() -> None:
    """Train or evaluate, as the command line says."""
    parser = argparse.ArgumentParser(description="Train the FLAIR regression, or measure the shipped weights again.")
    parser.add_argument("data", type=Path, help="folder with open-ms-longitudinal and open-ms-mni")
    parser.add_argument("--evaluate", action="store_true", help="only measure, and print the evaluation as JSON")
    given = parser.parse_args()
    weights = read_weights(WEIGHTS) if given.evaluate else train(given.data)
    digest = hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    evaluation = evaluate(given.data, weights, digest)
    if given.evaluate:
        print(evaluation.model_dump_json(indent=1))
        return
    EVALUATION.write_text(evaluation.model_dump_json(indent=1) + "\n", encoding="utf-8")
    tell(evaluation)


if __name__ == "__main__":
    main()
