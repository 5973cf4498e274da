"""Instances -> the facts of a study and its series, by which rules decide."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset

from dicomnode.domain.derivation import NODE_MANUFACTURER
from dicomnode.domain.errors import MalformedInstance
from dicomnode.domain.facts import FactField, FactType
from dicomnode.domain.study import FactValue, SeriesFacts, StudyFacts
from dicomnode.domain.uids import SeriesInstanceUID, StudyInstanceUID
from dicomnode.imaging.attributes import items, number, numbers, text, texts
from dicomnode.imaging.classify import classify
from dicomnode.imaging.contrast_agent import contrast_of
from dicomnode.imaging.fact_catalogue import fact_catalogue
from dicomnode.imaging.functional_groups import as_classic, number_of_frames
from dicomnode.imaging.headers import read_data_set
from dicomnode.imaging.orientation import orientation_of

_SYNTHESIZING, _PROCESSING = "109100", "109102"
"""Purposes of Contributing Equipment (PS3.16 CID 7005)."""
_AGE = re.compile(r"(\d+)([DWMY])")
_YEARS: Mapping[str, float] = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1}


def read_datasets(paths: Sequence[Path]) -> list[Dataset]:
    """Read the attributes of instances without their pixels; raises MalformedInstance."""
    return [read_data_set(path) for path in paths]


def study_facts(datasets: Sequence[Dataset]) -> StudyFacts:
    """Gather the facts of one study from all its instances; raises MalformedInstance when there are none.

    A fact is the value of the instance with the lowest number, or of the next one that has a value. Outputs of this
    node that came back are series like others, but the facts of the study itself do not count them.
    """
    if not datasets:
        raise MalformedInstance("a study without instances has no facts")
    ordered = sorted(datasets, key=_place_in_series)
    by_series: dict[str, list[Dataset]] = {}
    for dataset in ordered:
        by_series.setdefault(text(dataset, "SeriesInstanceUID"), []).append(dataset)
    foreign = [instances for instances in by_series.values() if not is_own_output(instances[0])]
    values = _attribute_values(ordered, fact_catalogue().study)
    values["NumberOfSeries"] = len(foreign)
    values["Modalities"] = tuple(sorted({text(instances[0], "Modality") for instances in foreign} - {""}))
    return StudyFacts(
        study_instance_uid=StudyInstanceUID(text(ordered[0], "StudyInstanceUID")),
        values=values,
        series=tuple(sorted((_series_facts(instances) for instances in by_series.values()), key=_place_in_study)),
    )


def is_own_output(dataset: Dataset) -> bool:
    """Tell whether this node made an instance, by Manufacturer and Contributing Equipment (PS3.3 C.12.1.1.5).

    What the model of another maker synthesised names that maker, and is not meant.
    """
    if text(dataset, "Manufacturer") != NODE_MANUFACTURER:
        return False
    purposes = {
        text(purpose, "CodeValue")
        for equipment in items(dataset, "ContributingEquipmentSequence")
        for purpose in items(equipment, "PurposeOfReferenceCodeSequence")
        if text(purpose, "CodingSchemeDesignator") == "DCM"
    }
    return not purposes.isdisjoint((_SYNTHESIZING, _PROCESSING))


def _series_facts(instances: Sequence[Dataset]) -> SeriesFacts:
    """Gather the attributes of a series and what they tell; the instances are in the order of their numbers."""
    classified, contrast = classify(instances), contrast_of(instances)
    values = _attribute_values(map(as_classic, instances), fact_catalogue().series)
    values["Weighting"] = classified.weighting.value
    values["ContrastEnhanced"] = contrast.value.value
    values["NumberOfInstances"] = sum(number_of_frames(instance) for instance in instances)
    values["Orientation"] = orientation_of(instances).value
    return SeriesFacts(
        series_instance_uid=SeriesInstanceUID(text(instances[0], "SeriesInstanceUID")),
        values=values,
        evidence={
            "Weighting": classified.evidence,
            "ContrastEnhanced": contrast.evidence,
            "NumberOfInstances": f"{len(instances)} instances and their frames",
            "Orientation": "Image Orientation (Patient) of all images",
        },
    )


def _attribute_values(instances: Iterable[Dataset], fields: Mapping[str, FactField]) -> dict[str, FactValue]:
    """Read every attribute that is a fact from the first instance that has a value of it."""
    values: dict[str, FactValue] = {}
    settled: set[int] = set()
    for instance in instances:
        for tag in sorted(instance.keys() - settled):
            field = fields.get(keyword_for_tag(tag))
            value = _READERS[field.type](instance, field.name) if field else None
            if field and value is not None:
                values[field.name] = value
            if field is None or value is not None:
                settled.add(tag)
    return values


def _read_text(instance: Dataset, keyword: str) -> FactValue:
    return text(instance, keyword) or None


def _read_number(instance: Dataset, keyword: str) -> FactValue:
    """Read a number, whole ones without a fraction; an age (VR AS) is given in years."""
    value = number(instance, keyword)
    if value is None:
        age = _AGE.fullmatch(text(instance, keyword))
        return int(age[1]) * _YEARS[age[2]] if age else None
    return int(value) if value.is_integer() else value


def _read_date(instance: Dataset, keyword: str) -> FactValue:
    """Read a date; dots come from before the standard (ACR-NEMA)."""
    try:
        return date.fromisoformat(text(instance, keyword).replace(".", ""))
    except ValueError:
        return None


def _read_texts(instance: Dataset, keyword: str) -> FactValue:
    return texts(instance, keyword) or None


def _read_numbers(instance: Dataset, keyword: str) -> FactValue:
    return numbers(instance, keyword) or None


_READERS: Mapping[FactType, Callable[[Dataset, str], FactValue]] = {
    FactType.TEXT: _read_text,
    FactType.CODE: _read_text,
    FactType.NUMBER: _read_number,
    FactType.DATE: _read_date,
    FactType.TEXT_LIST: _read_texts,
    FactType.NUMBER_LIST: _read_numbers,
}


def _place_in_series(dataset: Dataset) -> tuple[bool, float]:
    """Order instances by number; those without one come last."""
    instance_number = number(dataset, "InstanceNumber")
    return instance_number is None, instance_number or 0


def _place_in_study(series: SeriesFacts) -> tuple[bool, float, str]:
    """Order series by number, so that the same study always reads the same."""
    series_number = series.values.get("SeriesNumber")
    if isinstance(series_number, int | float):
        return False, series_number, series.series_instance_uid
    return True, 0, series.series_instance_uid
