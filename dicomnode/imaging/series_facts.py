"""Instances -> the facts of a study and its series, by which rules decide."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydicom.dataset import Dataset

from dicomnode.domain.derivation import NODE_MANUFACTURER
from dicomnode.domain.errors import MalformedInstance
from dicomnode.domain.study import Arrival, FactValue, SeriesFacts, StudyFacts, StudySource
from dicomnode.domain.uids import SeriesInstanceUID, StudyInstanceUID
from dicomnode.imaging.attribute_facts import attribute_facts
from dicomnode.imaging.attributes import items, number, text
from dicomnode.imaging.conclusions import conclusions
from dicomnode.imaging.fact_catalogue import attribute_fields, keywords_of_study
from dicomnode.imaging.functional_groups import number_of_frames
from dicomnode.imaging.headers import read_data_set
from dicomnode.imaging.series_geometry import geometry_facts

_SYNTHESIZING, _PROCESSING = "109100", "109102"
"""Purposes of Contributing Equipment (PS3.16 CID 7005)."""


def read_datasets(paths: Sequence[Path]) -> list[Dataset]:
    """Read the attributes of instances without their pixels; raises MalformedInstance."""
    return [read_data_set(path) for path in paths]


def study_facts(datasets: Sequence[Dataset], source: StudySource | None = None) -> StudyFacts:
    """Gather the facts of one study from all its instances; raises MalformedInstance when there are none.

    A fact is the value of the instance with the lowest number, or of the next one that has a value. Outputs of this
    node that came back are series like others, but the facts of the study itself do not count them. `source` tells
    where the study came from and when; without it those facts are absent.
    """
    if not datasets:
        raise MalformedInstance("a study without instances has no facts")
    ordered = sorted(datasets, key=_place_in_series)
    by_series: dict[str, list[Dataset]] = {}
    for dataset in ordered:
        by_series.setdefault(text(dataset, "SeriesInstanceUID"), []).append(dataset)
    foreign = [instances for instances in by_series.values() if not is_own_output(instances[0])]
    values = attribute_facts(ordered, attribute_fields(), keywords_of_study())
    values["NumberOfSeries"] = len(foreign)
    values["NumberOfInstances"] = sum(number_of_frames(one) for instances in foreign for one in instances)
    values["Modalities"] = tuple(sorted({text(instances[0], "Modality") for instances in foreign} - {""}))
    values.update(_of_source(source.arrivals if source else ()))
    series = (_series_facts(uid, instances, source) for uid, instances in by_series.items())
    return StudyFacts(
        study_instance_uid=StudyInstanceUID(text(ordered[0], "StudyInstanceUID")),
        values=values,
        series=tuple(sorted(series, key=_place_in_study)),
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


def _series_facts(uid: str, instances: Sequence[Dataset], source: StudySource | None) -> SeriesFacts:
    """Gather the attributes of a series and what they tell; the instances are in the order of their numbers."""
    series = SeriesInstanceUID(uid)
    # First, while the elements are still as they came: what was decoded cannot be compared without being read again.
    values = attribute_facts(instances, attribute_fields())
    geometry = geometry_facts(instances)
    findings = conclusions(instances, geometry)
    values.update({name: finding.value for name, finding in findings.items()})
    values.update(geometry)
    values["NumberOfInstances"] = sum(number_of_frames(instance) for instance in instances)
    arrivals = source.arrivals if source else ()
    values.update(_of_source([arrival for arrival in arrivals if arrival.series_instance_uid == series]))
    return SeriesFacts(
        series_instance_uid=series,
        values=values,
        evidence={
            **{name: finding.evidence for name, finding in findings.items()},
            "NumberOfInstances": f"{len(instances)} instances and their frames",
        },
        confidence={name: finding.confidence for name, finding in findings.items()},
    )


def _of_source(arrivals: Sequence[Arrival]) -> Mapping[str, FactValue]:
    """Say who sent what came in, and when it began to come."""
    if not arrivals:
        return {}
    first = min(arrival.first_received_at for arrival in arrivals)
    associations = [arrival.association for arrival in arrivals]
    told: Mapping[str, FactValue] = {
        "SourceAE": tuple(sorted({str(one.calling_ae) for one in associations if one.calling_ae})),
        "CalledAE": tuple(sorted({str(one.called_ae) for one in associations if one.called_ae})),
        "SourceAddress": tuple(sorted({one.peer_address for one in associations if one.peer_address})),
        "ReceivedDate": first.date(),
        "ReceivedHour": first.hour,
    }
    return {name: value for name, value in told.items() if value != ()}


def _place_in_series(dataset: Dataset) -> tuple[bool, float, str]:
    """Order instances by number and then by UID, so that it does not matter in which order they come.

    Those without a number come last.
    """
    instance_number = number(dataset, "InstanceNumber")
    return instance_number is None, instance_number or 0, text(dataset, "SOPInstanceUID")


def _place_in_study(series: SeriesFacts) -> tuple[bool, float, str]:
    """Order series by number, so that the same study always reads the same."""
    series_number = series.values.get("SeriesNumber")
    if isinstance(series_number, int | float):
        return False, series_number, series.series_instance_uid
    return True, 0, series.series_instance_uid
