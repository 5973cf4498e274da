"""Modality Performed Procedure Step as SCP: N-CREATE begins a step, N-SET changes it (PS3.4 section F.7)."""

import json
import logging
from collections.abc import Sequence
from itertools import chain
from typing import cast

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.dimse_primitives import N_CREATE, N_SET
from pynetdicom.presentation import PresentationContext

from dicomnode.dimse.services import SUCCESS, items, plain_context, readable, refusal, requestor_of
from dicomnode.domain.archive import DicomJson
from dicomnode.domain.errors import DicomnodeError, EmptyAttribute, InvalidValue, MissingAttribute
from dicomnode.domain.mpps import PerformedSeries, PerformedStep, PerformedSteps, StepChange, StepState
from dicomnode.domain.uids import SeriesInstanceUID, SOPInstanceUID, StudyInstanceUID

_logger = logging.getLogger(__name__)

PERFORMED_PROCEDURE_STEP = "1.2.840.10008.3.1.2.3.3"
_INVALID_ATTRIBUTE_VALUE, _INVALID_OBJECT_INSTANCE = 0x0106, 0x0117
_REQUIRED_TO_BEGIN = (
    "ScheduledStepAttributesSequence",
    "PerformedProcedureStepID",
    "PerformedStationAETitle",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "PerformedProcedureStepStatus",
    "Modality",
)
"""Type 1 for the SCU of N-CREATE (PS3.4 Table F.7.2-1)."""
_MADE = ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence")


class PerformedStepSCP:
    """The listener's service that takes what modalities say of their steps (dimse.services.Service)."""

    def __init__(self, steps: PerformedSteps) -> None:
        self._steps = steps

    @property
    def contexts(self) -> Sequence[PresentationContext]:
        """The one SOP class that creates and changes steps."""
        return [plain_context(PERFORMED_PROCEDURE_STEP)]

    @property
    def handlers(self) -> Sequence[evt.EventHandlerType]:
        """N-CREATE and N-SET."""
        return [(evt.EVT_N_CREATE, self._create), (evt.EVT_N_SET, self._set)]

    def _create(self, event: evt.Event) -> tuple[int | Dataset, None]:
        """Begin a step, and answer only when it is recorded."""
        if cast(N_CREATE, event.request).AffectedSOPInstanceUID is None:
            # The standard lets an SCP choose the UID; the modality must know it for its N-SET and always names one.
            return _INVALID_OBJECT_INSTANCE, None
        try:
            self._steps.begin(_begun(event))
        except DicomnodeError as error:
            return self._refused("N-CREATE", error), None
        return SUCCESS, None

    def _set(self, event: evt.Event) -> tuple[int | Dataset, None]:
        """Change a step, and answer only when it is recorded."""
        try:
            self._steps.change(_changed(event))
        except DicomnodeError as error:
            return self._refused("N-SET", error), None
        return SUCCESS, None

    @staticmethod
    def _refused(request: str, error: DicomnodeError) -> Dataset:
        _logger.warning("%s of a performed procedure step refused: %s", request, error.reason)
        return refusal(error, _INVALID_ATTRIBUTE_VALUE)


def _begun(event: evt.Event) -> PerformedStep:
    """Read the step that an N-CREATE begins; raises InvalidValue, MissingAttribute or EmptyAttribute."""
    said = readable(lambda: event.attribute_list)
    for keyword in _REQUIRED_TO_BEGIN:
        _require(said, keyword)
    if _state(said) is not StepState.IN_PROGRESS:
        raise InvalidValue("a performed procedure step begins IN PROGRESS")
    scheduled = items(said, "ScheduledStepAttributesSequence")
    for item in scheduled:
        _require(item, "StudyInstanceUID")
    return PerformedStep(
        sop_instance_uid=SOPInstanceUID(cast(N_CREATE, event.request).AffectedSOPInstanceUID or ""),
        state=StepState.IN_PROGRESS,
        study_instance_uids=tuple(
            dict.fromkeys(StudyInstanceUID(_text(item, "StudyInstanceUID")) for item in scheduled)
        ),
        series=_series(said) or (),
        attributes=_json(said),
        association=requestor_of(event),
    )


def _changed(event: evt.Event) -> StepChange:
    """Read what an N-SET says anew; raises InvalidValue.

    What the modality owes of a final state (end date and time, series) is not asked for: a step without it is still
    better evidence than one that seems to go on for ever.
    """
    said = readable(lambda: event.modification_list)
    return StepChange(
        sop_instance_uid=SOPInstanceUID(cast(N_SET, event.request).RequestedSOPInstanceUID or ""),
        state=_state(said),
        series=_series(said),
        attributes=_json(said),
    )


def _require(dataset: Dataset, keyword: str) -> None:
    """Raise MissingAttribute or EmptyAttribute unless an attribute has a value."""
    if keyword not in dataset:
        raise MissingAttribute(f"{keyword} is missing")
    if not readable(lambda: dataset.get(keyword)):
        raise EmptyAttribute(f"{keyword} has no value")


def _state(said: Dataset) -> StepState | None:
    """Read the status; raises InvalidValue for one that the standard does not define."""
    if "PerformedProcedureStepStatus" not in said:
        return None
    try:
        return StepState(_text(said, "PerformedProcedureStepStatus"))
    except ValueError:
        raise InvalidValue("PerformedProcedureStepStatus is not one of the defined terms") from None


def _series(said: Dataset) -> tuple[PerformedSeries, ...] | None:
    """Read what was made, by series; None where nothing is said of it. Raises InvalidValue."""
    if "PerformedSeriesSequence" not in said:
        return None
    return tuple(
        PerformedSeries(
            series_instance_uid=SeriesInstanceUID(_text(series, "SeriesInstanceUID")),
            sop_instance_uids=tuple(
                SOPInstanceUID(_text(made, "ReferencedSOPInstanceUID"))
                for made in chain.from_iterable(items(series, keyword) for keyword in _MADE)
            ),
        )
        for series in items(said, "PerformedSeriesSequence")
    )


def _text(dataset: Dataset, keyword: str) -> str:
    return readable(lambda: str(dataset.get(keyword) or "")).strip(" \0")


def _json(said: Dataset) -> DicomJson:
    """Write all that was said in the DICOM JSON Model, but for values that cannot be understood.

    JSON has no number for infinity and not-a-number, and a database may refuse them: they become texts.
    """
    written = readable(lambda: json.dumps(said.to_json_dict(suppress_invalid_tags=True)))
    return cast(DicomJson, json.loads(written, parse_constant=str))
