"""Taking instances in over HTTP: who takes them, what became of each, and what is answered (PS3.18 section 10.5)."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dicomnode.dicomweb.incoming_body import ExpansionLimit
from dicomnode.dicomweb.part10 import FileMeta
from dicomnode.domain.archive import Archive, DicomJson
from dicomnode.domain.association import Association, OfferedInstance, numbered
from dicomnode.domain.errors import DicomnodeError, InvalidValue
from dicomnode.domain.ports import AssociationEnds, InstanceSink, Reception
from dicomnode.domain.study import StoredInstance
from dicomnode.domain.uids import AETitle, StudyInstanceUID

_logger = logging.getLogger(__name__)

_CALLING = AETitle("STOW-RS")
"""HTTP knows no AE titles; this stands where a C-STORE's sender is named."""
_SYNTAX_NOT_SUPPORTED, _SOP_CLASS_NOT_SUPPORTED, _PROCESSING_FAILURE = 0xC122, 0x0122, 0x0110
_OK, _ACCEPTED, _CONFLICT, _SERVER_ERROR = 200, 202, 409, 500

Assemble = Callable[[DicomJson, Mapping[str, bytes]], bytes]
"""Makes a Part 10 file of a header in the DICOM JSON Model and its bulk data by URI; raises MalformedInstance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """What the store transaction needs of the node: the reception, and what may come in at all."""

    reception: Reception
    called_ae: AETitle
    sop_classes: frozenset[str]
    transfer_syntaxes: frozenset[str]
    assemble: Assemble
    expansion: ExpansionLimit = field(default_factory=ExpansionLimit)
    ends: AssociationEnds | None = None
    """Hears when a request that brought instances has ended."""

    def refusal(self, meta: FileMeta) -> int | None:
        """Say by which Failure Reason an instance may not come in (PS3.18 Table I.2-2); None when it may."""
        if meta.sop_class_uid not in self.sop_classes:
            return _SOP_CLASS_NOT_SUPPORTED
        return None if meta.transfer_syntax_uid in self.transfer_syntaxes else _SYNTAX_NOT_SUPPORTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An instance, or a part that names none, that was not stored."""

    reason: int
    meta: FileMeta | None = None


@dataclass(slots=True, kw_only=True)
class StoreRequest:
    """One request to store: from where, for which study, and what became of each instance so far."""

    intake: Intake
    peer_address: str
    study: StudyInstanceUID | None
    stored: list[FileMeta] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    unavailable: DicomnodeError | None = None
    """Why the node could not store what it would have taken, once that happened."""
    sender: Association = field(init=False)
    """What stands for the association that HTTP does not have."""

    def __post_init__(self) -> None:
        """Number the request among all that bring instances."""
        self.sender = numbered(
            Association(calling_ae=_CALLING, called_ae=self.intake.called_ae, peer_address=self.peer_address)
        )

    def open(self, meta: FileMeta) -> InstanceSink | None:
        """Begin to take an instance; None when it may not come in. Raises ReceptionError."""
        reason = self.intake.refusal(meta)
        if reason is not None:
            self.failed.append(Failure(reason=reason, meta=meta))
            _logger.warning("instance %s refused: failure reason %04X", meta.sop_instance_uid, reason)
            return None
        return self.intake.reception.open(
            OfferedInstance(
                sop_class_uid=meta.sop_class_uid,
                sop_instance_uid=meta.sop_instance_uid,
                transfer_syntax_uid=meta.transfer_syntax_uid,
                association=self.sender,
                study_instance_uid=self.study,
            )
        )

    def refuse(self, error: DicomnodeError, meta: FileMeta | None) -> None:
        """Note why an instance or a part was not stored."""
        _logger.warning("instance %s refused: %s", meta.sop_instance_uid if meta else "without UID", error.reason)
        self.failed.append(Failure(reason=error.dimse_status, meta=meta))
        if error.http_status >= _SERVER_ERROR:
            # Only one is kept: its traceback holds on to the bytes that were being written.
            self.unavailable = error

    def end(self, *, is_whole: bool) -> None:
        """Say that nothing more comes by this request, and whether its body came to its end."""
        if self.intake.ends is not None:
            self.intake.ends.ended(self.sender, is_released=is_whole)

    def break_off(self, error: InvalidValue) -> None:
        """Note that the body broke behind what was stored already; raises the error when nothing was."""
        if not self.stored:
            raise error
        self.failed.append(Failure(reason=_PROCESSING_FAILURE))

    def status(self) -> int:
        """Say the HTTP status (PS3.18 Table 10.5.3-1).

        When nothing was stored, raises what made it impossible, or InvalidValue when there was nothing to store.
        """
        if self.stored:
            return _ACCEPTED if self.failed else _OK
        if self.unavailable is not None:
            raise self.unavailable
        if not self.failed:
            raise InvalidValue("the body has no part with an instance")
        return _CONFLICT

    def report(self, archive: Archive, service: str) -> DicomJson:
        """Write the Store Instances Response (PS3.18 Annex I); `service` is the service's address at the client."""
        known = [_failed(one) for one in self.failed if one.meta is not None]
        unknown = [_failed(one) for one in self.failed if one.meta is None]
        places = [archive.find(one.sop_instance_uid) for one in self.stored]
        studies = {place.study_instance_uid for place in places}
        return {
            **_address(f"{service}/studies/{study}" for study in studies if len(studies) == 1),
            **_sequence("00081198", known),
            **_sequence("00081199", [_stored(*one, service) for one in zip(self.stored, places, strict=True)]),
            **_sequence("0008119A", unknown),
        }


def _sequence(tag: str, items: Sequence[DicomJson]) -> DicomJson:
    return {tag: {"vr": "SQ", "Value": items}} if items else {}


def _reference(meta: FileMeta) -> dict[str, Any]:
    return {
        "00081150": {"vr": "UI", "Value": [meta.sop_class_uid]},
        "00081155": {"vr": "UI", "Value": [meta.sop_instance_uid]},
    }


def _failed(failure: Failure) -> DicomJson:
    named = _reference(failure.meta) if failure.meta else {}
    return {**named, "00081197": {"vr": "US", "Value": [failure.reason]}}


def _stored(meta: FileMeta, place: StoredInstance, service: str) -> DicomJson:
    path = f"studies/{place.study_instance_uid}/series/{place.series_instance_uid}/instances/{place.sop_instance_uid}"
    return {**_reference(meta), **_address([f"{service}/{path}"])}


def _address(urls: Iterable[str]) -> DicomJson:
    """Write a Retrieve URL, which stays empty where there is not exactly one."""
    found = list(urls)
    return {"00081190": {"vr": "UR", "Value": found} if found else {"vr": "UR"}}
