"""A modality that asks for storage commitment, and listens for the reports as PS3.4 section J.3.3 wants it."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid
from pynetdicom import AE, evt
from pynetdicom.association import Association

from dicomnode.dimse.commitment import STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE
from tests.dimse.conftest import associate
from tests.dimse.instances import EXPLICIT_LITTLE_ENDIAN, MR_IMAGE_STORAGE
from tests.waiting import wait_for

IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"


def request(transaction: str | None, *instances: str, sop_class: str = MR_IMAGE_STORAGE, **attributes: Any) -> Dataset:
    """Write the action information of a request for these SOP Instance UIDs."""
    asked = Dataset()
    if transaction is not None:
        asked.TransactionUID = transaction
    asked.ReferencedSOPSequence = [_reference(sop_class, instance) for instance in instances]
    return asked


def _reference(sop_class: str, instance: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
    return item


def ask(
    port: int,
    asked: Dataset | None,
    *,
    action: int = 1,
    instance: str = WELL_KNOWN_INSTANCE,
    calling: str = "SCANNER",
    called: str = "NODE",
) -> Dataset:
    """Send one N-ACTION over an association of its own, and give the status of the answer."""
    kind = (STORAGE_COMMITMENT, [EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN])
    association = associate(port, kind, calling=calling, called=called)
    assert association.is_established
    status, _reply = association.send_n_action(asked, action, STORAGE_COMMITMENT, UID(instance))
    association.release()
    return status


class Modality:
    """The end that reports are sent to; it answers them with a status, after some seconds."""

    def __init__(self, title: str = "SCANNER", *, negotiates_roles: bool = True) -> None:
        self.title = title
        self.status = 0x0000
        self.silent_seconds = 0.0
        self.reports: list[tuple[int, Dataset]] = []
        self.roles: list[tuple[bool, bool] | None] = []
        self._awake = threading.Event()
        self._entity = AE(ae_title=title)
        self._entity.require_called_aet = True
        role = {"scu_role": False, "scp_role": True} if negotiates_roles else {}
        self._entity.add_supported_context(STORAGE_COMMITMENT, **role)  # type: ignore[arg-type]
        self._server: Any = None

    @contextmanager
    def listening(self, port: int = 0) -> Iterator["Modality"]:
        self._server = self._entity.start_server(
            ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._take)]
        )
        try:
            yield self
        finally:
            self._awake.set()
            self._entity.shutdown()

    @property
    def port(self) -> int:
        return int(self._server.socket.getsockname()[1])

    def report(self) -> tuple[int, Dataset]:
        """Wait for the first report and give its event type and information."""
        return wait_for(lambda: self.reports)[0]

    def _take(self, event: evt.Event) -> tuple[int, None]:
        self._awake.wait(self.silent_seconds)
        proposed = _proposed_role(event.assoc)
        self.roles.append(proposed)
        self.reports.append((int(event.event_type or 0), event.event_information))
        return self.status, None


def _proposed_role(association: Association) -> tuple[bool, bool] | None:
    """Read which roles (SCU, SCP) the other end asked for."""
    found = association.requestor.role_selection.get(UID(STORAGE_COMMITMENT))
    return None if found is None else (bool(found.scu_role), bool(found.scp_role))


def named(items: Sequence[Dataset] | None) -> list[str]:
    """List the SOP Instance UIDs of a sequence of references."""
    return [str(item.ReferencedSOPInstanceUID) for item in items or ()]


def new_transaction() -> str:
    return str(generate_uid())
