"""Storage commitment: requests are recorded before they are answered, reports go out with the role of the SCP."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import UID
from pynetdicom import AE

from dicomnode.dimse.commitment import (
    STORAGE_COMMITMENT,
    WELL_KNOWN_INSTANCE,
    CommitmentReportSender,
    StorageCommitmentSCP,
)
from dicomnode.dimse.storage_scp import StorageSCP
from dicomnode.domain.commitment import (
    CommitmentReport,
    CommitmentRequest,
    FailedReference,
    FailureReason,
    InstanceReference,
    TransactionUID,
)
from dicomnode.domain.delivery import Endpoint
from dicomnode.domain.errors import (
    DestinationRefused,
    DestinationUnreachable,
    DicomnodeError,
    DuplicateTransaction,
    LedgerUnavailable,
    PeerUnknown,
)
from dicomnode.domain.uids import AETitle, SOPClassUID, SOPInstanceUID
from tests.dimse.commitment_peer import Modality, ask, named, request
from tests.dimse.conftest import NODE, associate
from tests.dimse.instances import EXPLICIT_LITTLE_ENDIAN, MR_IMAGE_STORAGE, series_files
from tests.dimse.porter import listening_at
from tests.dimse.shelf import Shelf
from tests.nodes import free_port

TRANSACTION = "1.2.826.1.77"


class Desk:
    """Keeps what is asked for (domain.commitment.CommitmentRequests), or fails as a test wants it to."""

    def __init__(self) -> None:
        self.accepted: list[CommitmentRequest] = []
        self.fails: DicomnodeError | None = None

    def accept(self, request: CommitmentRequest) -> None:
        if self.fails is not None:
            raise self.fails
        self.accepted.append(request)


@pytest.fixture(scope="module")
def lasting_desk() -> Desk:
    return Desk()


@pytest.fixture(scope="module")
def port(lasting_desk: Desk) -> Iterator[int]:
    scp = StorageSCP(listening_at(), Shelf(), [StorageCommitmentSCP(lasting_desk)])
    scp.start()
    yield scp.port
    scp.stop()


@pytest.fixture
def desk(lasting_desk: Desk) -> Desk:
    lasting_desk.accepted.clear()
    lasting_desk.fails = None
    return lasting_desk


def a_report(*failed: FailureReason) -> CommitmentReport:
    """Build a report of two instances that are kept, and one that failed for each reason."""
    references = [
        InstanceReference(sop_class_uid=SOPClassUID(MR_IMAGE_STORAGE), sop_instance_uid=SOPInstanceUID(f"1.2.{number}"))
        for number in range(2 + len(failed))
    ]
    return CommitmentReport(
        transaction_uid=TransactionUID(TRANSACTION),
        committed=tuple(references[:2]),
        failed=tuple(
            FailedReference(reference=reference, reason=reason)
            for reference, reason in zip(references[2:], failed, strict=True)
        ),
    )


def endpoint(port: int, title: str = "SCANNER") -> Endpoint:
    return Endpoint(name=title, ae_title=AETitle(title), host="127.0.0.1", port=port)


def sender(timeout_seconds: float = 30) -> CommitmentReportSender:
    return CommitmentReportSender(NODE, timeout_seconds)


def test_a_request_is_handed_over_whole(desk: Desk, port: int) -> None:
    status = ask(port, request(TRANSACTION, "1.2.3", "1.2.4"), calling="CT-1")

    assert status.Status == 0x0000
    (asked,) = desk.accepted
    assert asked.transaction_uid == TRANSACTION
    assert (asked.association.calling_ae, asked.association.called_ae) == ("CT-1", "NODE")
    assert asked.association.peer_address == "127.0.0.1"
    assert [(one.sop_class_uid, one.sop_instance_uid) for one in asked.references] == [
        (MR_IMAGE_STORAGE, "1.2.3"),
        (MR_IMAGE_STORAGE, "1.2.4"),
    ]


@pytest.mark.parametrize(
    ("transaction", "instances", "sop_class"),
    [
        (None, ["1.2.3"], MR_IMAGE_STORAGE),
        ("", ["1.2.3"], MR_IMAGE_STORAGE),
        ("1.2." + "3" * 61, ["1.2.3"], MR_IMAGE_STORAGE),
        (TRANSACTION, [], MR_IMAGE_STORAGE),
        (TRANSACTION, ["1.2.3", ""], MR_IMAGE_STORAGE),
        (TRANSACTION, ["1.2.3"], ""),
    ],
    ids=["no transaction", "empty transaction", "long transaction", "nothing", "no UID", "no class"],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI", "ignore:The value length")
def test_a_request_that_cannot_be_understood_is_refused(
    desk: Desk, port: int, transaction: str | None, instances: list[str], sop_class: str
) -> None:
    answer = ask(port, request(transaction, *instances, sop_class=sop_class))
    assert answer.Status == 0x0115
    assert desk.accepted == []


def test_references_that_are_no_items_are_refused(desk: Desk, port: int) -> None:
    asked = request(TRANSACTION)
    del asked.ReferencedSOPSequence
    asked.add_new("ReferencedSOPSequence", "US", [1, 2])
    assert ask(port, asked).Status == 0x0115
    assert desk.accepted == []


def test_a_request_without_a_data_set_is_refused(desk: Desk, port: int) -> None:
    assert ask(port, None).Status == 0x0115
    assert desk.accepted == []


def test_other_actions_and_other_instances_are_not_offered(desk: Desk, port: int) -> None:
    assert ask(port, request(TRANSACTION, "1.2.3"), action=2).Status == 0x0123
    assert ask(port, request(TRANSACTION, "1.2.3"), instance="1.2.840.10008.1.20.1.2").Status == 0x0112
    assert desk.accepted == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (DuplicateTransaction("in use"), 0x0131),
        (PeerUnknown("no address"), 0x0124),
        (LedgerUnavailable("the database is down"), 0x0213),
    ],
)
def test_what_cannot_be_recorded_is_refused_with_the_reason(
    desk: Desk, port: int, error: DicomnodeError, status: int
) -> None:
    desk.fails = error
    answer = ask(port, request(TRANSACTION, "1.2.3"))
    assert (answer.Status, answer.ErrorComment) == (status, error.reason)


def test_storing_and_asking_go_over_one_association(desk: Desk, port: int, tmp_path: Path) -> None:
    association = associate(
        port, (MR_IMAGE_STORAGE, EXPLICIT_LITTLE_ENDIAN), (STORAGE_COMMITMENT, EXPLICIT_LITTLE_ENDIAN)
    )
    (item,) = series_files(tmp_path, 1)
    assert association.send_c_store(Path(item.file)).Status == 0x0000
    status, _ = association.send_n_action(
        request(TRANSACTION, item.sop_instance_uid), 1, STORAGE_COMMITMENT, UID(WELL_KNOWN_INSTANCE)
    )
    association.release()
    assert status.Status == 0x0000
    assert [one.sop_instance_uid for one in desk.accepted[0].references] == [item.sop_instance_uid]


@pytest.mark.parametrize("negotiates", [True, False])
def test_a_report_goes_to_a_peer_whether_or_not_it_negotiates_roles(negotiates: bool) -> None:
    with Modality(negotiates_roles=negotiates).listening() as modality:
        sender().report(endpoint(modality.port), a_report())

    event_type, information = modality.report()
    assert event_type == 1
    assert information.TransactionUID == TRANSACTION
    assert named(information.ReferencedSOPSequence) == ["1.2.0", "1.2.1"]
    assert information.ReferencedSOPSequence[0].ReferencedSOPClassUID == MR_IMAGE_STORAGE
    assert "FailedSOPSequence" not in information
    assert modality.roles == [(False, True)]


def test_a_report_names_each_failure_with_its_reason() -> None:
    with Modality().listening() as modality:
        sender().report(
            endpoint(modality.port),
            a_report(FailureReason.NO_SUCH_INSTANCE, FailureReason.CLASS_INSTANCE_CONFLICT),
        )

    event_type, information = modality.report()
    assert event_type == 2
    assert named(information.ReferencedSOPSequence) == ["1.2.0", "1.2.1"]
    assert named(information.FailedSOPSequence) == ["1.2.2", "1.2.3"]
    assert [item.FailureReason for item in information.FailedSOPSequence] == [0x0112, 0x0119]


@pytest.mark.parametrize(
    ("status", "error"),
    [(0x0213, DestinationUnreachable), (0x0110, DestinationUnreachable), (0x0112, DestinationRefused)],
)
def test_a_report_that_is_answered_with_a_failure_is_not_told(status: int, error: type[DicomnodeError]) -> None:
    with Modality().listening() as modality:
        modality.status = status
        with pytest.raises(error, match=f"0x{status:04X}"):
            sender().report(endpoint(modality.port), a_report())


def test_a_peer_that_says_nothing_is_tried_again() -> None:
    with Modality().listening() as modality:
        modality.silent_seconds = 20
        with pytest.raises(DestinationUnreachable, match="did not answer"):
            sender(0.5).report(endpoint(modality.port), a_report())


def test_a_peer_that_does_not_listen_is_tried_again() -> None:
    with pytest.raises(DestinationUnreachable, match="does not answer"):
        sender(5).report(endpoint(free_port()), a_report())


def test_a_host_that_nobody_knows_is_tried_again() -> None:
    where = Endpoint(name="SCANNER", ae_title=AETitle("SCANNER"), host="no-such-host.invalid", port=104)
    with pytest.raises(DestinationUnreachable, match="no address"):
        sender(5).report(where, a_report())


def test_a_peer_of_another_name_is_left_to_a_person() -> None:
    with (
        Modality("OTHER").listening() as modality,
        pytest.raises(DestinationRefused, match="did not let NODE in: rejected for good"),
    ):
        sender().report(endpoint(modality.port), a_report())


def test_a_peer_that_takes_no_reports_is_left_to_a_person() -> None:
    entity = AE(ae_title="SCANNER")
    entity.add_supported_context(MR_IMAGE_STORAGE)
    server = entity.start_server(("127.0.0.1", 0), block=False)
    assert server is not None
    assert server.socket is not None
    try:
        with pytest.raises(DestinationRefused, match="takes no reports"):
            sender().report(endpoint(server.socket.getsockname()[1]), a_report())
    finally:
        entity.shutdown()
