"""Audit messages: in the schema of PS3.15 A.5.1, and with what the tables of A.5.3 ask for."""

import base64
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.domain.account import Permission
from dicomnode.domain.audit import AuditAction, AuditEvent, AuditOutcome
from dicomnode.journey.audit_message import AuditSource, audit_message
from dicomnode.ledger.audit import AuditRecord
from tests.journey.audit_schema import faults

SOURCE = AuditSource(ae_title="DICOMNODE", host="node.example", site="Hospital")
STUDY = "1.2.3.4"
AT = datetime(2026, 3, 1, 10, 15, 0, 123_000, tzinfo=UTC)


def _message(action: AuditAction, **further: object) -> bytes:
    event = AuditEvent(at=AT, who="ann", action=action, **further)  # type: ignore[arg-type]
    return audit_message(AuditRecord(id=7, event=event), SOURCE, _patient)


def _patient(study: str) -> str:
    return {STUDY: "T-0001"}.get(study, "")


def _parsed(action: AuditAction, **further: object) -> ET.Element:
    return ET.fromstring(_message(action, **further))


def _codes(message: ET.Element, path: str) -> list[str]:
    return [one.attrib["csd-code"] for one in message.iterfind(path)]


@pytest.mark.parametrize("action", list(AuditAction))
@pytest.mark.parametrize("study", ["", STUDY, "9.9.9"])
@pytest.mark.parametrize("address", ["", "10.0.0.7", "::1", "proxy.example"])
def test_every_line_makes_a_message_of_the_schema(action: AuditAction, study: str, address: str) -> None:
    assert faults(_message(action, study_instance_uid=study, address=address, kind="operate", object="x")) == []


@given(who=st.text(min_size=1), text=st.text(), outcome=st.sampled_from(AuditOutcome))
def test_nothing_that_somebody_typed_breaks_a_message(who: str, text: str, outcome: AuditOutcome) -> None:
    event = AuditEvent(at=AT, who=who, action=AuditAction.REFUSED, kind=text, object=text, outcome=outcome)
    message = audit_message(AuditRecord(id=1, event=event), SOURCE, _patient)
    assert faults(message) == []
    assert b"\n" not in message


def test_the_schema_is_held_against_what_is_wrong() -> None:
    right = _message(AuditAction.SEE, study_instance_uid=STUDY)
    for there, wrong in (
        (b'EventActionCode="R"', b'EventActionCode="X"'),
        (b"+00:00", b""),
        (b'UserIsRequestor="true"', b""),
        (b"<ParticipantObjectName>study</ParticipantObjectName>", b""),
        (b"originalText", b"displayName"),
        (b"AuditSourceTypeCode", b"AuditSource"),
    ):
        assert there in right
        assert faults(right.replace(there, wrong)) != []


@pytest.mark.parametrize(
    ("action", "further", "event", "kind", "code"),
    [
        (AuditAction.START, {}, "110100", "110120", "E"),
        (AuditAction.STOP, {}, "110100", "110121", "E"),
        (AuditAction.LOGIN, {}, "110114", "110122", "E"),
        (AuditAction.LOGOUT, {}, "110114", "110123", "E"),
        (AuditAction.SEE, {"study_instance_uid": STUDY}, "110103", None, "R"),
        (AuditAction.RETRIEVE, {"study_instance_uid": STUDY}, "110103", None, "R"),
        (AuditAction.CHANGE, {"study_instance_uid": STUDY}, "110103", None, "U"),
        (AuditAction.STORE, {"study_instance_uid": STUDY}, "110104", None, "C"),
        (AuditAction.RECEIVE, {"study_instance_uid": STUDY}, "110104", None, "C"),
        (AuditAction.SEARCH, {}, "110112", None, "E"),
        (AuditAction.READ_AUDIT, {}, "110101", None, "R"),
        (AuditAction.REFUSED, {}, "110113", "110132", "E"),
        (AuditAction.SETTINGS, {}, "110113", "110131", "E"),
        (AuditAction.CHANGE, {"kind": Permission.PUBLISH_RULES}, "110113", "110131", "E"),
        (AuditAction.CHANGE, {"kind": Permission.EDIT_PEERS}, "110113", "110128", "E"),
        (AuditAction.ACCOUNT, {"kind": "roles"}, "110113", "110136", "E"),
        (AuditAction.ACCOUNT, {"kind": "password"}, "110113", "110137", "E"),
    ],
)
def test_each_action_is_the_event_of_the_standard(
    action: AuditAction, further: dict[str, object], event: str, kind: str | None, code: str
) -> None:
    message = _parsed(action, **further)
    assert _codes(message, "EventIdentification/EventID") == [event]
    assert _codes(message, "EventIdentification/EventTypeCode") == ([] if kind is None else [kind])
    assert message.find("EventIdentification").attrib["EventActionCode"] == code  # type: ignore[union-attr]


def test_a_study_names_its_patient_by_id_alone() -> None:
    study, patient = _parsed(AuditAction.SEE, study_instance_uid=STUDY).findall("ParticipantObjectIdentification")
    assert study.attrib["ParticipantObjectID"] == STUDY
    assert (study.attrib["ParticipantObjectTypeCode"], study.attrib["ParticipantObjectTypeCodeRole"]) == ("2", "3")
    assert _codes(study, "ParticipantObjectIDTypeCode") == ["110180"]
    assert patient.attrib["ParticipantObjectID"] == "T-0001"
    assert (patient.attrib["ParticipantObjectTypeCode"], patient.attrib["ParticipantObjectTypeCodeRole"]) == ("1", "1")
    assert patient.find("ParticipantObjectIDTypeCode").attrib == {  # type: ignore[union-attr]
        "csd-code": "2",
        "codeSystemName": "RFC-3881",
        "originalText": "Patient Number",
    }


def test_whoever_looked_is_the_one_who_asked() -> None:
    person, node = _parsed(AuditAction.SEE, study_instance_uid=STUDY, address="10.0.0.7").findall("ActiveParticipant")
    assert person.attrib == {
        "UserID": "ann",
        "UserIsRequestor": "true",
        "NetworkAccessPointID": "10.0.0.7",
        "NetworkAccessPointTypeCode": "2",
    }
    assert node.attrib["UserID"] == "DICOMNODE@node.example"
    assert node.attrib["AlternativeUserID"] == "AETITLES=DICOMNODE"


def test_a_start_names_the_application_and_who_launched_it() -> None:
    """Table A.5.3.1-1."""
    application, launcher = _parsed(AuditAction.START).findall("ActiveParticipant")
    assert (_codes(application, "RoleIDCode"), application.attrib["UserIsRequestor"]) == (["110150"], "false")
    assert (_codes(launcher, "RoleIDCode"), launcher.attrib["UserIsRequestor"]) == (["110151"], "true")


def test_a_login_needs_no_object_and_names_the_place() -> None:
    """Table A.5.3.12-1: the access point is mandatory."""
    message = _parsed(AuditAction.LOGIN, outcome=AuditOutcome.MINOR_FAILURE)
    assert message.findall("ParticipantObjectIdentification") == []
    person = message.findall("ActiveParticipant")[0]
    assert person.attrib["NetworkAccessPointID"] == "node.example"
    assert person.attrib["NetworkAccessPointTypeCode"] == "1"
    assert message.find("EventIdentification").attrib["EventOutcomeIndicator"] == "4"  # type: ignore[union-attr]


def test_an_alert_says_what_it_is_about() -> None:
    """Table A.5.3.11-1: whoever did it is no requestor, and the alert is described."""
    message = _parsed(AuditAction.ACCOUNT, kind="roles", object="bob")
    assert [one.attrib["UserIsRequestor"] for one in message.findall("ActiveParticipant")] == ["false", "false"]
    detail = message.find("ParticipantObjectIdentification/ParticipantObjectDetail")
    assert detail is not None
    assert detail.attrib["type"] == "Alert Description"
    assert base64.b64decode(detail.attrib["value"]) == b"account roles bob"


def test_a_query_and_the_log_are_objects_by_their_address() -> None:
    query = _parsed(AuditAction.SEARCH, object="/studies").find("ParticipantObjectIdentification")
    log = _parsed(AuditAction.READ_AUDIT).find("ParticipantObjectIdentification")
    assert query is not None
    assert log is not None
    assert query.attrib["ParticipantObjectID"] == "/studies"
    assert base64.b64decode(query.findtext("ParticipantObjectQuery", "")) == b"(not recorded)"
    assert log.findtext("ParticipantObjectName") == "Security Audit Log"
    assert log.attrib["ParticipantObjectTypeCodeRole"] == "13"
