"""Values of everyday elements in the DICOM JSON Model, straight from their bytes; pydicom judges all the others."""

import math
import re
import struct
from collections.abc import Callable, Mapping
from typing import Any

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement

PLAIN_CHARACTER_SETS = frozenset(
    {"", *(f"ISO_IR {number}" for number in (6, 100, 101, 109, 110, 126, 127, 138, 144, 148, 192))}
)
"""Single values of Specific Character Set under which a byte below 128 is what it is in ASCII (PS3.3 C.12.1.1.2)."""

_PLAIN_TEXT = re.compile(rb"[ -~]*\0?")
_DECIMAL = re.compile(r" *[+-]?(?:\d{1,16}\.?\d{0,16}|\.\d{1,16})(?:[eE][+-]?\d{1,2})? *")
_INTEGER = re.compile(r" *[+-]?\d{1,9} *")
_CODED = frozenset({"AS", "CS", "DA", "DT", "TM", "UI"})
_TEXTS = frozenset({"LO", "SH", "UC"})
_ONE_TEXT = frozenset({"LT", "ST", "UT"})
_NUMBERS: Mapping[str, str] = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_SIZES = {vr: struct.calcsize(f"={layout}") for vr, layout in _NUMBERS.items()}


def plain_vr(raw: RawDataElement) -> str | None:
    """Tell the VR of an element; None where it depends on other elements or on who made them."""
    if raw.VR is not None or raw.tag.is_private:
        return raw.VR
    try:
        return dictionary_VR(raw.tag)
    except KeyError:
        return None


def plain_values(vr: str, raw: RawDataElement) -> list[Any] | None:
    """Read the values as pydicom would give them, none for an empty element; None where pydicom has to read them.

    Text must be in one of PLAIN_CHARACTER_SETS.
    """
    read = _READERS.get(vr)
    if read is None:
        return None
    return read(raw.value, vr, raw) if raw.value else []


def _read_numbers(value: bytes, vr: str, raw: RawDataElement) -> list[Any] | None:
    count, rest = divmod(len(value), _SIZES[vr])
    if rest:
        return None
    found = struct.unpack(f"{'<' if raw.is_little_endian else '>'}{count}{_NUMBERS[vr]}", value)
    return list(found) if all(map(math.isfinite, found)) else None


def _read_codes(value: bytes, _vr: str, _raw: RawDataElement) -> list[Any] | None:
    text = _plain(value)
    return None if text is None else _or_none_at_all(text.rstrip("\0 ").split("\\"))


def _read_texts(value: bytes, _vr: str, _raw: RawDataElement) -> list[Any] | None:
    text = _plain(value)
    return None if text is None else _or_none_at_all([part.rstrip("\0 ") for part in text.split("\\")])


def _read_one_text(value: bytes, _vr: str, _raw: RawDataElement) -> list[Any] | None:
    text = _plain(value)
    return None if text is None else _or_none_at_all([text.rstrip("\0 ")])


def _read_decimals(value: bytes, _vr: str, _raw: RawDataElement) -> list[Any] | None:
    parts = (_plain(value) or "").rstrip("\0 ").split("\\")
    return [float(part) for part in parts] if all(map(_DECIMAL.fullmatch, parts)) else None


def _read_integers(value: bytes, _vr: str, _raw: RawDataElement) -> list[Any] | None:
    parts = (_plain(value) or "").rstrip("\0 ").split("\\")
    return [int(part) for part in parts] if all(map(_INTEGER.fullmatch, parts)) else None


def _plain(value: bytes) -> str | None:
    return value.decode("ascii") if _PLAIN_TEXT.fullmatch(value) else None


def _or_none_at_all(parts: list[str]) -> list[str]:
    return [] if parts == [""] else parts


_READERS: Mapping[str, Callable[[bytes, str, RawDataElement], list[Any] | None]] = {
    **dict.fromkeys(_NUMBERS, _read_numbers),
    **dict.fromkeys(_CODED, _read_codes),
    **dict.fromkeys(_TEXTS, _read_texts),
    **dict.fromkeys(_ONE_TEXT, _read_one_text),
    "DS": _read_decimals,
    "IS": _read_integers,
}
