"""The header of an instance in the DICOM JSON Model (PS3.18 Annex F)."""

import base64
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import PersonName

from dicomnode.domain.archive import DicomJson
from dicomnode.domain.errors import InvalidValue, NotInLedger
from dicomnode.imaging.attributes import UNREADABLE, is_cut_short, quiet_pydicom
from dicomnode.imaging.frames import PIXEL_DATA_TAGS, read_pixel_place
from dicomnode.imaging.headers import read_data_set
from dicomnode.imaging.plain_values import PLAIN_CHARACTER_SETS, plain_values, plain_vr

_LONGEST_INLINE_BYTES = 1024
_SPECIFIC_CHARACTER_SET = "00080005"
_UTF_8 = "ISO_IR 192"
_CHARACTER_SET = Tag("SpecificCharacterSet")
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
    own VR, or that ends before it should, is given as its bytes with the VR UN. Specific Character Set is the file's
    own; see `in_utf_8`. Raises MalformedInstance.
    """
    dataset = read_data_set(file)
    with quiet_pydicom():
        uri = f"instances/{dataset.get('SOPInstanceUID')}/bulkdata"
        around = _Surroundings(has_plain_texts=_has_plain_texts(dataset, outside=True), uri=uri)
        header = _attributes(dataset, around)
    pixels = read_pixel_place(file)
    if pixels is not None:
        tag = f"{pixels.tag:08X}"
        header[tag] = {"vr": pixels.vr, "BulkDataURI": f"instances/{dataset.SOPInstanceUID}/bulkdata/{tag}"}
    return header


def in_utf_8(header: DicomJson) -> DicomJson:
    """Say of a header that leaves the node that its texts are UTF-8, as JSON always is (PS3.18 section F.2.1)."""
    if _SPECIFIC_CHARACTER_SET not in header:
        return header
    return {**header, _SPECIFIC_CHARACTER_SET: {"vr": "CS", "Value": [_UTF_8]}}


def read_value(file: Path, tag: str) -> bytes:
    """Read one binary value of a file as it is stored; raises NotInLedger when there is none, MalformedInstance."""
    dataset = read_data_set(file)
    with quiet_pydicom():
        found = dataset.get_item(Tag(tag_of(tag)), keep_deferred=True)
        value = None if found is None else found.value
    if not isinstance(value, bytes):
        raise NotInLedger("the instance has no binary value of this tag")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class _Surroundings:
    """Where an element stands: under which kind of character set, and where its bytes can be had if they are long."""

    has_plain_texts: bool
    uri: str | None


def _attributes(dataset: Dataset, around: _Surroundings) -> dict[str, Any]:
    """Convert every element but group lengths and pixel data."""
    return {
        f"{tag:08X}": _element(dataset, tag, around)
        for tag in sorted(dataset.keys())
        if tag.element != 0 and tag not in PIXEL_DATA_TAGS
    }


def _has_plain_texts(dataset: Dataset, *, outside: bool) -> bool:
    """Tell whether the ASCII in a data set's texts is ASCII; `outside` holds for an item without a set of its own."""
    if _CHARACTER_SET not in dataset:
        return outside
    value: object = dataset.get_item(_CHARACTER_SET, keep_deferred=True).value
    spelled = value.decode("ascii", "replace") if isinstance(value, bytes) else value
    return spelled is None or (isinstance(spelled, str) and spelled.strip() in PLAIN_CHARACTER_SETS)


def _element(dataset: Dataset, tag: BaseTag, around: _Surroundings) -> Mapping[str, Any]:
    """Convert one element, or give its bytes where its value cannot be understood."""
    # pydicom takes an empty element for one that it has yet to read, and converts it: which an unknown VR prevents.
    raw: object = dataset.get_item(tag, keep_deferred=True)
    if is_cut_short(raw):
        return _bytes(raw)
    if around.has_plain_texts and isinstance(raw, RawDataElement) and (plain := _plain_element(raw)):
        return plain
    try:
        element = dataset[tag]
        if element.VR == "SQ":
            return {"vr": "SQ", "Value": [_item(item, around) for item in element.value]}
        return _value(element, around.uri)
    except UNREADABLE:
        return _bytes(raw)


def _item(item: Dataset, around: _Surroundings) -> dict[str, Any]:
    has_plain_texts = _has_plain_texts(item, outside=around.has_plain_texts)
    return _attributes(item, _Surroundings(has_plain_texts=has_plain_texts, uri=None))


def _plain_element(raw: RawDataElement) -> Mapping[str, Any] | None:
    """Convert an everyday element without pydicom; None where it has to judge."""
    vr = plain_vr(raw)
    values = None if vr is None else plain_values(vr, raw)
    if values is None:
        return None
    return {"vr": vr, "Value": values} if values else {"vr": vr}


def _bytes(raw: object) -> Mapping[str, Any]:
    value = raw.value if isinstance(raw, RawDataElement) else None
    return {"vr": "UN", "InlineBinary": base64.b64encode(value or b"").decode("ascii")}


def _value(element: DataElement, uri: str | None) -> Mapping[str, Any]:
    """Convert the value of one element, with pydicom where it keeps the value and knows how."""
    write = _WRITERS.get(element.VR)
    if write is not None:
        values = element.value if element.VM > 1 else [element.value]
        return {"vr": element.VR} if element.is_empty else {"vr": element.VR, "Value": list(map(write, values))}
    where = None if uri is None else (lambda found: f"{uri}/{found.tag:08X}")
    converted = element.to_json_dict(where, _LONGEST_INLINE_BYTES)
    if any(isinstance(value, float) and not math.isfinite(value) for value in converted.get("Value", ())):
        converted["Value"] = [_spelled(value) for value in converted["Value"]]
    return converted


def _name(value: PersonName) -> Mapping[str, str] | None:
    """Write a name by its representations; pydicom fails on an empty one between others."""
    groups = zip(("Alphabetic", "Ideographic", "Phonetic"), value.components, strict=False)
    return {group: name for group, name in groups if name} or None


def _integer(value: float) -> float:
    """Write a number of VR IS; one with a fraction breaks its rules, but must not become another as with pydicom."""
    return float(value) if isinstance(value, float) else int(value)


def _spelled(value: object) -> object:
    """Spell what JSON has no number for."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


_WRITERS: Mapping[str, Callable[[Any], Any]] = {"PN": _name, "IS": _integer}
