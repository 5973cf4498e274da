"""Two hundred rules of an imagined hospital, and the studies of twelve series that its scanners send; always the same.

The rules are ten kinds of task for twenty regions of the body. Each asks for its own words, codes, thicknesses and
numbers, so that no two are the same and conditions recur only as they do among rules that people write.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from random import Random
from typing import Any

from dicomnode.domain.fact_values import FactValues
from dicomnode.domain.facts import Confidence
from dicomnode.domain.study import FactValue, SeriesFacts, StudyFacts
from dicomnode.domain.uids import SeriesInstanceUID, StudyInstanceUID

Document = dict[str, Any]
SERIES = 12
_SEED = 20261125


@dataclass(frozen=True, slots=True, kw_only=True)
class _Region:
    """A part of the body as its protocols speak of it."""

    name: str
    codes: tuple[str, ...]
    words: tuple[str, ...]
    slices: int
    thickness: float


def _region(name: str, codes: str, words: str, slices: int, thickness: float) -> _Region:
    return _Region(
        name=name, codes=tuple(codes.split()), words=tuple(words.split()), slices=slices, thickness=thickness
    )


_REGIONS = (
    _region("brain", "BRAIN HEAD SKULL", "brain kopf cerveau", 24, 5.0),
    _region("pituitary", "PITUITARY SELLA", "sella hypophyse pituitary", 14, 2.5),
    _region("orbit", "ORBIT EYE", "orbit orbita", 18, 3.0),
    _region("iac", "IAC EAR", "iac felsenbein", 20, 2.0),
    _region("neck", "NECK", "neck hals cou", 30, 4.5),
    _region("cspine", "CSPINE", "cspine hws cervical", 13, 3.0),
    _region("tspine", "TSPINE", "tspine bws dorsal", 15, 3.5),
    _region("lspine", "LSPINE SSPINE", "lspine lws lombaire", 15, 4.0),
    _region("shoulder", "SHOULDER", "shoulder schulter epaule", 20, 3.5),
    _region("elbow", "ELBOW", "elbow ellbogen coude", 19, 2.8),
    _region("wrist", "WRIST HAND", "wrist handgelenk poignet", 22, 2.2),
    _region("hip", "HIP", "hip huefte hanche", 26, 4.2),
    _region("knee", "KNEE", "knee knie genou", 28, 3.2),
    _region("ankle", "ANKLE FOOT", "ankle osg cheville", 25, 2.9),
    _region("breast", "BREAST", "breast mamma sein", 60, 1.6),
    _region("heart", "HEART CHEST", "heart herz coeur", 12, 8.0),
    _region("liver", "LIVER ABDOMEN", "liver leber foie", 36, 6.0),
    _region("kidney", "KIDNEY", "kidney niere rein", 32, 5.5),
    _region("pelvis", "PELVIS", "pelvis becken bassin", 34, 4.8),
    _region("prostate", "PROSTATE", "prostate prostata", 23, 3.1),
)
_WEIGHTINGS = ("T1", "T2", "FLAIR", "STIR", "PD", "DWI", "ADC", "SWI", "LOCALIZER")
_ADDITIONS: Mapping[str, tuple[str, ...]] = {
    "T1": ("se tra", "tse sag", "mprage sag", "vibe fs tra", "tse cor"),
    "T2": ("tse tra", "tse sag", "haste cor", "tse fs cor", "space"),
    "FLAIR": ("tra", "fs tra", "space sag"),
    "STIR": ("cor", "sag", "tra"),
    "PD": ("tse fs sag", "tse fs cor", "tse tra"),
    "DWI": ("ep2d tra", "resolve tra"),
    "ADC": ("ep2d tra", "resolve tra"),
    "SWI": ("tra",),
    "LOCALIZER": ("3 plane", "scout"),
}
_SCANNERS = (
    ("SIEMENS", "MAGNETOM Skyra", 3.0, "MR1"),
    ("SIEMENS", "MAGNETOM Avanto", 1.5, "MR2"),
    ("Philips Medical Systems", "Ingenia", 1.5, "MR3"),
    ("GE MEDICAL SYSTEMS", "SIGNA Artist", 1.5, "MR4"),
    ("UIH", "uMR 790", 3.0, "MR5"),
)


def rules_document() -> Document:
    """Write the two hundred rules."""
    return {"rules": [rule for region in _REGIONS for rule in _rules_of(region)]}


def studies(count: int) -> Iterator[StudyFacts]:
    """Make studies, each of one region on one scanner, with series by its protocols and times of their own."""
    random = Random(_SEED)  # noqa: S311  not a secret: always the same
    for number in range(count):
        yield _study(number, random)


def _rules_of(region: _Region) -> Iterator[Document]:
    """Write ten kinds of task for one region; about half of them ask a third question."""
    t1, t2 = _of(region, "T1", ("ContrastEnhanced", "NO")), _of(region, "T2")
    gd = _of(region, "T1", ("ContrastEnhanced", "YES"))
    thick = {"field": "SliceThickness", "operator": ">=", "value": region.thickness}
    yield _rule(region, "flair", [t1, t2], [_of(region, "FLAIR")], {"t1": t1, "t2": t2})
    yield _rule(region, "stir", [t1, t2], [_of(region, "STIR")], {"t1": t1, "t2": t2})
    yield _rule(region, "native-t1", [gd], [t1], {"gd": gd, "t2": t2}, _at_least(region, 3))
    yield _rule(region, "late-contrast", [t1], [gd], {"t1": t1, "t2": t2}, _adult(region))
    yield _rule(region, "denoise-t2", [[*t2, _field_strength(2.0, "<")]], [], {"t2": t2})
    yield _rule(region, "thin-slices", [[*t1, thick]], [_three_d(region)], {"t1": [*t1, thick]}, shadow=True)
    yield _rule(region, "pd", [t1, t2], [_of(region, "PD")], {"t2": t2, "t1": t1}, _not_here(region))
    yield _rule(region, "sharp-dwi", [_of(region, "DWI")], [_named(region, "resolve")], {"dwi": _of(region, "DWI")})
    yield {
        **_frame(region, "route-3d", [_three_d(region)], []),
        "then": [{"route": {"series": {"rules": _three_d(region)}, "destinations": ["planning"]}}],
    }
    yield {
        **_frame(region, "hold-incomplete", [_of(region, "LOCALIZER")], [t1, t2]),
        "then": [{"hold": {"reason": f"the {region.name} has neither T1 nor T2"}}],
    }


def _rule(
    region: _Region,
    task: str,
    present: Sequence[Sequence[Document]],
    absent: Sequence[Sequence[Document]],
    inputs: Mapping[str, Sequence[Document]],
    *more: Document,
    shadow: bool = False,
) -> Document:
    roles = {
        role: {"rules": [*tests, *_acquired(region)], "prefer": _preferred(role)} for role, tests in inputs.items()
    }
    return {
        **_frame(region, task, present, absent, *more),
        **({"shadow": True} if shadow else {}),
        "then": {
            "model": f"mr-{task}",
            "inputs": roles,
            "target": next(iter(roles)),
            "destinations": ["pacs"],
            "priority": 1 + len(region.name) % 10,
        },
    }


def _frame(
    region: _Region,
    task: str,
    present: Sequence[Sequence[Document]],
    absent: Sequence[Sequence[Document]],
    *more: Document,
) -> Document:
    """Write name and conditions: an MR of the region, with some series and without others."""
    here = {"combinator": "or", "rules": [_code(region), _spoken(region)]}
    conditions: list[Document] = [{"field": "Modalities", "operator": "contains", "value": "MR"}]
    conditions.append({"field": "series", "match": {"mode": "some"}, "value": here})
    conditions += [_quantified("some", tests) for tests in present]
    conditions += [_quantified("none", tests) for tests in absent]
    return {
        "name": f"{region.name}-{task}",
        "description": f"{task} for studies of the {region.name}.",
        "when": {"rules": [*conditions, *more]},
    }


def _quantified(mode: str, tests: Sequence[Document]) -> Document:
    return {"field": "series", "match": {"mode": mode}, "value": {"rules": list(tests)}}


def _of(region: _Region, weighting: str, *more: tuple[str, str]) -> list[Document]:
    """Ask for a series of a weighting that has about the slices that the region needs."""
    tests: list[Document] = [{"field": "Modality", "value": "MR"}, {"field": "Weighting", "value": weighting}]
    tests += [{"field": name, "value": value} for name, value in more]
    if weighting != "LOCALIZER":
        tests.append({"field": "NumberOfInstances", "operator": ">=", "value": region.slices // 2})
    return tests


def _acquired(region: _Region) -> list[Document]:
    return [
        {"field": "ImageType", "operator": "containsAll", "value": ["ORIGINAL", "PRIMARY"]},
        {"field": "SliceThickness", "operator": "<=", "value": region.thickness * 1.6},
    ]


def _preferred(role: str) -> list[Document]:
    first = (
        {"field": "MRAcquisitionType", "value": "3D"} if role == "t1" else {"field": "Orientation", "value": "AXIAL"}
    )
    return [first, {"field": "NumberOfInstances", "order": "highest"}]


def _three_d(region: _Region) -> list[Document]:
    return [
        {"field": "MRAcquisitionType", "value": "3D"},
        {"field": "SliceThickness", "operator": "<", "value": 1.5},
        _spoken(region),
    ]


def _named(region: _Region, word: str) -> list[Document]:
    pattern = f"{word}.*({'|'.join(region.words)})|({'|'.join(region.words)}).*{word}"
    return [{"field": "SeriesDescription", "operator": "matches", "value": pattern}]


def _code(region: _Region) -> Document:
    return {"field": "BodyPartExamined", "operator": "in", "value": list(region.codes)}


def _spoken(region: _Region) -> Document:
    tests = [{"field": "SeriesDescription", "operator": "contains", "value": word} for word in region.words]
    return {"combinator": "or", "rules": tests}


def _at_least(region: _Region, number: int) -> Document:
    tests = [
        {"field": "RepetitionTime", "operator": ">", "value": 200 + 10 * region.slices},
        {"field": "Modality", "value": "MR"},
    ]
    return {"field": "series", "match": {"mode": "atLeast", "threshold": number}, "value": {"rules": tests}}


def _adult(region: _Region) -> Document:
    return {"field": "PatientAge", "operator": ">=", "value": 16 + region.slices % 5}


def _field_strength(tesla: float, operator: str) -> Document:
    return {"field": "MagneticFieldStrength", "operator": operator, "value": tesla}


def _not_here(region: _Region) -> Document:
    return {"field": "StudyDescription", "operator": "doesNotContain", "value": f"{region.words[0]} research"}


def _study(number: int, random: Random) -> StudyFacts:
    region, scanner = random.choice(_REGIONS), random.choice(_SCANNERS)
    day = date(2026, 1 + number % 11, 1 + number % 28)
    series = tuple(_series(number, place, region, scanner, day, random) for place in range(SERIES))
    values: dict[str, FactValue] = {
        "Modalities": ("MR",),
        "NumberOfSeries": SERIES,
        "PatientAge": random.randint(1, 95),
        "PatientID": f"P{number:06d}",
        "PatientSex": random.choice("FM"),
        "StudyDate": day,
        "StudyDescription": f"MR {random.choice(region.words)}",
        "StudyTime": f"{random.randint(7, 19):02d}{random.randint(0, 59):02d}00",
    }
    return StudyFacts(
        study_instance_uid=StudyInstanceUID(f"1.2.826.{number}"), values=FactValues(values), series=series
    )


def _series(
    study: int, place: int, region: _Region, scanner: tuple[str, str, float, str], day: date, random: Random
) -> SeriesFacts:
    weighting = "LOCALIZER" if place == 0 else random.choice(_WEIGHTINGS[:-1])
    addition = random.choice(_ADDITIONS[weighting])
    is_3d = addition.startswith(("mprage", "vibe", "space"))
    enhanced = weighting == "T1" and random.random() < 0.4
    values: dict[str, FactValue] = {
        "AcquisitionDate": day,
        "AcquisitionTime": f"{8 + place // 6:02d}{(place * 7) % 60:02d}{random.uniform(0, 59):09.6f}",
        "BodyPartExamined": random.choice(region.codes) if random.random() < 0.8 else None,
        "ContrastEnhanced": "YES" if enhanced else "NO",
        "EchoTime": round(random.uniform(2, 120), 2),
        "FlipAngle": random.choice((8, 15, 70, 90, 150)),
        "ImageType": ("DERIVED", "SECONDARY", "MPR") if random.random() < 0.1 else ("ORIGINAL", "PRIMARY", "M", "ND"),
        "MRAcquisitionType": "3D" if is_3d else "2D",
        "MagneticFieldStrength": scanner[2],
        "Manufacturer": scanner[0],
        "ManufacturerModelName": scanner[1],
        "Modality": "MR",
        "NumberOfInstances": 3
        if weighting == "LOCALIZER"
        else region.slices * (4 if is_3d else 1) + random.randint(-2, 6),
        "Orientation": random.choice(("AXIAL", "SAGITTAL", "CORONAL")),
        "PixelSpacing": (0.5, 0.5),
        "ProtocolName": f"{weighting.lower()} {addition}",
        "RepetitionTime": random.randint(300, 9000),
        "SeriesDescription": f"{weighting.lower()} {addition} {random.choice(region.words)}{' km' if enhanced else ''}",
        "SeriesNumber": place + 1,
        "SliceThickness": 0.9 if is_3d else region.thickness,
        "StationName": scanner[3],
        "Weighting": weighting,
    }
    # What a header has besides, and no rule asks for: a rule set must not pay for it.
    values.update({f"Unasked{number}": random.random() for number in range(60)})
    evidence = f"TR {values['RepetitionTime']}, TE {values['EchoTime']} ms"
    return SeriesFacts(
        series_instance_uid=SeriesInstanceUID(f"1.2.826.{study}.{place + 1}"),
        values=FactValues(values),
        evidence={"Weighting": evidence, "ContrastEnhanced": "Contrast/Bolus Agent"},
        confidence={"Weighting": Confidence.HIGH, "ContrastEnhanced": Confidence.MEDIUM},
    )
