"""Attributes of a data set as plain values: what is absent, empty, cut short or broken reads as nothing.

Real scanners write broken values, and one of them must never make a whole study unreadable.
"""

import logging
import math
import struct
import threading
import unicodedata
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

_T = TypeVar("_T")

UNREADABLE: tuple[type[Exception], ...] = (
    InvalidDicomError,
    BytesLengthException,
    struct.error,
    zlib.error,
    OSError,
    EOFError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    OverflowError,
    NotImplementedError,
    RecursionError,
    MemoryError,
)
"""All that pydicom 3.0 raises on bytes that are not what they claim to be; found by fuzzing and in its reader."""

_UNDEFINED_LENGTH = 0xFFFFFFFF

_pydicom_logger = logging.getLogger("pydicom")
_one_at_a_time = threading.RLock()


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Keep pydicom from telling oddities of a data set by warnings and log lines: they quote values of patients.

    Warning filters belong to the whole process, so only one thread at a time may change them.
    """
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        was_disabled = _pydicom_logger.disabled
        _pydicom_logger.disabled = True
        try:
            yield
        finally:
            _pydicom_logger.disabled = was_disabled


def texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """Read all values as text without padding and control characters; empty ones are left out."""
    return tuple(value for value in _converted(dataset, keyword, as_text) if value)


def text(dataset: Dataset, keyword: str) -> str:
    """Read an attribute as one text; several values are joined by the backslash that was between them."""
    return "\\".join(texts(dataset, keyword))


def numbers(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """Read all values as numbers; nothing at all when one of them is none."""
    return _converted(dataset, keyword, as_number)


def number(dataset: Dataset, keyword: str) -> float | None:
    """Read an attribute's first value as a number; None when there is none."""
    return next(iter(numbers(dataset, keyword)), None)


def items(dataset: Dataset, keyword: str) -> tuple[Dataset, ...]:
    """Read the items of a sequence."""
    return _converted(dataset, keyword, _as_item)


def read_element(dataset: Dataset, tag: BaseTag) -> DataElement | None:
    """Decode one element; None when it is absent, empty, cut short or cannot be decoded."""
    with quiet_pydicom():
        try:
            return _element(dataset, tag)
        except UNREADABLE:
            return None


def is_cut_short(element: object) -> bool:
    """Tell whether the data set ended inside the element, so that what is there is another value than was sent."""
    return (
        isinstance(element, RawDataElement)
        and element.length != _UNDEFINED_LENGTH
        and len(element.value or b"") < element.length
    )


def _converted(dataset: Dataset, keyword: str, convert: Callable[[object], _T]) -> tuple[_T, ...]:
    tag = Tag(keyword)
    if tag not in dataset:
        return ()
    with quiet_pydicom():
        try:
            element = _element(dataset, tag)
            return tuple(convert(value) for value in _values(element)) if element else ()
        except UNREADABLE:
            return ()


def _element(dataset: Dataset, tag: BaseTag) -> DataElement | None:
    """Decode one element; raises one of UNREADABLE."""
    if tag not in dataset or is_cut_short(dataset.get_item(tag)):
        return None
    element = dataset[tag]
    return None if element.is_empty else element


def _values(element: DataElement) -> tuple[object, ...]:
    value = element.value
    return tuple(value) if isinstance(value, MultiValue | Sequence | list) else (value,)


def as_text(value: object) -> str:
    """Write a decoded value as text without control characters; raises TypeError for bytes and items."""
    if isinstance(value, bytes | Dataset):
        raise TypeError("no text")
    spelled = str(value)
    if not spelled.isprintable():
        spelled = "".join(" " if character.isspace() else character for character in spelled if _is_text(character))
    return spelled.strip()


def _is_text(character: str) -> bool:
    """Tell whether a character may be kept: databases take neither NUL nor half a surrogate pair."""
    return character.isspace() or unicodedata.category(character) not in ("Cc", "Cs")


def as_number(value: object) -> float:
    """Read a decoded value as a finite number; raises TypeError or ValueError."""
    if isinstance(value, bytes):
        raise TypeError("no number")
    converted = float(value)  # type: ignore[arg-type]
    if not math.isfinite(converted):
        raise ValueError("not a finite number")
    return converted


def _as_item(value: object) -> Dataset:
    if not isinstance(value, Dataset):
        raise TypeError("no sequence item")
    return value
