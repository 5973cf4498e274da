"""Enhanced multi-frame objects read as if they were classic single-frame ones (PS3.3 C.7.6.16)."""

from collections.abc import Iterator, Mapping

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from dicomnode.imaging.attributes import items, number, read_element

CLASSIC_KEYWORDS: Mapping[str, str] = {
    "EffectiveEchoTime": "EchoTime",
    "InversionTimes": "InversionTime",
    "PulseSequenceName": "SequenceName",
}
"""What enhanced objects call by another name than classic ones; a rule needs one name for both."""


def as_classic(dataset: Dataset) -> Dataset:
    """Lift the attributes of the shared and the first frame's functional groups to the root, under classic names too.

    What the root says itself comes first; sequences are left out. A classic instance is returned as it is.
    """
    shared = items(dataset, "SharedFunctionalGroupsSequence")
    per_frame = items(dataset, "PerFrameFunctionalGroupsSequence")
    macros = [macro for group in (*shared[:1], *per_frame[:1]) for macro in _macros(group)]
    if not macros:
        return dataset
    lifted = Dataset()
    for source in (dataset, *macros):
        for element in _plain_elements(source):
            if element.tag not in lifted:
                lifted.add(element)
    for keyword, classic in CLASSIC_KEYWORDS.items():
        if keyword in lifted and classic not in lifted:
            found = lifted[keyword]
            lifted.add(DataElement(Tag(classic), found.VR, found.value, already_converted=True))
    return lifted


def frame_macros(dataset: Dataset, macro: str) -> Iterator[Dataset]:
    """List one kind of functional group, the shared one first, then frame after frame."""
    for sequence in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in items(dataset, sequence):
            yield from items(group, macro)[:1]


def number_of_frames(dataset: Dataset) -> int:
    """Count the frames of an instance; a classic instance is one."""
    return max(1, int(number(dataset, "NumberOfFrames") or 1))


def _macros(group: Dataset) -> Iterator[Dataset]:
    """List the items that hold the attributes of one functional group each."""
    for tag in list(group.keys()):
        element = read_element(group, tag)
        if element is not None and element.VR == "SQ":
            yield from element.value[:1]


def _plain_elements(dataset: Dataset) -> Iterator[DataElement]:
    """List the standard attributes that have a value and are no sequence."""
    for tag in list(dataset.keys()):
        element = None if tag.is_private else read_element(dataset, tag)
        if element is not None and element.VR != "SQ":
            yield element
