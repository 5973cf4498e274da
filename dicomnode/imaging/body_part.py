"""Which part of the body a series shows: from codes, from Body Part Examined, from words where nothing else tells."""

from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset

from dicomnode.domain.facts import Confidence
from dicomnode.imaging.attributes import items, text
from dicomnode.imaging.body_region import (
    BodyPart,
    is_akin,
    is_within,
    joined,
    part_of_code,
    part_of_term,
    parts_in_words,
)
from dicomnode.imaging.description import OF_SERIES, OF_STUDY, described, folded
from dicomnode.imaging.finding import Finding
from dicomnode.imaging.functional_groups import frame_macros


def body_part_of(datasets: Sequence[Dataset]) -> Finding:
    """Say what a series shows; UNKNOWN where attribute and description contradict each other, or nothing tells."""
    if BodyPart.PHANTOM in parts_in_words(described(datasets, (*OF_SERIES, *OF_STUDY))):
        # Phantoms are scanned with the protocols of patients, which say a part of the body.
        return _finding(BodyPart.PHANTOM, "the description says phantom", Confidence.MEDIUM)
    coded = joined(part for dataset in datasets for part in _coded(dataset))
    if coded is not None:
        return _finding(coded, "Anatomic Region Sequence", Confidence.HIGH)
    spoken, where = _in_words(datasets)
    terms = {term for dataset in datasets for term in _terms(dataset)}
    told = joined(part for term in terms if (part := part_of_term(folded(term))) is not None)
    if told is None:
        return _from_words(spoken, where)
    return _compared(told, f"Body Part Examined {', '.join(sorted(terms))}", spoken, where)


def _compared(told: BodyPart, evidence: str, spoken: BodyPart | None, where: str) -> Finding:
    """Hold what Body Part Examined tells against what a description says."""
    if spoken is None or spoken is BodyPart.SEVERAL:
        return _finding(told, evidence, Confidence.MEDIUM)
    if is_within(spoken, told):
        return _finding(spoken, f"{evidence}; {where} says {spoken}", Confidence.MEDIUM)
    if is_akin(spoken, told) or told is BodyPart.SEVERAL:
        return _finding(told, f"{evidence}; {where} says {spoken}", Confidence.HIGH)
    return _finding(BodyPart.UNKNOWN, f"{evidence}, but {where} says {spoken}", Confidence.LOW)


def _from_words(spoken: BodyPart | None, where: str) -> Finding:
    if spoken is None:
        return _finding(BodyPart.UNKNOWN, "no attribute and no description names a part of the body", Confidence.LOW)
    return _finding(spoken, f"only {where} says {spoken}", Confidence.LOW)


def _finding(part: BodyPart, evidence: str, confidence: Confidence) -> Finding:
    return Finding(value=part.value, evidence=evidence, confidence=confidence)


def _in_words(datasets: Sequence[Dataset]) -> tuple[BodyPart | None, str]:
    """Find the part that the descriptions name, and which of them does; that of the series comes first."""
    for keywords, where in ((OF_SERIES, "the description"), (OF_STUDY, "the description of the study")):
        spoken = joined(parts_in_words(described(datasets, keywords)))
        if spoken is not None:
            return spoken, where
    return None, "no description"


def _coded(dataset: Dataset) -> Iterator[BodyPart]:
    """List the parts that are coded, of an instance or of its frames (PS3.3 C.7.6.16.2.8)."""
    for source in (dataset, *frame_macros(dataset, "FrameAnatomySequence")):
        for item in items(source, "AnatomicRegionSequence"):
            part = part_of_code(text(item, "CodingSchemeDesignator"), text(item, "CodeValue"))
            if part is not None:
                yield part


def _terms(dataset: Dataset) -> Iterator[str]:
    term = text(dataset, "BodyPartExamined")
    if term:
        yield term
