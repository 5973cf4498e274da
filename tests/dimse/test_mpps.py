"""Performed procedure steps: what a modality must say is asked for, what it says is handed over whole."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_CREATE
from pynetdicom.dsutils import encode

from dicomnode.dimse.mpps import PERFORMED_PROCEDURE_STEP, PerformedStepSCP
from dicomnode.dimse.storage_scp import StorageSCP
from dicomnode.domain.errors import DicomnodeError, DuplicateStep, LedgerUnavailable, NotInLedger, StepIsFinal
from dicomnode.domain.mpps import PerformedStep, StepChange, StepState
from tests.dimse.conftest import associate
from tests.dimse.instances import EXPLICIT_LITTLE_ENDIAN
from tests.dimse.porter import listening_at
from tests.dimse.shelf import Shelf
from tests.dimse.step_data_sets import PATIENT, STEP, a_series_item, an_end, begun

IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"


class StepBook:
    """Keeps what is said of steps (domain.mpps.PerformedSteps), or fails as a test wants it to."""

    def __init__(self) -> None:
        self.begun: list[PerformedStep] = []
        self.changes: list[StepChange] = []
        self.fails: DicomnodeError | None = None

    def begin(self, step: PerformedStep) -> None:
        self._fail()
        self.begun.append(step)

    def change(self, change: StepChange) -> None:
        self._fail()
        self.changes.append(change)

    def _fail(self) -> None:
        if self.fails is not None:
            raise self.fails


@pytest.fixture(scope="module")
def lasting_book() -> StepBook:
    return StepBook()


@pytest.fixture(scope="module")
def port(lasting_book: StepBook) -> Iterator[int]:
    scp = StorageSCP(listening_at(), Shelf(), [PerformedStepSCP(lasting_book)])
    scp.start()
    yield scp.port
    scp.stop()


@pytest.fixture
def book(lasting_book: StepBook) -> StepBook:
    lasting_book.begun.clear()
    lasting_book.changes.clear()
    lasting_book.fails = None
    return lasting_book


def _say(port: int, verb: str, said: Dataset | None, instance: str | None = STEP, syntax: str = "") -> Dataset:
    """Send one N-CREATE or N-SET over an association of its own, and give the status of the answer."""
    association = associate(port, (PERFORMED_PROCEDURE_STEP, syntax or [IMPLICIT_LITTLE_ENDIAN]), calling="MR-1")
    assert association.is_established
    named = None if instance is None else UID(instance)
    if verb == "create":
        status, _ = association.send_n_create(said, PERFORMED_PROCEDURE_STEP, named)
    else:
        assert said is not None
        assert named is not None
        status, _ = association.send_n_set(said, PERFORMED_PROCEDURE_STEP, named)
    association.release()
    return status


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN])
def test_a_step_that_begins_is_handed_over_whole(book: StepBook, port: int, syntax: str) -> None:
    assert _say(port, "create", begun("1.2.3", "1.2.4", "1.2.3"), syntax=syntax).Status == 0x0000

    (step,) = book.begun
    assert (step.sop_instance_uid, step.state, step.series) == (STEP, StepState.IN_PROGRESS, ())
    assert step.study_instance_uids == ("1.2.3", "1.2.4")
    assert (step.association.calling_ae, step.association.peer_address) == ("MR-1", "127.0.0.1")
    assert step.attributes["00100010"]["Value"] == [{"Alphabetic": PATIENT}]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"PerformedProcedureStepStatus": "COMPLETED"}, 0x0106),
        ({"PerformedProcedureStepStatus": "SCHEDULED"}, 0x0106),
        ({"PerformedProcedureStepStatus": ""}, 0x0121),
        ({"PerformedProcedureStepStatus": None}, 0x0120),
        ({"Modality": None}, 0x0120),
        ({"Modality": ""}, 0x0121),
        ({"PerformedStationAETitle": None}, 0x0120),
        ({"PerformedProcedureStepStartDate": None}, 0x0120),
        ({"ScheduledStepAttributesSequence": None}, 0x0120),
        ({"ScheduledStepAttributesSequence": []}, 0x0121),
        ({"ScheduledStepAttributesSequence": [Dataset()]}, 0x0120),
        ({"PerformedSeriesSequence": [Dataset()]}, 0x0106),
    ],
    ids=str,
)
def test_a_step_that_does_not_begin_as_it_must_is_refused(
    book: StepBook, port: int, change: dict[str, Any], status: int
) -> None:
    answer = _say(port, "create", begun("1.2.3", **change))
    assert answer.Status == status
    assert book.begun == []


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI", "ignore:The value length")
def test_a_malformed_study_uid_is_an_invalid_value(book: StepBook, port: int) -> None:
    answer = _say(port, "create", begun("1.2." + "3" * 61))
    assert answer.Status == 0x0106
    assert "3333" not in answer.ErrorComment
    assert book.begun == []


def test_a_step_without_a_name_is_refused(book: StepBook, port: int) -> None:
    assert _say(port, "create", begun("1.2.3"), None).Status == 0x0117
    assert _say(port, "create", None).Status == 0x0120
    assert book.begun == []


def test_a_change_says_only_what_it_says(book: StepBook, port: int) -> None:
    said = Dataset()
    said.PerformedProcedureStepDescription = "head"
    assert _say(port, "set", said).Status == 0x0000

    (change,) = book.changes
    assert (change.sop_instance_uid, change.state, change.series) == (STEP, None, None)
    assert change.attributes == {"00400254": {"vr": "LO", "Value": ["head"]}}


def test_what_is_no_number_becomes_a_text(book: StepBook, port: int) -> None:
    """PostgreSQL refuses JSON with NaN in it."""
    said = Dataset()
    said.TotalTimeOfFluoroscopy, said.CTDIvol = 5, float("nan")
    assert _say(port, "set", said).Status == 0x0000
    (change,) = book.changes
    assert change.attributes["00189345"] == {"vr": "FD", "Value": ["NaN"]}
    assert change.attributes["00400300"] == {"vr": "US", "Value": [5]}


@pytest.mark.parametrize("state", ["COMPLETED", "DISCONTINUED"])
def test_the_end_of_a_step_names_what_was_made(book: StepBook, port: int, state: str) -> None:
    made = [a_series_item("1.2.5", ["1.2.5.1", "1.2.5.2"], others=["1.2.5.9"]), a_series_item("1.2.6", [])]
    assert _say(port, "set", an_end(state, made)).Status == 0x0000

    (change,) = book.changes
    assert change.state == state
    assert change.series is not None
    assert [(one.series_instance_uid, one.sop_instance_uids) for one in change.series] == [
        ("1.2.5", ("1.2.5.1", "1.2.5.2", "1.2.5.9")),
        ("1.2.6", ()),
    ]


def test_a_state_that_does_not_exist_is_an_invalid_value(book: StepBook, port: int) -> None:
    assert _say(port, "set", an_end("FINISHED", [])).Status == 0x0106
    assert book.changes == []


@pytest.mark.parametrize(
    ("verb", "error", "status"),
    [
        ("create", DuplicateStep("begun already"), 0x0111),
        ("create", LedgerUnavailable("the database is down"), 0x0213),
        ("set", NotInLedger("no such step"), 0x0112),
        ("set", StepIsFinal("may no longer be updated"), 0x0110),
    ],
)
def test_what_cannot_be_recorded_is_refused_with_the_reason(
    book: StepBook, port: int, verb: str, error: DicomnodeError, status: int
) -> None:
    book.fails = error
    answer = _say(port, verb, begun("1.2.3"))
    assert (answer.Status, answer.ErrorComment) == (status, error.reason)
    assert answer.get("ErrorID") == (0xA506 if isinstance(error, StepIsFinal) else None)


@pytest.fixture(scope="module")
def lasting_association(port: int) -> Iterator[Association]:
    association = associate(port, (PERFORMED_PROCEDURE_STEP, EXPLICIT_LITTLE_ENDIAN), calling="MR-1")
    yield association
    association.release()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.filterwarnings("ignore")
def test_damaged_bytes_are_refused_without_a_word_of_them(
    book: StepBook, lasting_association: Association, data: st.DataObject
) -> None:
    encoded = encode(begun("1.2.3"), False, True)
    assert encoded is not None
    place = data.draw(st.integers(0, len(encoded) - 1))
    damage = data.draw(st.binary(min_size=1, max_size=8))
    damaged = encoded[:place] + damage + encoded[place + len(damage) :]

    answer = _create(lasting_association, damaged)
    assert lasting_association.is_established
    assert answer.Status in (0x0000, 0x0106, 0x0120, 0x0121)
    assert answer.Status == 0x0000 or len(book.begun) == 0
    assert "Testperson" not in str(answer.ErrorComment)
    book.begun.clear()


def _create(association: Association, attribute_list: bytes) -> N_CREATE:
    """Send an N-CREATE with any bytes as its attribute list, and give the answer."""
    asked = N_CREATE()
    asked.MessageID, asked.AffectedSOPClassUID, asked.AffectedSOPInstanceUID = 1, PERFORMED_PROCEDURE_STEP, STEP
    asked.AttributeList = BytesIO(attribute_list)
    association._reactor_checkpoint.clear()
    context_id = association.accepted_contexts[0].context_id
    assert context_id is not None
    association.dimse.send_msg(asked, context_id)
    _context, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    assert isinstance(answer, N_CREATE)
    return answer
