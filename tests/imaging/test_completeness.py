"""What headers tell of missing images: a series that is cut is noticed, and a whole one is never called incomplete."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any
from zipfile import ZipFile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from dicomnode.domain.errors import DicomnodeError
from dicomnode.imaging.completeness import CountingHeader, SeriesCount, count_series, counting_header
from dicomnode.imaging.dicom_json import read_json
from tests.builders import a_series, write_series

UNKNOWN = SeriesCount()
ORIGINAL = ["ORIGINAL", "PRIMARY", "M"]
WHOLE = {
    "hitachi-airis-lspine/s006_t2_sag.zip": "all 11 images by ImagesInAcquisition",
    "hitachi-airis-lspine/s007_t1_sag.zip": "all 11 images by ImagesInAcquisition",
    "hitachi-airis-lspine/s008_t2_ax.zip": "all 17 images by ImagesInAcquisition",
    "hitachi-airis-lspine/s012_stir_sag.zip": "all 11 images by ImagesInAcquisition",
}
MISSING = {
    "siemens-trio-brain/s005_t1_memprage_sag.zip": "1 slice is missing between others by position and instance number",
    "siemens-trio-brain/s006_t2_fse_ax.zip": "1 slice is missing between others by position and instance number",
    "siemens-xa30-enhanced/25_asl_2d_tra": "6 of 7 temporal positions are missing",
    "siemens-xa30-enhanced/7_func-bold_task-fa_run-1": "19 of 20 temporal positions are missing",
    "enhanced-misc/siemens-xa60-terrax-phantom": "2 of 3 temporal positions are missing",
    "odd/ge-deidentified": "194 of 196 images by ImagesInAcquisition are missing",
}
"""Of each the shared data has only a part, or a series that lacked a slice at its source."""
CUT = (
    "siemens-essenza-knee/s003_sag_pd_fs.zip",
    "siemens-essenza-knee/s006_sag_t1",
    "siemens-trio-brain/s005_t1_memprage_sag.zip",
    "siemens-trio-brain/s006_t2_fse_ax.zip",
    "toshiba-titan-lspine/s4001_t2_sag.zip",
    "toshiba-titan-lspine/s5001_t1_sag.zip",
    "hitachi-airis-lspine/s006_t2_sag.zip",
    "philips-ingenia-brain/s1301_t1_mprage_sag_classic_partial.zip",
    "ge-signa-brain-pd/s002_fse_pd_ax_obl",
)
"""Regular stacks whose slices are numbered one after the other."""


def _headers(datasets: Sequence[Dataset], folder: Path) -> list[CountingHeader]:
    return [counting_header(read_json(file)) for file in write_series(folder, datasets)]


def _files(series: Path, folder: Path) -> list[Path]:
    if series.suffix != ".zip":
        return sorted(file for file in series.iterdir() if file.is_file())
    with ZipFile(series) as archive:
        archive.extractall(folder)
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _real(series: Path, folder: Path) -> dict[str, list[CountingHeader]]:
    """Read what of a folder can be read, by series."""
    found: dict[str, list[CountingHeader]] = {}
    for file in _files(series, folder):
        try:
            header = read_json(file)
        except DicomnodeError:
            continue
        uid = header["0020000E"]["Value"][0] if header.get("0020000E", {}).get("Value") else ""
        found.setdefault(uid, []).append(counting_header(header))
    return found


def _image(**known: Any) -> CountingHeader:
    nothing: dict[str, Any] = {
        "series_number": 1,
        "is_image": True,
        "is_original": True,
        "frames": 1,
        "number": None,
        "acquisition": ("", 1),
        "images_in_acquisition": None,
        "volumes": 0,
        "temporal": (None, None),
        "concatenation": ("", None, None),
        "stack": ("", None),
        "position": (),
        "orientation": (),
    }
    return CountingHeader(**{**nothing, **known})


def _stack_of(image: CountingHeader) -> tuple[str, int]:
    stack, place = image.stack
    assert place is not None
    return stack, place


def _stack(places: Sequence[float], numbers: Sequence[int]) -> list[CountingHeader]:
    axial = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    return [
        _image(position=(5.0, 6.0, place), orientation=axial, number=number)
        for place, number in zip(places, numbers, strict=True)
    ]


def test_what_counts_is_read_from_the_header(tmp_path: Path) -> None:
    series = a_series(slices=2, shape=(4, 4), ImagesInAcquisition=2, AcquisitionNumber=3, ImageType=ORIGINAL)
    first, _second = _headers(series, tmp_path)
    assert first == _image(
        number=1,
        acquisition=("", 3),
        images_in_acquisition=2,
        position=(-10.0, -20.0, -30.0),
        orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    )


def test_what_is_no_image_is_not_counted() -> None:
    assert count_series([_image(is_image=False)]) is None
    assert count_series([_image(), _image(is_image=False)]) == UNKNOWN


def test_images_are_counted_by_images_in_acquisition() -> None:
    ten = [_image(images_in_acquisition=10)] * 10
    assert count_series(ten) == SeriesCount(whole="all 10 images by ImagesInAcquisition")
    assert count_series(ten[:9]) == SeriesCount(missing="1 of 10 images by ImagesInAcquisition is missing")
    assert count_series(ten * 2) == UNKNOWN


def test_images_that_were_derived_may_be_fewer_than_their_source_had() -> None:
    derived = [_image(images_in_acquisition=10, is_original=False)] * 10
    assert count_series(derived[:4]) == UNKNOWN
    assert count_series(derived) == SeriesCount(whole="all 10 images by ImagesInAcquisition")


def test_an_acquisition_that_is_cut_is_noticed_and_a_whole_one_is_no_whole_series() -> None:
    first = [_image(images_in_acquisition=4, acquisition=("", 1))] * 4
    second = [_image(images_in_acquisition=4, acquisition=("", 2))] * 4
    assert count_series([*first, *second]) == UNKNOWN
    cut = SeriesCount(missing="1 of 8 images by ImagesInAcquisition of its 2 acquisitions is missing")
    assert count_series([*first, *second[:3]]) == cut
    single = [_image(images_in_acquisition=1, acquisition=("", number)) for number in range(5)]
    assert count_series(single[:1]) == count_series(single) == UNKNOWN


def test_images_are_counted_by_temporal_position() -> None:
    dynamic = [_image(temporal=(3, phase), position=(0.0, 0.0, place)) for phase in (1, 2, 3) for place in range(4)]
    assert count_series(dynamic) == SeriesCount(whole="all 12 images of its 3 temporal positions")
    assert count_series(dynamic[:-2]) == SeriesCount(missing="2 of 12 images of its 3 temporal positions are missing")
    assert count_series(dynamic[:4]) == SeriesCount(missing="8 of 12 images of its 3 temporal positions are missing")
    echoes = [*dynamic, *dynamic]
    assert count_series(echoes) == UNKNOWN


def test_volumes_are_counted_by_the_temporal_positions_of_their_frames() -> None:
    volumes = [_image(frames=30, volumes=1, temporal=(20, None))] * 20
    assert count_series(volumes) == SeriesCount(whole="all 20 temporal positions")
    assert count_series(volumes[:12]) == SeriesCount(missing="8 of 20 temporal positions are missing")
    assert count_series([_image(frames=600, volumes=20, temporal=(20, None))]) == SeriesCount(
        whole="all 20 temporal positions"
    )


def test_parts_of_a_concatenation_are_counted() -> None:
    parts = [_image(frames=50, concatenation=("1.2.3", place, 3)) for place in (1, 2, 3)]
    assert count_series(parts) == SeriesCount(whole="all 3 parts of its concatenated images")
    assert count_series(parts[1:]) == SeriesCount(missing="1 of 3 parts of its concatenated images is missing")
    assert count_series([*parts, _image(frames=50)]) == UNKNOWN


def test_places_in_stacks_are_counted_stack_by_stack() -> None:
    stacks = [_image(stack=(name, place)) for name in ("1", "2", "3") for place in range(3, 8)]
    assert count_series(stacks) == UNKNOWN
    assert count_series(stacks[1:]) == UNKNOWN
    inner = [one for one in stacks if one.stack not in (("1", 4), ("3", 6))]
    assert count_series(inner) == SeriesCount(missing="2 in-stack positions are missing between others")
    assert count_series([_image(stack=("1", place)) for place in range(1, 20, 4)]) == UNKNOWN
    assert count_series([*inner, _image()]) == UNKNOWN


@given(
    st.integers(8, 60),
    st.sampled_from([0.5, 1.0, 2.4, 3.3, 5.5]),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_holes_in_a_stack_are_counted_in_whatever_order_its_slices_came(
    slices: int, spacing: float, random: Random, is_interleaved: bool
) -> None:
    places = [round(-30 + place * spacing, 4) for place in range(slices)]
    numbers = [*range(1, slices + 1, 2), *range(2, slices + 1, 2)] if is_interleaved else list(range(1, slices + 1))
    whole = _stack(places, numbers)
    random.shuffle(whole)
    assert count_series(whole) == UNKNOWN
    ends = {min(places), max(places)}
    inner = [one for one in whole if one.position[2] not in ends and one.number not in (1, slices)]
    gone = random.sample(inner, max(1, slices // 10))
    count = count_series([one for one in whole if one not in gone])
    assert count is not None
    assert count.missing.startswith(f"{len(gone)} slice")


def test_a_gap_that_the_scanner_left_is_no_hole() -> None:
    two_stacks = [*range(10), *range(14, 24)]
    assert count_series(_stack([3.0 * place for place in two_stacks], range(1, 21))) == UNKNOWN
    head = [*(2.5 * place for place in range(20)), *(50 + 5.0 * place for place in range(8))]
    assert count_series(_stack(head, range(1, 29))) == UNKNOWN


def test_slices_that_cross_are_no_stack() -> None:
    planes = [_image(position=(0.0, 0.0, 3.0 * place), orientation=(1.0, 0, 0, 0, 1.0, 0)) for place in range(6)]
    other = [_image(position=(3.0 * place, 0.0, 0.0), orientation=(0, 1.0, 0, 0, 0, -1.0)) for place in range(6)]
    numbered = [*_stack([0.0, 3.0, 9.0, 12.0, 15.0], [1, 2, 4, 5, 6]), *planes, *other]
    assert count_series(numbered) == UNKNOWN


@pytest.mark.parametrize("broken", ["", "x", {}, None, [None], {"Value": ["x"]}, {"Value": [{"a": 1}]}, {"Value": 3}])
def test_a_broken_header_counts_nothing(broken: object) -> None:
    tags = ("00080008", "00080017", "00200012", "00201002", "00200105", "00200032", "00200037", "00209161", "52009230")
    header = counting_header({"00280010": {"vr": "US", "Value": [4]}, **dict.fromkeys(tags, broken)})
    assert count_series([header] * 9) == UNKNOWN


@pytest.mark.shared_data
def test_of_all_real_series_only_those_that_lack_something_are_called_incomplete(
    shared_data: Path, tmp_path: Path
) -> None:
    root = shared_data / "dicom"
    places = [path for path in sorted(root.rglob("*")) if path.suffix == ".zip" or path.is_dir()]
    told: dict[str, SeriesCount] = {}
    for place in places:
        name = str(place.relative_to(root))
        for headers in _real(place, tmp_path / name).values():
            count = count_series(headers)
            if count not in (None, UNKNOWN):
                told[name] = count
    assert {name: count.missing for name, count in told.items() if count.missing} == MISSING
    whole = {name: count.whole for name, count in told.items() if count.whole}
    assert whole == {**WHOLE, "odd/pydicom-dicomdir/98892003/MR2": "all 3 images by ImagesInAcquisition"}


@pytest.mark.shared_data
@pytest.mark.parametrize("name", CUT)
def test_a_real_series_without_a_tenth_of_its_slices_is_noticed(name: str, shared_data: Path, tmp_path: Path) -> None:
    (headers,) = _real(shared_data / "dicom" / name, tmp_path).values()
    ordered = sorted(headers, key=lambda one: one.number or 0)
    gone = Random(7).sample(ordered[1:-1], max(1, len(ordered) // 10))
    cut = count_series([one for one in headers if one not in gone])
    assert cut is not None
    assert "missing between others" in cut.missing


@pytest.mark.shared_data
def test_each_slice_that_a_multi_stack_series_lacks_is_noticed(shared_data: Path, tmp_path: Path) -> None:
    (headers,) = _real(shared_data / "dicom" / "toshiba-titan-lspine" / "s6001_t2_ax_nodesc.zip", tmp_path).values()
    stacks = {
        one.stack[0]: [place for name, place in map(_stack_of, headers) if name == one.stack[0]] for one in headers
    }
    inner = [one for one in headers if one.stack[1] not in (min(stacks[one.stack[0]]), max(stacks[one.stack[0]]))]
    assert len(inner) > 5
    for gone in inner:
        cut = count_series([one for one in headers if one is not gone])
        assert cut == SeriesCount(missing="1 in-stack position is missing between others")
