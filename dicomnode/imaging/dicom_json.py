"""The header of an instance in the DICOM JSON Model (PS3.18 Annex F)."""

import base64
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from dicomnode.domain.archive import DicomJson
from dicomnode.domain.errors import InvalidValue, NotInLedger
from dicomnode.imaging.attributes import UNREADABLE, quiet_pydicom
from dicomnode.imaging.frames import PIXEL_DATA_TAGS, read_pixel_place
from dicomnode.imaging.headers import read_data_set

_LONGEST_INLINE_BYTES = 1024
_SPECIFIC_CHARACTER_SET = "00080005"
_UTF_8 = "ISO_IR 192"
_TAG_DIGITS = 8


def tag_of(name: str) -> str:
    """Turn an attribute's keyword or tag into the 8 hex digits of the JSON model; raises InvalidValue."""
    if len(name) == _TAG_DIGITS and all(digit in "0123456789abcdefABCDEF" for digit in name):
        return name.upper()
    tag = tag_for_keyword(name) if name else None
    if tag is None:
        raise InvalidValue("there is no attribute of that name: give the keyword or the tag as 8 hex digits")
    return f"{tag:08X}"


def read_json(file: Path) -> DicomJson:
    """Read the header of a Part 10 file; long binary values and pixel data become a BulkDataURI.

    The URI is relative to the series, as in `instances/1.2.3/bulkdata/7FE00010`. A value that breaks the rules of its
    own VR is given as its bytes with the VR UN. Raises MalformedInstance.
    """
    dataset = read_data_set(file)
    with quiet_pydicom():
        header = _attributes(dataset, f"instances/{dataset.get('SOPInstanceUID')}/bulkdata")
    if _SPECIFIC_CHARACTER_SET in header:
        # JSON is UTF-8 whatever the file was (PS3.18 section F.2.1).
        header[_SPECIFIC_CHARACTER_SET] = {"vr": "CS", "Value": [_UTF_8]}
    pixels = read_pixel_place(file)
    if pixels is not None:
        tag = f"{pixels.tag:08X}"
        header[tag] = {"vr": pixels.vr, "BulkDataURI": f"instances/{dataset.SOPInstanceUID}/bulkdata/{tag}"}
    return header


def read_value(file: Path, tag: str) -> bytes:
    """Read one binary value of a file as it is stored; raises NotInLedger when there is none, MalformedInstance."""
    dataset = read_data_set(file)
    with quiet_pydicom():
        found = dataset.get_item(Tag(tag_of(tag)))
        value = None if found is None else found.value
    if not isinstance(value, bytes):
        raise NotInLedger("the instance has no binary value of this tag")
    return value


def _attributes(dataset: Dataset, uri: str | None) -> dict[str, Any]:
    """Convert every element but group lengths; `uri` is where long binary values can be had, None inside of items."""
    return {
        f"{tag:08X}": _element(dataset, tag, uri)
        for tag in sorted(dataset.keys())
        if tag.element != 0 and tag not in PIXEL_DATA_TAGS
    }


def _element(dataset: Dataset, tag: BaseTag, uri: str | None) -> Mapping[str, Any]:
    """Convert one element, or give its bytes where its value cannot be understood."""
    raw = dataset.get_item(tag)
    try:
        element = dataset[tag]
        if element.VR == "SQ":
            return {"vr": "SQ", "Value": [_attributes(item, None) for item in element.value]}
        return _value(element, uri)
    except UNREADABLE:
        value = raw.value if isinstance(raw, RawDataElement) else None
        return {"vr": "UN", "InlineBinary": base64.b64encode(value or b"").decode("ascii")}


def _value(element: DataElement, uri: str | None) -> Mapping[str, Any]:
    """Convert the value of one element with pydicom; JSON has no number for infinity and not-a-number."""
    where = None if uri is None else (lambda found: f"{uri}/{found.tag:08X}")
    converted = element.to_json_dict(where, _LONGEST_INLINE_BYTES)
    if any(isinstance(value, float) and not math.isfinite(value) for value in converted.get("Value", ())):
        converted["Value"] = [_spelled(value) for value in converted["Value"]]
    return converted


def _spelled(value: object) -> object:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
