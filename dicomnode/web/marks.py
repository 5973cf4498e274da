"""What an image is: acquired, or made by a model; the mark that every page shows beside it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dicomnode.domain.archive import DicomJson

_SYNTHETIC_DATA, _IMAGE_TYPE, _CONTRIBUTING_EQUIPMENT = "0008001C", "00080008", "0018A001"
_PURPOSE, _CODE_VALUE, _MODEL_NAME, _SOFTWARE_VERSIONS = "0040A170", "00080100", "00081090", "00181020"
_SYNTHESIZING_EQUIPMENT, _PROCESSING_EQUIPMENT = "109100", "109102"
"""DCM codes of PS3.16 CID 7005."""


class Kind(StrEnum):
    """What an image is, in the words that are shown."""

    ACQUIRED = "ACQUIRED"
    DERIVED = "DERIVED – NOT AS ACQUIRED"
    SYNTHETIC = "AI SYNTHETIC – NOT ACQUIRED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The mark of a series, and the model that made it where one did."""

    kind: Kind
    model: str = ""

    @property
    def is_synthetic(self) -> bool:
        """Whether the warning has to be shown."""
        return self.kind is Kind.SYNTHETIC


def mark_of(headers: Iterable[DicomJson]) -> Mark:
    """Tell what a series is from the headers of its instances; one synthetic instance makes it synthetic.

    Synthetic Data (0008,001C) or equipment with the purpose Synthesizing Equipment says so (PS3.3 C.12.1.1.5, C.7.6.1).
    """
    mark = Mark(kind=Kind.ACQUIRED)
    for header in headers:
        makers = {_purpose(item): item for item in _values(header, _CONTRIBUTING_EQUIPMENT)}
        maker = makers.get(_SYNTHESIZING_EQUIPMENT) or makers.get(_PROCESSING_EQUIPMENT)
        if "YES" in _values(header, _SYNTHETIC_DATA) or _SYNTHESIZING_EQUIPMENT in makers:
            return Mark(kind=Kind.SYNTHETIC, model=_model(maker))
        if maker is not None or "DERIVED" in _values(header, _IMAGE_TYPE):
            mark = Mark(kind=Kind.DERIVED, model=_model(maker))
    return mark


def _values(item: Mapping[str, Any], tag: str) -> Sequence[Any]:
    return item.get(tag, {}).get("Value") or ()


def _purpose(equipment: Mapping[str, Any]) -> str:
    codes = _values(equipment, _PURPOSE)
    return str(next(iter(_values(codes[0], _CODE_VALUE)), "")) if codes else ""


def _model(equipment: Mapping[str, Any] | None) -> str:
    """Name a model and its version."""
    if equipment is None:
        return ""
    named = (*_values(equipment, _MODEL_NAME)[:1], *_values(equipment, _SOFTWARE_VERSIONS)[:1])
    return " ".join(str(part) for part in named if part)
