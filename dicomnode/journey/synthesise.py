"""Synthesise: instances -> volumes -> model -> derived instances in the spool. Runs in the child process.

Nothing is recorded here: the files become part of the node only when the derive step commits their rows.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from dicomnode.domain.derivation import DerivationReport, DerivedInstance, LabelLanguage, ModelIdentity, Preparation
from dicomnode.domain.errors import SpoolFull
from dicomnode.domain.model_card import ModelCard
from dicomnode.domain.uids import SeriesInstanceUID, SOPInstanceUID
from dicomnode.domain.volume import Volume
from dicomnode.imaging.attributes import quiet_pydicom
from dicomnode.imaging.derived_mr import DerivedMRImage, SeriesIdentity, derive_mr
from dicomnode.imaging.exchange import encode
from dicomnode.imaging.labels import Labels, Work, label, read_labels
from dicomnode.imaging.output_gate import pass_gate
from dicomnode.imaging.resample import Resampled, resample_onto
from dicomnode.imaging.volume_from_instances import SourceSeries, read_source
from dicomnode.spool.store import Spool
from dicomnode.synthesis.gate import refuse_outside_contract
from dicomnode.synthesis.registry import Registry
from dicomnode.synthesis.runner import Runner

_SEED_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisRequest:
    """All that the child needs; `files` are the spool files of each role's instances."""

    key: str
    model: ModelIdentity
    target_role: str
    preparation: Preparation
    files: Mapping[str, tuple[Path, ...]]
    series_number: int
    revision: int
    at: datetime
    """The instant written into the instances, in the site's own time; the same on every rerun."""
    spool_root: Path
    device: str
    node_version: str
    label_language: LabelLanguage = LabelLanguage.ENGLISH

    @property
    def seed(self) -> int:
        """The seed that always belongs to this work."""
        return int.from_bytes(hashlib.sha256(self.key.encode()).digest()[:_SEED_BYTES], "big")


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisResult:
    """What the child made: instances durable in the spool, and the report for the timeline."""

    instances: tuple[DerivedInstance, ...]
    report: DerivationReport


class _Stopwatch:
    """Measures how long each part of the work takes, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = perf_counter()

    def lap(self, name: str) -> None:
        now = perf_counter()
        self.seconds[name], self._since = round(now - self._since, 3), now


def synthesise(request: SynthesisRequest) -> SynthesisResult:
    """Do one derivation's work from its files to its files; raises a DicomnodeError that says why there is no image."""
    with quiet_pydicom():
        return _synthesise(request)


def _synthesise(request: SynthesisRequest) -> SynthesisResult:
    watch = _Stopwatch()
    runner = _runner(request.device)
    card = runner.registry.entry(request.model.name).card
    watch.lap("prepare the process")
    sources = {
        role: read_source(files, request.preparation.missing_slices) for role, files in sorted(request.files.items())
    }
    refuse_outside_contract(card, {role: source.volume for role, source in sources.items()}, request.target_role)
    watch.lap("read and check")
    target = sources[request.target_role]
    prepared = {
        role: resample_onto(source.volume, target.volume, request.preparation.alignment)
        for role, source in sources.items()
    }
    watch.lap("align")
    output = runner.run(request.model, {role: item.volume for role, item in prepared.items()}, request.seed)
    watch.lap("model")
    labels = label(_work(request, card, sources))
    derived = _derive(request, card, output.image, sources, labels)
    watch.lap("write")
    instances, checks = _keep(request, derived, target, card)
    watch.lap("check and store")
    return SynthesisResult(
        instances=instances,
        report=DerivationReport(
            durations=watch.seconds,
            alignment=_alignments(prepared, request.target_role),
            labels=read_labels(derived[0]),
            checks={**checks, **_interpolated(sources)},
            series_description=labels.series_description,
        ),
    )


@lru_cache(maxsize=1)
def _runner(device: str) -> Runner:
    """Keep the models loaded from one job to the next; the child serves one device all its life."""
    return Runner(Registry.discover(), device)


def _work(request: SynthesisRequest, card: ModelCard, sources: Mapping[str, SourceSeries]) -> Work:
    """Say what was done, for the label."""
    target = sources[request.target_role].volume.geometry
    return Work(
        card=card,
        model=request.model,
        source_weightings=tuple(
            str(source.volume.attributes.get("Weighting") or role) for role, source in sources.items()
        ),
        resampled=any(not source.volume.geometry.equals(target) for source in sources.values()),
        interpolated_slices=sum(source.missing for source in sources.values()),
        revision=request.revision,
        node_version=request.node_version,
        at=request.at,
        language=request.label_language,
    )


def _derive(
    request: SynthesisRequest, card: ModelCard, image: Volume, sources: Mapping[str, SourceSeries], labels: Labels
) -> tuple[DerivedMRImage, ...]:
    """Write the image as instances of one new series."""
    others = [source for role, source in sources.items() if role != request.target_role]
    identity = SeriesIdentity(
        key=request.key, series_number=request.series_number, same_contrast=card.output.same_contrast
    )
    return derive_mr(image, sources[request.target_role], others, labels, identity)


def _keep(
    request: SynthesisRequest, derived: tuple[DerivedMRImage, ...], target: SourceSeries, card: ModelCard
) -> tuple[tuple[DerivedInstance, ...], Mapping[str, str]]:
    """Pass the gate with the very bytes that will leave, then make them durable."""
    encoded = [encode(dataset) for dataset in derived]
    with TemporaryDirectory(prefix="gate-", dir=request.spool_root / "incoming") as folder:
        checks = pass_gate(derived, _write(encoded, Path(folder)), target, card)
    spool = Spool(request.spool_root)
    kept = [spool.keep(data) for data in encoded]
    return tuple(
        DerivedInstance(
            sop_instance_uid=SOPInstanceUID(dataset.SOPInstanceUID),
            series_instance_uid=SeriesInstanceUID(dataset.SeriesInstanceUID),
            sop_class_uid=str(dataset.SOPClassUID),
            transfer_syntax_uid=str(dataset.transfer_syntax_uid),
            digest=file.digest,
            size=file.size,
            path=file.path,
            instance_number=int(dataset.InstanceNumber),
        )
        for dataset, file in zip(derived, kept, strict=True)
    ), checks


def _write(encoded: Sequence[bytes], folder: Path) -> list[Path]:
    """Write the bytes to where the gate looks at them; raises SpoolFull."""
    files = [folder / f"{index:05d}.dcm" for index in range(len(encoded))]
    try:
        for file, data in zip(files, encoded, strict=True):
            file.write_bytes(data)
    except OSError as error:
        raise SpoolFull(f"the disk refused the bytes ({error.strerror})") from error
    return files


def _alignments(prepared: Mapping[str, Resampled], target_role: str) -> dict[str, dict[str, float | str]]:
    """Report how each input but the target was aligned, rounded to what means something."""
    return {
        role: {
            name: round(value, 3) if isinstance(value, float) else value
            for name, value in item.alignment.to_json().items()
        }
        for role, item in prepared.items()
        if role != target_role
    }


def _interpolated(sources: Mapping[str, SourceSeries]) -> dict[str, str]:
    """Say which inputs lacked slices that the rule allowed to be interpolated."""
    lacking = [f"{source.missing} of {role}" for role, source in sources.items() if source.missing]
    return {"missing slices": f"interpolated for the model, not written: {', '.join(lacking)}"} if lacking else {}
