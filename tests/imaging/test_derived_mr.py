from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from dicomnode.domain.derivation import LabelLanguage, ModelIdentity
from dicomnode.domain.errors import OutputRefused
from dicomnode.domain.model_card import InputRole, ModelCard, OutputDeclaration
from dicomnode.domain.volume import Volume
from dicomnode.imaging.derived_mr import DerivedMRImage, SeriesIdentity, derive_mr
from dicomnode.imaging.labels import Labels, Work, label
from dicomnode.imaging.output_gate import pass_gate
from dicomnode.imaging.validator import validate
from dicomnode.imaging.volume_from_instances import SourceSeries, read_source
from tests.builders import T1, T2, a_series, write_series

MODEL = ModelIdentity(name="mr-flair", version="1.0.0", weights_digest="ab" * 32)
KEY = "derive:content:rule:model"
CARD = ModelCard(
    name="mr-flair",
    version="1.0.0",
    vendor="somebody",
    summary="makes FLAIR",
    intended_use="Research.",
    out_of_scope="Diagnosis.",
    licence="Apache-2.0",
    training_data="none",
    inputs={"t1": InputRole(weighting=("T1",)), "t2": InputRole(weighting=("T2",))},
    target_role="t2",
    output=OutputDeclaration(label="FLAIR", weighting="FLAIR"),
)


def _labels(**changes: object) -> Labels:
    work = {
        "card": CARD,
        "model": MODEL,
        "source_weightings": ("T1", "T2"),
        "resampled": True,
        "interpolated_slices": 0,
        "revision": 1,
        "node_version": "0.1.0",
        "at": datetime(2026, 3, 2, 12, 0, 0, tzinfo=UTC),
    }
    return label(Work(**{**work, **changes}))  # type: ignore[arg-type]


@pytest.fixture
def sources(tmp_path: Path) -> tuple[SourceSeries, SourceSeries]:
    t1 = a_series(series="t1", slices=10, spacing=(2.5, 2.0, 2.0), SeriesNumber=2, **T1)
    t2 = a_series(series="t2", slices=8, SeriesNumber=3, LossyImageCompression="01", **T2)
    for item in t2:
        item.add_new(0x00091001, "LO", "private")
        item.ProtocolName = "secret protocol"
        item.OperatorsName = "Somebody^Else"
        item.WindowCenter, item.WindowWidth = 10, 20
    return read_source(write_series(tmp_path / "t1", t1)), read_source(write_series(tmp_path / "t2", t2))


def _derive(sources: tuple[SourceSeries, SourceSeries], labels: Labels | None = None) -> tuple[DerivedMRImage, ...]:
    t1, t2 = sources
    image = Volume(array=t2.volume.array * np.float32(0.5) - 10, geometry=t2.volume.geometry)
    return derive_mr(image, t2, [t1], labels or _labels(), SeriesIdentity(key=KEY, series_number=9001))


def _files(derived: tuple[DerivedMRImage, ...], folder: Path) -> list[Path]:
    folder.mkdir(exist_ok=True)
    files = []
    for index, item in enumerate(derived):
        files.append(folder / f"{index}.dcm")
        item.save_as(files[-1], enforce_file_format=True)
    return files


def test_dciodvfy_finds_no_error_and_no_warning(sources: tuple[SourceSeries, SourceSeries], tmp_path: Path) -> None:
    for file in _files(_derive(sources), tmp_path / "out"):
        found = validate(file)
        assert found.errors == ()
        assert found.warnings == ()


def test_the_validator_does_find_errors(sources: tuple[SourceSeries, SourceSeries], tmp_path: Path) -> None:
    derived = _derive(sources)
    del derived[0].ImageType
    (file,) = _files(derived[:1], tmp_path / "out")
    assert any("ImageType" in error for error in validate(file).errors)


def test_geometry_is_equal_to_the_target_by_highdicom(sources: tuple[SourceSeries, SourceSeries]) -> None:
    derived = _derive(sources)
    ours = hd.get_volume_from_series(list(derived))
    theirs = hd.get_volume_from_series(list(sources[1].datasets))
    assert ours.geometry_equal(theirs, tol=None)
    for result, source in zip(derived, sources[1].datasets, strict=True):
        assert result.InstanceNumber == source.InstanceNumber
        assert result["ImagePositionPatient"].value == source["ImagePositionPatient"].value


def test_the_label_stands_in_every_place(sources: tuple[SourceSeries, SourceSeries]) -> None:
    result = _derive(sources)[0]
    assert result.SyntheticData == "YES"
    assert list(result.ImageType) == ["DERIVED", "SECONDARY", "OTHER", "SYNTHETIC"]
    assert result.SeriesDescription == "SYNTH FLAIR from T1+T2 (AI, RESEARCH)"
    assert result.ImageComments.startswith("AI-SYNTHESIZED - NOT ACQUIRED")
    assert result.ContentQualification == "RESEARCH"
    assert result.DerivationCodeSequence[0].CodeValue == "123110"
    assert "mr-flair 1.0.0" in result.DerivationDescription
    assert result.Manufacturer == "dicomnode"
    purposes = {item.PurposeOfReferenceCodeSequence[0].CodeValue: item for item in result.ContributingEquipmentSequence}
    assert purposes["109101"].Manufacturer == "Maker"
    assert purposes["109100"].ManufacturerModelName == "mr-flair"
    assert purposes["109100"].DeviceSerialNumber == MODEL.weights_digest
    assert len(result.SourceImageSequence) == 1 + len(sources[0].datasets)
    assert {item.SeriesInstanceUID for item in result.ReferencedSeriesSequence} == {
        source.datasets[0].SeriesInstanceUID for source in sources
    }


def test_nothing_travels_that_is_not_named(sources: tuple[SourceSeries, SourceSeries]) -> None:
    result = _derive(sources)[0]
    assert not any(element.tag.is_private for element in result)
    for keyword in ("ProtocolName", "OperatorsName", "FlipAngle", "MagneticFieldStrength"):
        assert keyword not in result
    assert result.ScanningSequence == "RM"
    assert result.EchoTime is None
    assert result.LossyImageCompression == "01"
    assert result.PatientName == sources[1].datasets[0].PatientName


def test_the_same_contrast_keeps_the_pulse_sequence(sources: tuple[SourceSeries, SourceSeries]) -> None:
    t1, t2 = sources
    identity = SeriesIdentity(key=KEY, series_number=9001, same_contrast=True)
    result = derive_mr(t2.volume, t2, [t1], _labels(), identity)[0]
    assert result.ScanningSequence == "SE"
    assert result.EchoTime == 100


def test_the_same_work_gives_the_same_bytes(sources: tuple[SourceSeries, SourceSeries]) -> None:
    def encoded(derived: tuple[DerivedMRImage, ...]) -> list[bytes]:
        buffers = [BytesIO() for _ in derived]
        for item, buffer in zip(derived, buffers, strict=True):
            item.save_as(buffer, enforce_file_format=True)
        return [buffer.getvalue() for buffer in buffers]

    assert encoded(_derive(sources)) == encoded(_derive(sources))


def test_pixels_survive_rounded_and_never_negative(sources: tuple[SourceSeries, SourceSeries]) -> None:
    derived = _derive(sources)
    expected = np.rint(np.clip(sources[1].volume.array * 0.5 - 10, 0, None))
    for index, item in enumerate(derived):
        buffer = BytesIO()
        item.save_as(buffer, enforce_file_format=True)
        buffer.seek(0)
        assert np.array_equal(pydicom.dcmread(buffer).pixel_array, expected[index])


def test_a_target_with_a_missing_slice_gets_no_slice_there(tmp_path: Path) -> None:
    whole = a_series(series="t2", slices=8, **T2)
    target = read_source(write_series(tmp_path / "t2", whole[:3] + whole[4:]), missing_slices=1)
    derived = derive_mr(target.volume, target, [], _labels(), SeriesIdentity(key=KEY, series_number=9001))
    assert len(derived) == 7
    assert pass_gate(derived, _files(derived, tmp_path / "out"), target, CARD)["geometry"].startswith("equal")
    assert np.array_equal(derived[4].pixel_array, whole[2].pixel_array)


def test_a_later_revision_says_so() -> None:
    assert _labels(revision=2).series_description.endswith("rev 2")
    assert len(_labels(revision=12, source_weightings=("T1", "T2", "FLAIR", "T2STAR")).series_description) <= 64


def test_a_complete_series_passes_the_gate(sources: tuple[SourceSeries, SourceSeries], tmp_path: Path) -> None:
    derived = _derive(sources)
    checks = pass_gate(derived, _files(derived, tmp_path / "out"), sources[1], CARD)
    assert set(checks) == {"labels", "identity", "geometry", "dciodvfy"}
    assert checks["dciodvfy"] == "0 errors on 8 instances; no warnings"


def _unset(keyword: str) -> object:
    def damage(item: Dataset) -> None:
        del item[keyword]

    return damage


def _set(keyword: str, value: object) -> object:
    def damage(item: Dataset) -> None:
        setattr(item, keyword, value)

    return damage


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (_unset("SyntheticData"), "SyntheticData"),
        (_set("SyntheticData", "NO"), "SyntheticData"),
        (_set("ImageType", ["ORIGINAL", "PRIMARY", "OTHER"]), "Image Type"),
        (_set("SeriesDescription", "FLAIR"), "series description"),
        (_set("ContentQualification", "PRODUCT"), "Content Qualification"),
        (_set("ImageComments", "nice"), "Image Comments"),
        (_unset("DerivationDescription"), "not described"),
        (_unset("DerivationCodeSequence"), "not coded"),
        (_unset("SourceImageSequence"), "no source image"),
        (_unset("ContributingEquipmentSequence"), "contributing equipment"),
        (_set("Manufacturer", "Maker"), "manufacturer"),
        (_set("Modality", "CT"), "Modality"),
        (_set("PatientID", "somebody else"), "PatientID"),
        (_set("StudyInstanceUID", "1.2.3"), "StudyInstanceUID"),
        (_set("FrameOfReferenceUID", "1.2.3"), "Frame of Reference"),
        (_set("ImagePositionPatient", [0, 0, 0]), "."),
        (_unset("ScanningSequence"), "dciodvfy|ScanningSequence"),
    ],
)
def test_the_gate_stops_each_defect(
    sources: tuple[SourceSeries, SourceSeries], tmp_path: Path, damage: object, complaint: str
) -> None:
    derived = _derive(sources)
    assert callable(damage)
    damage(derived[2])
    with pytest.raises(OutputRefused, match=complaint):
        pass_gate(derived, _files(derived, tmp_path / "out"), sources[1], CARD)


@pytest.mark.parametrize(
    ("language", "description", "warning"),
    [
        ("en", "SYNTH FLAIR from T1+T2 (AI, RESEARCH)", "AI-SYNTHESIZED - NOT ACQUIRED. "),
        ("de", "SYNTH FLAIR aus T1+T2 (KI, RESEARCH)", "KI-SYNTHETISIERT - NICHT AUFGENOMMEN. "),
        ("fr", "SYNTH FLAIR depuis T1+T2 (IA, RESEARCH)", "SYNTHESE PAR IA - NON ACQUIS. "),
    ],
)
def test_the_label_speaks_the_language_of_the_rule_and_passes_the_gate_in_each(
    sources: tuple[SourceSeries, SourceSeries], tmp_path: Path, language: str, description: str, warning: str
) -> None:
    labels = _labels(language=LabelLanguage(language))
    assert labels.series_description == description
    assert warning in labels.image_comments
    assert f"{description}{labels.image_comments}".isascii()
    derived = _derive(sources, labels)
    assert pass_gate(derived, _files(derived, tmp_path / "out"), sources[1], CARD)["labels"].startswith("complete on")
