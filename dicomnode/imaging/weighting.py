"""What the contrast of an MR series can come from, how people write it, and how a verdict is worded."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dicomnode.domain.facts import Confidence
from dicomnode.imaging.acquisition import Acquisition


class Weighting(StrEnum):
    """What decides the contrast of a series."""

    T1 = "T1"
    T2 = "T2"
    FLAIR = "FLAIR"
    STIR = "STIR"
    PD = "PD"
    T2STAR = "T2STAR"
    SWI = "SWI"
    DWI = "DWI"
    ADC = "ADC"
    PERFUSION = "PERFUSION"
    FMRI = "FMRI"
    MRA = "MRA"
    FIELDMAP = "FIELDMAP"
    LOCALIZER = "LOCALIZER"
    OTHER = "OTHER"
    """Known, and none of the others: another modality, a derived map, a balanced gradient echo."""
    UNKNOWN = "UNKNOWN"
    """The attributes leave more than one answer, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classified:
    """A weighting and, in words, what it was concluded from."""

    weighting: Weighting
    evidence: str
    confidence: Confidence = Confidence.HIGH


_WORDS: Mapping[Weighting, re.Pattern[str]] = {
    Weighting.FLAIR: re.compile(r"flair|dark[ _-]?fl|水抑制|フレア"),
    Weighting.STIR: re.compile(r"stir|tirm"),
    Weighting.SWI: re.compile(r"swi(?![a-z])|swip|swan|ven_?bold|s[uz]s[cz]eptib|磁化率"),
    Weighting.T2STAR: re.compile(
        r"t2[ _-]?(?:\*|star|stern?(?![a-z])|etoile|estrella|スター)|ha?emo|medic(?![a-z])|merge"
    ),
    Weighting.MRA: re.compile(r"(?<![a-z])(?:tof|mra|mrv)(?![a-z])|angio|血管"),
    Weighting.PERFUSION: re.compile(r"perf|(?<![a-z])(?:dsc|pwi|p?casl|asl)(?![a-z])|灌流|かん流"),
    Weighting.FMRI: re.compile(r"bold|fmri|irmf|(?<![a-z])(?:func|rest|task)"),
    Weighting.DWI: re.compile(r"(?<![a-z])(?:dwi|dti|dki|dsi|hardi)(?![a-z])|diff|difus|trace|拡散"),
    Weighting.FIELDMAP: re.compile(
        r"field[ _-]?map|fmap|topup|feldkarte|carte de champ|mapa de campo|veldkaart|磁場マップ"
    ),
    Weighting.PD: re.compile(r"(?<![a-z])(?:pdw?i?|dp)(?![a-z])|proton|プロトン"),
    Weighting.T1: re.compile(r"(?<![a-z0-9])t1"),
    Weighting.T2: re.compile(r"(?<![a-z0-9])t2"),
}
"""How people write a weighting into folded descriptions, the most specific first: “T2 FLAIR” is FLAIR.

T1, T2 and proton are the same in English, French, German, Dutch and Spanish; Japanese writes T1強調 and プロトン密度.
"""


def named_in_description(allowed: Sequence[Weighting], acquisition: Acquisition) -> Weighting | None:
    """Find the weighting that the description names, among those that physics allows."""
    named = (weighting for weighting, word in _WORDS.items() if word.search(acquisition.description))
    return next((weighting for weighting in named if weighting in allowed), None)


def found(
    weighting: Weighting, acquisition: Acquisition, kind: str, confidence: Confidence = Confidence.HIGH
) -> Classified:
    """State a verdict with the numbers it rests on; one that is none is never sure."""
    evidence = ", ".join([*timing(acquisition), kind])
    sure = Confidence.LOW if weighting is Weighting.UNKNOWN else confidence
    return Classified(weighting=weighting, evidence=evidence, confidence=sure)


def choose(allowed: Sequence[Weighting], acquisition: Acquisition, kind: str) -> Classified:
    """State the one weighting that physics allows; let the description choose where there are several."""
    if len(allowed) == 1:
        return found(allowed[0], acquisition, kind)
    if not allowed:
        return found(Weighting.UNKNOWN, acquisition, f"{kind}: fits no weighting")
    leaves = f"{kind} leaves {' or '.join(allowed)}"
    named = named_in_description(allowed, acquisition)
    if named is None:
        return found(Weighting.UNKNOWN, acquisition, leaves)
    return found(named, acquisition, f"{leaves}; the description says {named}", Confidence.MEDIUM)


def timing(acquisition: Acquisition) -> list[str]:
    """Word the times and the flip angle of a sequence, as far as they are told."""
    echoes = acquisition.echo_times
    last = f" to {_number(echoes[-1])}" if len(echoes) > 1 else ""
    told = (
        (acquisition.repetition_time, "TR {} ms"),
        (acquisition.echo_time, f"TE {{}}{last} ms"),
        (acquisition.inversion_time, "TI {} ms"),
        (acquisition.flip_angle if "GR" in acquisition.sequence else None, "flip angle {}°"),
    )
    return [words.format(_number(value)) for value, words in told if value is not None]


def _number(value: float) -> str:
    return f"{round(value, 2):g}"
