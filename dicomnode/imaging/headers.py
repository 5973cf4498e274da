"""The front of an instance: the file meta information this node writes, the identifiers it reads (PS3.10, PS3.5)."""

import re
import struct
import zlib
from collections.abc import Callable, Mapping
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_file_meta_info, read_partial
from pydicom.tag import BaseTag, Tag

from dicomnode.domain.association import OfferedInstance
from dicomnode.domain.errors import InvalidValue, MalformedInstance
from dicomnode.domain.study import InstanceHeader
from dicomnode.domain.uids import UID, SeriesInstanceUID, SOPClassUID, SOPInstanceUID, StudyInstanceUID
from dicomnode.imaging.attributes import UNREADABLE, number, quiet_pydicom, text
from dicomnode.imaging.bounded_reading import MOST_READS, MOST_READS_OF_IDENTIFIERS, BoundedReading
from dicomnode.imaging.header_layout import HeaderLayouts
from dicomnode.imaging.header_scan import BOUND, scan_header

IMPLEMENTATION_CLASS_UID = "2.25.212303070409939435644181987752608629991"
"""Names this implementation in every file it writes (PS3.7 D.3.3.2); made once from a random UUID (PS3.5 B.2)."""
IMPLEMENTATION_VERSION_NAME = "DICOMNODE_01"

_AnyUID = TypeVar("_AnyUID", bound=UID)

_LONG_VR = ("OB",)
_DEFLATED_SYNTAX = "1.2.840.10008.1.2.1.99"
_FILE_META_FRONT = 1024
_GROUP_LENGTH_END = 128 + 4 + 12
_GROUP_LENGTH_ELEMENT = b"\x02\x00\x00\x00UL"
_TRANSFER_SYNTAX_ELEMENT = b"\x02\x00\x10\x00UI"
_PLAIN_INTEGER = re.compile(r"([+-]?[0-9]{1,12})?")
_INFLATED_LIMIT = 64 * 1024 * 1024
"""No header is larger; a few kilobytes can be made to inflate beyond any memory."""
_LAST_HEADER_GROUP = 0x0020
_PIXEL_DATA_GROUP = 0x7FE0
_CODE_LENGTH, _DATE_LENGTH = 16, 8
_INTEGER_LIMIT = 2**31

_HEADER_TAGS: list[BaseTag | int] = [
    Tag(keyword)
    for keyword in (
        "SOPClassUID",
        "SOPInstanceUID",
        "StudyDate",
        "AccessionNumber",
        "Modality",
        "StudyDescription",
        "SeriesDescription",
        "PatientName",
        "PatientID",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "SeriesNumber",
        "InstanceNumber",
    )
]


def encode_file_meta(offered: OfferedInstance) -> bytes:
    """Write what stands before the data set in a file: preamble, DICM and file meta information (PS3.10 section 7.1).

    The announced UIDs are written as they came, so that the file says what the sender said. The sender itself is not
    named: the same instance from another system has to have the same digest.
    """
    elements = b"".join(
        (
            _meta_element(0x0001, "OB", b"\0\1"),
            _meta_element(0x0002, "UI", offered.sop_class_uid.encode("ascii")),
            _meta_element(0x0003, "UI", offered.sop_instance_uid.encode("ascii")),
            _meta_element(0x0010, "UI", offered.transfer_syntax_uid.encode("ascii")),
            _meta_element(0x0012, "UI", IMPLEMENTATION_CLASS_UID.encode("ascii")),
            _meta_element(0x0013, "SH", IMPLEMENTATION_VERSION_NAME.encode("ascii")),
        )
    )
    group_length = _meta_element(0x0000, "UL", struct.pack("<L", len(elements)))
    return b"\0" * 128 + b"DICM" + group_length + elements


def header_in_front(front: memoryview, transfer_syntax: str, layouts: HeaderLayouts) -> InstanceHeader | None:
    """Read the attributes that place an instance from the first bytes of its data set; None where `read_header` has to.

    Gives what `read_header` would give for the whole file, and is quick where the header is like one before.
    """
    values = scan_header(front, transfer_syntax, layouts)
    return None if values is None else _plain_header(values)


def read_header(path: Path) -> InstanceHeader:
    """Read the attributes that place an instance, never its pixels; raises MalformedInstance.

    An attribute that places nothing may be broken: it then reads as empty.
    """
    scanned = _scan(path)
    return (_plain_header(scanned) if scanned is not None else None) or _parsed_header(path)


def _scan(path: Path) -> Mapping[str, str] | None:
    """Read the identifiers of a plain instance without parsing it; None where pydicom has to."""
    try:
        with path.open("rb") as file:
            front = file.read(BOUND)
    except OSError:
        return None
    if front[128:132] != b"DICM" or front[132:138] != _GROUP_LENGTH_ELEMENT or len(front) < _GROUP_LENGTH_END:
        return None
    data_set = _GROUP_LENGTH_END + int(struct.unpack_from("<L", front, _GROUP_LENGTH_END - 4)[0])
    place = front.find(_TRANSFER_SYNTAX_ELEMENT, _GROUP_LENGTH_END, data_set)
    if place < 0 or data_set > len(front):
        return None
    value = place + len(_TRANSFER_SYNTAX_ELEMENT) + 2
    length = int(struct.unpack_from("<H", front, value - 2)[0])
    syntax = front[value : value + length].rstrip(b"\0 ").decode("ascii", "replace")
    return scan_header(memoryview(front)[data_set:], syntax)


def _plain_header(values: Mapping[str, str]) -> InstanceHeader | None:
    """Build a header from scanned values; None where one of them needs pydicom's judgement."""
    numbers = {keyword: values[keyword] for keyword in ("SeriesNumber", "InstanceNumber")}
    if "=" in values["PatientName"] or not all(_PLAIN_INTEGER.fullmatch(text) for text in numbers.values()):
        return None
    try:
        study, series = StudyInstanceUID(values["StudyInstanceUID"]), SeriesInstanceUID(values["SeriesInstanceUID"])
        instance, sop_class = SOPInstanceUID(values["SOPInstanceUID"]), SOPClassUID(values["SOPClassUID"])
    except InvalidValue:
        return None
    return InstanceHeader(
        study_instance_uid=study,
        series_instance_uid=series,
        sop_instance_uid=instance,
        sop_class_uid=sop_class,
        modality=_short(values["Modality"], _CODE_LENGTH),
        patient_id=values["PatientID"],
        patient_name=values["PatientName"],
        accession_number=values["AccessionNumber"],
        study_date=_date(values["StudyDate"]),
        study_description=values["StudyDescription"],
        series_description=values["SeriesDescription"],
        series_number=_integer(float(numbers["SeriesNumber"])) if numbers["SeriesNumber"] else None,
        instance_number=_integer(float(numbers["InstanceNumber"])) if numbers["InstanceNumber"] else None,
    )


def _parsed_header(path: Path) -> InstanceHeader:
    """Read a header with pydicom; raises MalformedInstance."""
    dataset = _parse(path, _is_past_header, _HEADER_TAGS)
    return InstanceHeader(
        study_instance_uid=_uid(dataset, StudyInstanceUID),
        series_instance_uid=_uid(dataset, SeriesInstanceUID),
        sop_instance_uid=_uid(dataset, SOPInstanceUID),
        sop_class_uid=_uid(dataset, SOPClassUID),
        modality=_short(text(dataset, "Modality"), _CODE_LENGTH),
        patient_id=text(dataset, "PatientID"),
        patient_name=text(dataset, "PatientName"),
        accession_number=text(dataset, "AccessionNumber"),
        study_date=_date(text(dataset, "StudyDate")),
        study_description=text(dataset, "StudyDescription"),
        series_description=text(dataset, "SeriesDescription"),
        series_number=_integer(number(dataset, "SeriesNumber")),
        instance_number=_integer(number(dataset, "InstanceNumber")),
    )


def read_data_set(path: Path) -> Dataset:
    """Read all attributes in front of the pixel data; raises MalformedInstance.

    Where an attribute behind the identifiers cannot be parsed, the attributes up to group 0020 are given: the
    instance was accepted with them, and it must stay possible to decide about its study.
    """
    try:
        return _parse(path, _is_pixel_data)
    except MalformedInstance:
        return _parse(path, _is_past_header)


def _meta_element(element: int, vr: str, value: bytes) -> bytes:
    """Encode one element of group 0002 in Explicit VR Little Endian (PS3.5 section 7.1.2)."""
    if len(value) % 2:
        value += b"\0" if vr == "UI" else b" "
    layout = "<HH2sHL" if vr in _LONG_VR else "<HH2sH"
    lengths = (0, len(value)) if vr in _LONG_VR else (len(value),)
    return struct.pack(layout, 0x0002, element, vr.encode("ascii"), *lengths) + value


def _is_past_header(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag.group > _LAST_HEADER_GROUP


def _is_pixel_data(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag.group >= _PIXEL_DATA_GROUP


def _parse(
    path: Path, stop_when: Callable[[BaseTag, str | None, int], bool], tags: list[BaseTag | int] | None = None
) -> Dataset:
    """Parse a Part 10 file until `stop_when`, all attributes or only some; raises MalformedInstance."""
    reads = MOST_READS if tags is None else MOST_READS_OF_IDENTIFIERS
    try:
        with quiet_pydicom(), path.open("rb") as file:
            if not _is_deflated(path, file):
                bounded = cast(BinaryIO, BoundedReading(file, reads))
                return read_partial(bounded, stop_when=stop_when, specific_tags=tags)
            inflated = cast(BinaryIO, BoundedReading(_inflate(path, file), reads))
            return read_dataset(inflated, False, True, stop_when=stop_when, specific_tags=tags)
    except UNREADABLE as error:
        # The cause is left out: pydicom's messages quote the bytes they stumble over.
        raise MalformedInstance(f"the data set cannot be parsed ({type(error).__name__})") from None


def _is_deflated(path: Path, file: BufferedReader) -> bool:
    """Tell whether the data set is compressed as a whole (PS3.5 section A.5); cheap for the others, which are many."""
    if _DEFLATED_SYNTAX.encode("ascii") not in file.peek(_FILE_META_FRONT)[:_FILE_META_FRONT]:
        return False
    return bool(read_file_meta_info(path).get("TransferSyntaxUID") == _DEFLATED_SYNTAX)


def _inflate(path: Path, file: BufferedReader) -> BytesIO:
    """Decompress the front of a deflated data set; pydicom would inflate all of it, however much that is."""
    group_length = int(read_file_meta_info(path).FileMetaInformationGroupLength)
    file.seek(_GROUP_LENGTH_END + group_length)
    return BytesIO(zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read(), _INFLATED_LIMIT))


def _uid(dataset: Dataset, kind: type[_AnyUID]) -> _AnyUID:
    """Read one of the UIDs that place an instance; its type is named like its attribute. Raises MalformedInstance."""
    keyword = kind.__name__
    value = text(dataset, keyword)
    if not value:
        raise MalformedInstance(f"{keyword} is missing, empty or cut short")
    try:
        return kind(value)
    except InvalidValue as error:
        raise MalformedInstance(error.reason) from None


def _short(value: str, length: int) -> str:
    """Keep a value that is as short as its VR asks for."""
    return value if len(value) <= length else ""


def _date(value: str) -> str:
    """Keep a date in the form of VR DA; dots come from before the standard (ACR-NEMA)."""
    digits = value.replace(".", "")
    return digits if len(digits) == _DATE_LENGTH and digits.isdecimal() else ""


def _integer(value: float | None) -> int | None:
    """Keep a whole number in the range of VR IS (PS3.5 section 6.2)."""
    if value is None or not value.is_integer() or not -_INTEGER_LIMIT <= value < _INTEGER_LIMIT:
        return None
    return int(value)
