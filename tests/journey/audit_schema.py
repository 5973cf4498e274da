"""The schema of PS3.15 section A.5.1 (RELAX NG), as far as it goes, held against a message."""

import base64
import re
from collections.abc import Callable
from datetime import datetime
from xml.etree import ElementTree as ET

_TEXT: Callable[[str], bool] = bool
_BOOLEAN: Callable[[str], bool] = ("true", "false").__contains__
_DIGITS = re.compile("[0-9]+")


def _one_of(*words: str) -> Callable[[str], bool]:
    return words.__contains__


def _number(most: int) -> Callable[[str], bool]:
    return _one_of(*(str(number) for number in range(1, most + 1)))


def _is_base64(text: str) -> bool:
    return bool(base64.b64decode(text, validate=True))


def _is_instant(text: str) -> bool:
    """xsd:dateTime with a zone, so that it is unambiguous (A.5.2.5)."""
    return datetime.fromisoformat(text).tzinfo is not None


Attributes = dict[str, tuple[Callable[[str], bool], bool]]
"""Of each attribute: what its value must be, and whether it must be there."""
CODED: Attributes = {
    "csd-code": (_TEXT, True),
    "codeSystemName": (_TEXT, True),
    "displayName": (_TEXT, False),
    "originalText": (_TEXT, True),
}
ATTRIBUTES: dict[str, Attributes] = {
    "AuditMessage": {},
    "EventIdentification": {
        "EventActionCode": (_one_of("C", "R", "U", "D", "E"), False),
        "EventDateTime": (_is_instant, True),
        "EventOutcomeIndicator": (_one_of("0", "4", "8", "12"), True),
    },
    "EventID": CODED,
    "EventTypeCode": CODED,
    "RoleIDCode": CODED,
    "ParticipantObjectIDTypeCode": CODED,
    "ActiveParticipant": {
        "UserID": (_TEXT, True),
        "AlternativeUserID": (_TEXT, False),
        "UserName": (_TEXT, False),
        "UserIsRequestor": (_BOOLEAN, True),
        "NetworkAccessPointID": (_TEXT, False),
        "NetworkAccessPointTypeCode": (_number(5), False),
    },
    "AuditSourceIdentification": {"AuditSourceID": (_TEXT, True), "AuditEnterpriseSiteID": (_TEXT, False)},
    "AuditSourceTypeCode": {"csd-code": (_number(9), True)},
    "ParticipantObjectIdentification": {
        "ParticipantObjectID": (_TEXT, True),
        "ParticipantObjectTypeCode": (_number(4), False),
        "ParticipantObjectTypeCodeRole": (_number(26), False),
        "ParticipantObjectDataLifeCycle": (_number(15), False),
        "ParticipantObjectSensitivity": (_TEXT, False),
    },
    "ParticipantObjectName": {},
    "ParticipantObjectQuery": {},
    "ParticipantObjectDetail": {"type": (_TEXT, True), "value": (_is_base64, True)},
}
CHILDREN = {
    "AuditMessage": "EventIdentification (ActiveParticipant )+AuditSourceIdentification "
    "(ParticipantObjectIdentification )*",
    "EventIdentification": "EventID (EventTypeCode )*(EventOutcomeDescription )?",
    "ActiveParticipant": "(RoleIDCode )*(MediaIdentifier )?",
    "AuditSourceIdentification": "(AuditSourceTypeCode )*",
    "ParticipantObjectIdentification": "ParticipantObjectIDTypeCode "
    "(ParticipantObjectName |ParticipantObjectQuery )(ParticipantObjectDetail )*(ParticipantObjectDescription )*",
}
"""The order of the elements within each, as a regular expression over their names."""


def faults(message: bytes) -> list[str]:
    """List where a message departs from the schema."""
    return list(_faults(ET.fromstring(message)))


def _faults(element: ET.Element) -> list[str]:
    found = []
    known = ATTRIBUTES.get(element.tag)
    if known is None:
        return [f"{element.tag} is no element of the schema"]
    found += [f"{element.tag} has no attribute {name}" for name in element.attrib if name not in known]
    for name, (is_right, is_needed) in known.items():
        value = element.get(name)
        if value is None:
            found += [f"{element.tag} lacks {name}"] if is_needed else []
        elif not is_right(value):
            found.append(f"{element.tag} {name}={value!r}")
    inside = "".join(f"{child.tag} " for child in element)
    if not re.fullmatch(CHILDREN.get(element.tag, ""), inside):
        found.append(f"{element.tag} holds {inside!r}")
    if element.tag == "ParticipantObjectQuery" and not _is_base64(element.text or ""):
        found.append("a query that is not base64")
    return [*found, *(fault for child in element for fault in _faults(child))]
