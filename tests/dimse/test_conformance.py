"""The conformance statement says what the node does: its tables are held against the code."""

import re
from collections.abc import Iterable, Sequence
from typing import cast

import pytest
from pydicom.charset import python_encoding
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import ALL_TRANSFER_SYNTAXES, DEFAULT_TRANSFER_SYNTAXES, build_role
from pynetdicom.pdu_primitives import (
    AsynchronousOperationsWindowNegotiation,
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)
from typer.main import get_command

from dicomnode.dicomweb import intake
from dicomnode.dicomweb.qido import search_routes
from dicomnode.dicomweb.stow import store_routes
from dicomnode.dicomweb.wado import retrieve_routes
from dicomnode.dimse import commitment, mpps, tls
from dicomnode.dimse.admission import _CALLING_NOT_RECOGNIZED, _REJECTIONS
from dicomnode.dimse.presentation import VERIFICATION, accepted_contexts, storage_sop_classes
from dicomnode.dimse.services import NO_SUCH_INSTANCE, plain_context, refusal
from dicomnode.dimse.sockets import SendingEntity
from dicomnode.dimse.storage_scp import StorageSCP
from dicomnode.domain.archive import Archive
from dicomnode.domain.commitment import FailureReason
from dicomnode.domain.errors import (
    ContentTooLarge,
    DicomnodeError,
    DuplicateStep,
    DuplicateTransaction,
    EmptyAttribute,
    InvalidValue,
    LedgerUnavailable,
    MissingAttribute,
    NotAcceptable,
    NotInLedger,
    PeerUnknown,
    ReceptionError,
    SpoolFull,
    StepIsFinal,
    UnreadablePixels,
    UnsupportedMedia,
)
from dicomnode.imaging.dicom_json import tag_of
from dicomnode.imaging.headers import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicomnode.journey.listing import INSTANCE_TAGS, SERIES_TAGS, STUDY_TAGS
from dicomnode.node import cli
from dicomnode.node.settings import Settings
from tests.conftest import ROOT
from tests.dimse.instances import MR_IMAGE_STORAGE

STATEMENT = (ROOT / "deploy" / "CONFORMANCE.md").read_text(encoding="utf-8")
_ANYTHING_ELSE = DicomnodeError("a defect")


def _section(heading: str) -> str:
    """Give what stands under a heading, down to the next one."""
    (found,) = re.findall(rf"^#+ {re.escape(heading)}.*?$(.*?)(?=^#|\Z)", STATEMENT, re.MULTILINE | re.DOTALL)
    return str(found)


def _rows(section: str, columns: int) -> list[list[str]]:
    """Give the rows of all tables with so many columns, without their heads."""
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in section.splitlines() if line[:1] == "|"]
    return [row for row in rows if len(row) == columns and not set("".join(row)) <= set("-| ")]


def _codes(section: str) -> set[int]:
    return {int(code, 16) for code in re.findall(r"^\| 0x([0-9A-F]{4}) ", section, re.MULTILINE)}


def _statuses(kind: type[ReceptionError]) -> set[int]:
    children: list[type[ReceptionError]] = kind.__subclasses__()
    return {child.dimse_status for child in children}.union(*(_statuses(child) for child in children))


def _refusals(errors: Iterable[DicomnodeError], invalid_value: int) -> set[int]:
    return {cast(int, refusal(error, invalid_value).Status) for error in errors}


def test_every_status_the_node_answers_to_c_store_is_in_its_table() -> None:
    assert _codes(_section("4.2 ")) == {0x0000, InvalidValue.dimse_status} | _statuses(ReceptionError)


def test_every_status_of_a_request_for_commitment_is_in_its_table() -> None:
    errors = (PeerUnknown(""), DuplicateTransaction(""), LedgerUnavailable(""), InvalidValue(""), _ANYTHING_ELSE)
    by_action = {0x0000, commitment._NO_SUCH_ACTION, NO_SUCH_INSTANCE}
    answered, reports = _section("4.4 ").split("The N-EVENT-REPORT")
    assert _codes(answered) == by_action | _refusals(errors, commitment._INVALID_ARGUMENT)
    assert _codes(reports.split("| failure reason |")[1]) == set(FailureReason)
    assert commitment.WELL_KNOWN_INSTANCE in answered


def test_every_status_of_a_performed_procedure_step_is_in_its_table() -> None:
    errors = (
        *(NotInLedger(""), DuplicateStep(""), MissingAttribute(""), EmptyAttribute(""), StepIsFinal("")),
        *(LedgerUnavailable(""), InvalidValue(""), _ANYTHING_ELSE),
    )
    section = _section("4.5 ")
    assert _codes(section) == {0x0000, mpps._INVALID_OBJECT_INSTANCE} | _refusals(errors, mpps._INVALID_ATTRIBUTE_VALUE)
    assert ", ".join(mpps._REQUIRED_TO_BEGIN) in section
    final: Dataset = refusal(StepIsFinal(""), 0)
    assert f"0x{final.Status:04X} | Processing failure | with Error ID 0x{final.ErrorID:04X}" in section


def test_every_rejection_of_an_association_is_in_its_table() -> None:
    rows = [row[:3] for row in _rows(_section("3.1 "), 4) if row[0] != "result"]
    stated = {tuple(int(cell.split()[0]) for cell in row) for row in rows}
    assert stated == {*_REJECTIONS.values(), _CALLING_NOT_RECOGNIZED}


def test_the_annexes_list_what_is_accepted() -> None:
    classes = [uid for name, uid in _rows(_section("Annex A"), 2) if name != "SOP class"]
    assert len(classes) == len(set(classes))
    assert set(classes) == set(storage_sop_classes())
    syntaxes = {uid for name, uid in _rows(_section("Annex B"), 2) if name != "transfer syntax"}
    assert syntaxes == set(ALL_TRANSFER_SYNTAXES)
    storage = [context for context in accepted_contexts() if context.abstract_syntax != VERIFICATION]
    assert {str(context.abstract_syntax) for context in storage} == set(classes)
    assert all(set(context.transfer_syntax or ()) == syntaxes for context in storage)


def test_the_contexts_of_the_other_services_are_stated() -> None:
    stated = {name.rpartition(", ")[2]: syntaxes.split(", ") for name, syntaxes, _role in _rows(_section("3.1 "), 3)}
    assert stated[VERIFICATION] == [UID(syntax).name for syntax in DEFAULT_TRANSFER_SYNTAXES]
    plain = [UID(syntax).name for syntax in plain_context(commitment.STORAGE_COMMITMENT).transfer_syntax or ()]
    assert stated[commitment.STORAGE_COMMITMENT] == stated[mpps.PERFORMED_PROCEDURE_STEP] == plain


def test_negotiation_is_answered_as_stated(scp: StorageSCP) -> None:
    entity = SendingEntity(ae_title="SCANNER")
    entity.add_requested_context(MR_IMAGE_STORAGE)
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked = window.maximum_number_operations_performed = 5
    user = UserIdentityNegotiation()
    user.user_identity_type, user.primary_field, user.positive_response_requested = 1, b"somebody", True
    extended = SOPClassExtendedNegotiation()
    extended.sop_class_uid, extended.service_class_application_information = MR_IMAGE_STORAGE, b"\x02\x00"
    association = entity.associate(
        "127.0.0.1",
        scp.port,
        ae_title="NODE",
        ext_neg=[build_role(MR_IMAGE_STORAGE, scu_role=True, scp_role=True), window, user, extended],
    )
    answer = association.acceptor
    assert association.is_established
    association.release()
    assert answer.maximum_length == 0
    assert f"| Implementation Class UID in associations | {answer.implementation_class_uid} " in STATEMENT
    assert f"| Implementation Version Name in associations | {answer.implementation_version_name} " in STATEMENT
    unanswered: tuple[type, ...] = (
        *(AsynchronousOperationsWindowNegotiation, UserIdentityNegotiation),
        *(SOPClassExtendedNegotiation, SCP_SCU_RoleSelectionNegotiation),
    )
    assert not [item for item in answer.user_information if isinstance(item, unanswered)]


def test_the_identification_is_what_files_carry() -> None:
    assert IMPLEMENTATION_CLASS_UID in STATEMENT
    assert IMPLEMENTATION_VERSION_NAME in STATEMENT


def test_every_setting_that_is_named_exists_and_has_the_default_that_is_told() -> None:
    told = re.findall(r"`([a-z_]+)` \(([0-9]+)(?: %| GiB)?\)", STATEMENT)
    assert {name for name, _value in told} == {
        *("quiet_seconds", "maximum_associations", "delivery_attempts", "maximum_instance_gib"),
        *("refuse_free_percent", "refuse_free_gib", "warn_free_percent", "warn_free_gib"),
    }
    for name, value in told:
        assert f"{Settings.model_fields[name].default:g}" == value, name
    for name in ("ae_title", "destinations", "unknown_peers", "keep_days", "make_room", "listeners", "dicom_port"):
        assert f"`{name}`" in STATEMENT
        assert name in Settings.model_fields
    assert Settings.model_fields["keep_days"].default is None


def test_every_command_that_is_named_exists() -> None:
    known = getattr(get_command(cli.app), "commands", {})
    named = set(re.findall(r"`dicomnode ([a-z]+)", STATEMENT))
    assert named <= set(known)
    assert {"quarantine", "reconcile", "retention", "peer", "refusals", "doctor", "send"} <= named


def test_every_resource_of_dicomweb_is_stated() -> None:
    archive = cast(Archive, None)
    services = {
        "6.1 ": store_routes(archive, cast(intake.Intake, None)),
        "6.2 ": search_routes(archive),
        "6.3 ": retrieve_routes(archive),
    }
    for heading, routes in services.items():
        told = set(re.findall(r"`(/[^`]*)`", _section(heading)))
        assert told == {route.path for route in routes}


@pytest.mark.parametrize(
    ("heading", "errors"),
    [
        ("6.1 ", (InvalidValue, NotAcceptable, ContentTooLarge, UnsupportedMedia, LedgerUnavailable, SpoolFull)),
        ("6.2 ", (InvalidValue, NotAcceptable, LedgerUnavailable)),
        ("6.3 ", (InvalidValue, NotInLedger, NotAcceptable, UnreadablePixels, LedgerUnavailable)),
    ],
)
def test_the_statuses_of_dicomweb_are_those_of_its_errors(heading: str, errors: Sequence[type[DicomnodeError]]) -> None:
    by_service = {"6.1 ": {intake._OK, intake._ACCEPTED, intake._CONFLICT, 403}, "6.2 ": {200, 204}, "6.3 ": {200}}
    stated = {int(code) for code, _when in _rows(_section(heading), 2) if code.isdigit()}
    assert stated == by_service[heading] | {error.http_status for error in errors}


def test_the_failure_reasons_of_stow_are_stated() -> None:
    reasons = {intake._PROCESSING_FAILURE, intake._SOP_CLASS_NOT_SUPPORTED, intake._SYNTAX_NOT_SUPPORTED}
    assert _codes(_section("6.1 ")) == reasons


@pytest.mark.parametrize(
    ("level", "tags"), [("study", STUDY_TAGS), ("series", SERIES_TAGS), ("instance", INSTANCE_TAGS)]
)
def test_the_attributes_of_searches_are_stated(level: str, tags: Sequence[str]) -> None:
    (names,) = (names for name, names in _rows(_section("6.2 "), 2) if name == level)
    assert tuple(tag_of(name) for name in names.split(", ")) == tuple(tags)


def test_the_character_sets_that_are_named_can_be_decoded() -> None:
    for _how, terms in _rows(_section("8 "), 2):
        assert [term for term in terms.split(", ") if term not in python_encoding and term != "defined terms"] == []


def test_the_cipher_suites_are_those_that_are_offered() -> None:
    (suites,) = (value for name, value in _rows(_section("9 "), 2) if name == "cipher suites of TLS 1.2")
    assert suites.split(", ") == tls._CIPHERS.split(":")
