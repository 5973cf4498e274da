from typing import Any

from dicomnode.imaging.acquisition import acquisition_of
from dicomnode.imaging.orientation import Orientation
from tests.builders import FLAIR, SAGITTAL, a_series
from tests.imaging.enhanced import Groups, an_enhanced_mr


def test_a_classic_series_tells_how_it_was_acquired() -> None:
    acquisition = acquisition_of(a_series(slices=4, orientation=SAGITTAL, ScanOptions="FS", **FLAIR))
    assert acquisition.sequence == {"SE", "IR"}
    assert (acquisition.repetition_time, acquisition.echo_times, acquisition.inversion_time) == (9000, (110,), 2500)
    assert (acquisition.images, acquisition.repeats, acquisition.orientation) == (4, 1, Orientation.SAGITTAL)
    assert acquisition.is_fat_saturated
    assert not acquisition.is_3d
    assert [sorted(types) for types in acquisition.image_types] == [["M", "ORIGINAL", "PRIMARY"]]


def test_an_enhanced_series_tells_the_same_in_other_words() -> None:
    acquisition = acquisition_of([an_enhanced_mr(EchoPlanarPulseSequence="YES", AcquisitionContrast="UNKNOWN")])
    assert acquisition.sequence == {"GR", "IR", "EP"}
    assert (acquisition.repetition_time, acquisition.echo_time, acquisition.inversion_time) == (1800, 2.41, 900)
    assert acquisition.flip_angle == 9
    assert (acquisition.images, acquisition.declared_contrast) == (3, "")


def test_a_time_of_zero_is_no_time() -> None:
    acquisition = acquisition_of(a_series(slices=1, InversionTime=0, EchoTime=0, RepetitionTime="0"))
    assert (acquisition.inversion_time, acquisition.echo_time, acquisition.repetition_time) == (None, None, None)


def test_echo_times_and_b_values_come_from_all_instances() -> None:
    series = a_series(slices=4)
    for index, instance in enumerate(series):
        instance.EchoTime = (90, 12)[index % 2]
        instance.DiffusionBValue = (0.0, 1000.0)[index // 2]
    acquisition = acquisition_of(series)
    assert (acquisition.echo_times, acquisition.echo_time) == ((12, 90), 12)
    assert acquisition.b_values == (0, 1000)


def _diffusion_frame(b_value: float, component: str) -> Groups:
    frame_type = {"FrameType": ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE"], "ComplexImageComponent": component}
    return {
        "MREchoSequence": {"EffectiveEchoTime": 80.0},
        "MRDiffusionSequence": {"DiffusionBValue": b_value},
        "MRImageFrameTypeSequence": frame_type,
    }


def test_echo_times_b_values_and_image_types_come_from_all_frames() -> None:
    frames = [_diffusion_frame(0.0, "MAGNITUDE"), _diffusion_frame(800.0, "PHASE")]
    acquisition = acquisition_of([an_enhanced_mr(shared={}, frames=frames)])
    assert list(acquisition.echo_times) == [80]
    assert list(acquisition.b_values) == [0, 800]
    assert [sorted(types & {"MAGNITUDE", "PHASE"}) for types in acquisition.image_types] == [["MAGNITUDE"], ["PHASE"]]


def test_images_of_one_place_are_repeats() -> None:
    volumes = [instance for _ in range(5) for instance in a_series(slices=3)]
    assert acquisition_of(volumes).repeats == 5


def test_what_is_not_said_is_not_known() -> None:
    nothing: dict[str, Any] = dict.fromkeys(
        ("ScanningSequence", "SequenceVariant", "RepetitionTime", "EchoTime", "EchoTrainLength", "ImageType")
    )
    acquisition = acquisition_of(a_series(slices=1, **nothing))
    assert not acquisition.sequence | acquisition.variant | acquisition.image_type
    assert (acquisition.repetition_time, acquisition.echo_times, acquisition.flip_angle) == (None, (), None)
