"""A line of the audit trail as the audit message of PS3.15 section A.5, in the schema of section A.5.1.

The message of a study names its patient by ID, because the standard asks for it; nothing else of a patient is in one.
"""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from ipaddress import ip_address
from xml.etree import ElementTree as ET

from dicomnode.domain.account import Permission
from dicomnode.domain.audit import AuditAction, AuditEvent
from dicomnode.ledger.audit import AuditRecord

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NO_PATIENT_ID = "(none)"
_DCM, _RFC_3881 = "DCM", "RFC-3881"


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A coded value; those of DICOM are in PS3.16 context groups 400 to 404."""

    value: str
    meaning: str
    system: str = _DCM


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSource:
    """Which node writes the messages: its AE title, its host, and the site it stands in, where that has a name."""

    ae_title: str
    host: str
    site: str = ""

    @property
    def name(self) -> str:
        """How the node is called in its messages."""
        return f"{self.ae_title}@{self.host}"


_ACTIVITY = Code(value="110100", meaning="Application Activity")
_LOG_USED = Code(value="110101", meaning="Audit Log Used")
_ACCESSED = Code(value="110103", meaning="DICOM Instances Accessed")
_TRANSFERRED = Code(value="110104", meaning="DICOM Instances Transferred")
_QUERY = Code(value="110112", meaning="Query")
_ALERT = Code(value="110113", meaning="Security Alert")
_AUTHENTICATION = Code(value="110114", meaning="User Authentication")

_APPLICATION_START = Code(value="110120", meaning="Application Start")
_APPLICATION_STOP = Code(value="110121", meaning="Application Stop")
_LOGIN = Code(value="110122", meaning="Login")
_LOGOUT = Code(value="110123", meaning="Logout")
_NETWORK_CONFIGURATION = Code(value="110128", meaning="Network Configuration")
_SOFTWARE_CONFIGURATION = Code(value="110131", meaning="Software Configuration")
_RESTRICTED_FUNCTION = Code(value="110132", meaning="Use of Restricted Function")
_ROLES_CHANGED = Code(value="110136", meaning="Security Roles Changed")
_USER_CHANGED = Code(value="110137", meaning="User security Attributes Changed")

_APPLICATION = Code(value="110150", meaning="Application")
_LAUNCHER = Code(value="110151", meaning="Application Launcher")
_DESTINATION = Code(value="110152", meaning="Destination Role ID")
_SOURCE = Code(value="110153", meaning="Source Role ID")
_STUDY_UID = Code(value="110180", meaning="Study Instance UID")
_NODE_ID = Code(value="110182", meaning="Node ID")
_URI = Code(value="12", meaning="URI", system=_RFC_3881)
_PATIENT_NUMBER = Code(value="2", meaning="Patient Number", system=_RFC_3881)

_ROLE_KINDS = ("first administrator", "add", "roles", "disable", "enable")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    """What a message says of what happened."""

    id: Code
    action: str
    type: Code | None = None


_EVENTS = {
    AuditAction.START: _Event(id=_ACTIVITY, action="E", type=_APPLICATION_START),
    AuditAction.STOP: _Event(id=_ACTIVITY, action="E", type=_APPLICATION_STOP),
    AuditAction.LOGIN: _Event(id=_AUTHENTICATION, action="E", type=_LOGIN),
    AuditAction.LOGOUT: _Event(id=_AUTHENTICATION, action="E", type=_LOGOUT),
    AuditAction.SEE: _Event(id=_ACCESSED, action="R"),
    AuditAction.RETRIEVE: _Event(id=_ACCESSED, action="R"),
    AuditAction.SEARCH: _Event(id=_QUERY, action="E"),
    AuditAction.RECEIVE: _Event(id=_TRANSFERRED, action="C"),
    AuditAction.STORE: _Event(id=_TRANSFERRED, action="C"),
    AuditAction.SETTINGS: _Event(id=_ALERT, action="E", type=_SOFTWARE_CONFIGURATION),
    AuditAction.REFUSED: _Event(id=_ALERT, action="E", type=_RESTRICTED_FUNCTION),
    AuditAction.READ_AUDIT: _Event(id=_LOG_USED, action="R"),
}


def audit_message(record: AuditRecord, source: AuditSource, patient_of: Callable[[str], str]) -> bytes:
    """Write the message of a line; `patient_of` gives the patient ID of a study, empty where there is none."""
    event = record.event
    said = _event_of(event)
    message = ET.Element("AuditMessage")
    identification = _add(
        message,
        "EventIdentification",
        EventActionCode=said.action,
        EventDateTime=event.at.astimezone(UTC).isoformat(timespec="milliseconds"),
        EventOutcomeIndicator=str(event.outcome.value),
    )
    _add_code(identification, "EventID", said.id)
    if said.type is not None:
        _add_code(identification, "EventTypeCode", said.type)
    _add_participants(message, event, source, said)
    where = _add(message, "AuditSourceIdentification", AuditSourceID=source.name)
    if source.site:
        where.set("AuditEnterpriseSiteID", _clean(source.site))
    _add(where, "AuditSourceTypeCode", **{"csd-code": "4"})
    _add_objects(message, event, source, said, patient_of)
    written: bytes = ET.tostring(message, encoding="UTF-8", xml_declaration=True)
    return written.replace(b"\n", b" ")


def _event_of(event: AuditEvent) -> _Event:
    if event.action is AuditAction.ACCOUNT:
        return _Event(id=_ALERT, action="E", type=_ROLES_CHANGED if event.kind in _ROLE_KINDS else _USER_CHANGED)
    if event.action is AuditAction.CHANGE:
        if event.study_instance_uid:
            return _Event(id=_ACCESSED, action="U")
        is_network = event.kind == Permission.EDIT_PEERS
        return _Event(id=_ALERT, action="E", type=_NETWORK_CONFIGURATION if is_network else _SOFTWARE_CONFIGURATION)
    found = _EVENTS[event.action]
    if found.id in (_ACCESSED, _TRANSFERRED) and not event.study_instance_uid:
        # Both are about studies of one patient; without one it is a question to the archive.
        return _EVENTS[AuditAction.SEARCH]
    return found


def _add_participants(message: ET.Element, event: AuditEvent, source: AuditSource, said: _Event) -> None:
    """Name who did it and the node's own part in it (PS3.15 tables A.5.3.1-1 to A.5.3.12-1)."""
    if said.id is _ACTIVITY:
        _add_node(message, source, _APPLICATION)
        _add_person(message, event, source, role=_LAUNCHER)
    elif said.id is _ALERT:
        _add_node(message, source, None)
        _add_person(message, event, source, is_requestor=False)
    elif said.id in (_TRANSFERRED, _QUERY):
        _add_person(message, event, source, role=_SOURCE)
        _add_node(message, source, _DESTINATION)
    else:
        _add_person(message, event, source)
        _add_node(message, source, None)


def _add_person(
    message: ET.Element,
    event: AuditEvent,
    source: AuditSource,
    *,
    role: Code | None = None,
    is_requestor: bool = True,
) -> None:
    where, kind = _access_point(event.address or source.host)
    person = _add(
        message,
        "ActiveParticipant",
        UserID=event.who,
        UserIsRequestor="true" if is_requestor else "false",
        NetworkAccessPointID=where,
        NetworkAccessPointTypeCode=kind,
    )
    if role is not None:
        _add_code(person, "RoleIDCode", role)


def _add_node(message: ET.Element, source: AuditSource, role: Code | None) -> None:
    where, kind = _access_point(source.host)
    node = _add(
        message,
        "ActiveParticipant",
        UserID=source.name,
        AlternativeUserID=f"AETITLES={source.ae_title}",
        UserIsRequestor="false",
        NetworkAccessPointID=where,
        NetworkAccessPointTypeCode=kind,
    )
    if role is not None:
        _add_code(node, "RoleIDCode", role)


def _add_objects(
    message: ET.Element,
    event: AuditEvent,
    source: AuditSource,
    said: _Event,
    patient_of: Callable[[str], str],
) -> None:
    """Name what it was done to."""
    if said.id in (_ACCESSED, _TRANSFERRED):
        study = _add_object(message, _STUDY_UID, event.study_instance_uid, kind="2", role="3")
        _add(study, "ParticipantObjectName").text = "study"
        patient = patient_of(event.study_instance_uid) or _NO_PATIENT_ID
        person = _add_object(message, _PATIENT_NUMBER, patient, kind="1", role="1")
        # The schema wants a name or a query; the name of the patient stays here.
        _add(person, "ParticipantObjectName").text = "patient"
    elif said.id is _QUERY:
        query = _add_object(message, _URI, event.object or "/studies", kind="2", role="3")
        # What was asked may name a patient: only that it was asked is told.
        _add(query, "ParticipantObjectQuery").text = _base64("(not recorded)")
    elif said.id is _LOG_USED:
        log = _add_object(message, _URI, "/audit", kind="2", role="13")
        _add(log, "ParticipantObjectName").text = "Security Audit Log"
    elif said.id is _ALERT:
        subject = _add_object(message, _NODE_ID, source.name, kind="2", role=None)
        _add(subject, "ParticipantObjectName").text = source.name
        words = " ".join(word for word in (event.action, event.kind, event.object) if word)
        _add(subject, "ParticipantObjectDetail", type="Alert Description", value=_base64(words))


def _add_object(message: ET.Element, type_: Code, identifier: str, *, kind: str, role: str | None) -> ET.Element:
    found = _add(
        message, "ParticipantObjectIdentification", ParticipantObjectID=identifier, ParticipantObjectTypeCode=kind
    )
    if role is not None:
        found.set("ParticipantObjectTypeCodeRole", role)
    _add_code(found, "ParticipantObjectIDTypeCode", type_)
    return found


def _add(parent: ET.Element, name: str, **attributes: str) -> ET.Element:
    return ET.SubElement(parent, name, {key: _clean(value) for key, value in attributes.items()})


def _add_code(parent: ET.Element, name: str, code: Code) -> None:
    _add(parent, name, **{"csd-code": code.value, "codeSystemName": code.system, "originalText": code.meaning})


def _clean(text: str) -> str:
    """Replace what no XML document may hold (XML 1.0 section 2.2)."""
    return _NOT_XML.sub("\ufffd", text)


def _access_point(where: str) -> tuple[str, str]:
    """Say where somebody was, and whether that is an address (2) or a name (1)."""
    try:
        return str(ip_address(where)), "2"
    except ValueError:
        return where, "1"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
