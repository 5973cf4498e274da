"""A header in the DICOM JSON Model as a data set, whose elements are decoded when they are asked for."""

from collections.abc import Iterator, Mapping, MutableMapping
from functools import lru_cache
from typing import Any

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from dicomnode.domain.archive import DicomJson

_TAGS_KEPT = 16384
_WRITTEN_OTHERWISE = frozenset({"PN", "AT"})
"""VRs whose values JSON writes in another form than Python has for them (PS3.18 Table F.2.3-1)."""


class JsonDataSet(Dataset):
    """A data set that can also show its elements as they stand in the header, for comparing without decoding."""

    def __init__(self, header: DicomJson) -> None:
        """Wrap a header in the DICOM JSON Model."""
        self._elements = _Elements(header)
        super().__init__(self._elements)

    def encoded(self) -> Iterator[tuple[BaseTag, object]]:
        """List tag and element by tag; two elements that are equal here have equal values."""
        return self._elements.encoded()


def data_set_of(header: DicomJson) -> Dataset:
    """Give a header as the data set that it was read from; what `read_json` could not read cannot be read here either.

    Long binary values are empty.
    """
    return JsonDataSet(header)


class _Elements(MutableMapping[BaseTag, DataElement | RawDataElement]):
    """The elements of a header: decoding all of them costs more than reading the file, and few are asked for."""

    def __init__(self, header: DicomJson) -> None:
        self._encoded: dict[BaseTag, Mapping[str, Any]] = {_tag(name): element for name, element in header.items()}
        self._decoded: dict[BaseTag, DataElement | RawDataElement] = {}

    def encoded(self) -> Iterator[tuple[BaseTag, object]]:
        """List the elements as they came, or as somebody set them since."""
        for tag in sorted(self._encoded):
            yield tag, self._encoded[tag] or self._decoded[tag]

    def __getitem__(self, tag: BaseTag) -> DataElement | RawDataElement:
        if tag not in self._decoded:
            self._decoded[tag] = _decode(tag, self._encoded[tag])
        return self._decoded[tag]

    def __setitem__(self, tag: BaseTag, element: DataElement | RawDataElement) -> None:
        self._encoded[tag] = {}
        self._decoded[tag] = element

    def __delitem__(self, tag: BaseTag) -> None:
        del self._encoded[tag]
        self._decoded.pop(tag, None)

    def __contains__(self, tag: object) -> bool:
        return tag in self._encoded

    def __iter__(self) -> Iterator[BaseTag]:
        return iter(self._encoded)

    def __len__(self) -> int:
        return len(self._encoded)


@lru_cache(maxsize=_TAGS_KEPT)
def _tag(name: str) -> BaseTag:
    return BaseTag(int(name, 16))


def _decode(tag: BaseTag, element: Mapping[str, Any]) -> DataElement:
    """Decode one element; raises ValueError for bytes of which nobody knows what they mean, and what pydicom raises."""
    vr, values = element["vr"], element.get("Value")
    if vr == "UN":
        raise ValueError("not to be understood")
    if vr == "SQ":
        return DataElement(tag, vr, Sequence([data_set_of(item) for item in values or ()]))
    if values and vr not in _WRITTEN_OTHERWISE:
        return DataElement(tag, vr, values[0] if len(values) == 1 else values, already_converted=True)
    key = next((key for key in ("Value", "InlineBinary") if key in element), None)
    return DataElement.from_json(Dataset, f"{tag:08X}", vr, element.get(key or ""), key)
