"""Attribute matching of a query against headers in the DICOM JSON Model (PS3.4 section C.2.2.2)."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from dicomnode.domain.archive import DicomJson

_RANGED = frozenset({"DA", "TM"})
_WILDCARDS = re.compile(r"[*?]")
_TRANSLATED = {"*": ".*", "?": "."}
_AFTER_EVERYTHING = "~"


def matches(header: DicomJson, wanted: Mapping[str, str]) -> bool:
    """Whether a header has all wanted values: tag as 8 hex digits -> value to match.

    An empty value matches anything, several UIDs in a list match one of them, dates and times may be ranges, `*` and
    `?` are wildcards. Names of persons match without regard to case, all else as it is spelled.
    """
    return all(_is_matched(header.get(tag, {}), value) for tag, value in wanted.items())


def _is_matched(element: Mapping[str, Any], wanted: str) -> bool:
    if wanted.strip("*") == "":
        return True
    vr = element.get("vr", "")
    found = tuple(_spellings(element.get("Value", ())))
    if vr == "UI":
        return not set(found).isdisjoint(re.split(r"[,\\]", wanted))
    if vr == "DA":
        # Dots come from before the standard (ACR-NEMA; PS3.5 section 6.2, VR DA).
        found, wanted = tuple(value.replace(".", "") for value in found), wanted.replace(".", "")
    if vr in _RANGED and "-" in wanted:
        first, _, last = wanted.partition("-")
        return any(first <= value <= (last or "") + _AFTER_EVERYTHING for value in found)
    pattern = re.compile(_regular(wanted), re.DOTALL | (re.IGNORECASE if vr == "PN" else 0))
    return any(pattern.fullmatch(value) for value in found)


def _spellings(values: Iterable[object]) -> Iterable[str]:
    """Spell each value as text; a name by each of its representations (PS3.18 section F.2.2)."""
    for value in values:
        if isinstance(value, Mapping):
            yield from (str(name).rstrip("^") for name in value.values())
        elif value is not None:
            yield str(value)


def _regular(wanted: str) -> str:
    """Turn a value with wildcards into a regular expression."""
    literals = [re.escape(part) for part in _WILDCARDS.split(wanted)]
    jokers = [_TRANSLATED[joker] for joker in _WILDCARDS.findall(wanted)]
    return literals[0] + "".join(joker + literal for joker, literal in zip(jokers, literals[1:], strict=True))
