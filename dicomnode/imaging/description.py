"""What people wrote of a series, in a form in which words can be found: any case, with and without accents."""

import unicodedata
from collections.abc import Iterable, Sequence

from pydicom.dataset import Dataset

from dicomnode.imaging.attributes import text

_FIRST_BEYOND_LATIN = "\u0250"

OF_SERIES = ("SeriesDescription", "ProtocolName")
OF_STUDY = ("StudyDescription", "RequestedProcedureDescription", "PerformedProcedureStepDescription")


def folded(words: str) -> str:
    """Fold case and accents, and the half and full width of Japanese characters (Unicode's NFKC)."""
    return "".join(map(_without_accent, unicodedata.normalize("NFKC", words).casefold()))


def described(datasets: Iterable[Dataset], keywords: Sequence[str]) -> str:
    """Join what the instances of a series say under some keywords, each text once, folded."""
    spoken = {text(dataset, keyword) for dataset in datasets for keyword in keywords}
    return " | ".join(sorted({folded(one) for one in spoken} - {""}))


def _without_accent(character: str) -> str:
    """Take the accent from a Latin letter; the marks of Japanese syllables make other syllables and stay."""
    if not "\x7f" < character < _FIRST_BEYOND_LATIN:
        return character
    return "".join(one for one in unicodedata.normalize("NFD", character) if not unicodedata.combining(one))
