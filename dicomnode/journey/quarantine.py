"""What a person can do with an instance in quarantine: look, release it into the journey, or discard it."""

from pathlib import Path

from dicomnode.domain.association import Association
from dicomnode.domain.errors import DataSetMismatch, DicomnodeError, NotInLedger
from dicomnode.domain.ports import Clock
from dicomnode.domain.study import ReceivedInstance
from dicomnode.domain.uids import AETitle
from dicomnode.imaging.file_meta import read_file_meta
from dicomnode.imaging.headers import read_header
from dicomnode.ledger.quarantine import Quarantined, find_quarantined, forget_quarantined, list_quarantined
from dicomnode.ledger.reception import record_received
from dicomnode.ledger.timeline import write_event
from dicomnode.ledger.transaction import Ledger
from dicomnode.spool.inventory import INSTANCES, QUARANTINE, digest_in_name, in_room, move
from dicomnode.spool.store import Spool

_UNKNOWN = AETitle("UNKNOWN")
_STEP = "quarantine"
_NO_STUDY = ""
"""The study of an event about bytes that name none."""


class Quarantine:
    """The operator's verbs for what was refused but kept; each leaves an event in the ledger."""

    def __init__(self, ledger: Ledger, spool: Spool, clock: Clock, called_ae: AETitle) -> None:
        self._ledger = ledger
        self._spool = spool
        self._clock = clock
        self._called_ae = called_ae

    def entries(self) -> tuple[Quarantined, ...]:
        """List what is in quarantine, the oldest first."""
        with self._ledger.transaction() as tx:
            return list_quarantined(tx)

    def find(self, entry_id: int) -> Quarantined:
        """Read one entry; raises NotInLedger."""
        with self._ledger.transaction() as tx:
            return find_quarantined(tx, entry_id)

    def obstacle(self, entry: Quarantined) -> str | None:
        """Say why an entry could not be released now; None when it could."""
        try:
            self._read(entry)
        except DicomnodeError as error:
            return error.reason
        return None

    def release(self, entry_id: int) -> str:
        """Record an entry as if its sender had sent it now.

        Raises NotInLedger, or MalformedInstance and DataSetMismatch where it still cannot be placed: it then stays.
        """
        entry = self.find(entry_id)
        received = self._read(entry)
        move(self._spool, entry.path, INSTANCES)
        try:
            return self._record(entry, received)
        except DicomnodeError:
            move(self._spool, received.path, QUARANTINE)
            raise

    def discard(self, entry_id: int, reason: str) -> str:
        """Delete an entry for good; who, what and why stay in the ledger. Raises NotInLedger."""
        entry = self.find(entry_id)
        what = f"instance {entry.sop_instance_uid}" if entry.sop_instance_uid else "a file that names no instance"
        said = f"An operator discarded {what} from quarantine: {reason}"
        study, detail = self._study(entry), {**_evidence(entry), "reason": reason}
        with self._ledger.transaction() as tx:
            forget_quarantined(tx, entry.path)
            now = self._clock.now()
            write_event(tx, study, at=now, step=_STEP, state="discarded", text=said, detail=detail)
        # Last, so that no file is ever gone without the line that says why.
        self._spool.locate(entry.path).unlink(missing_ok=True)
        return said

    def _record(self, entry: Quarantined, received: ReceivedInstance) -> str:
        """Record the instance and take it off the list, all at once."""
        uid = received.header.sop_instance_uid
        with self._ledger.transaction() as tx:
            is_new = record_received(tx, received)
            forget_quarantined(tx, entry.path)
            news = "It is in use now." if is_new else "Its SOP Instance UID was known already; nothing else changed."
            said = f"An operator released instance {uid} from quarantine (kept because: {entry.reason}). {news}"
            write_event(
                tx,
                received.header.study_instance_uid,
                at=self._clock.now(),
                step=_STEP,
                state="done",
                text=said,
                detail=_evidence(entry),
            )
        return said

    def _read(self, entry: Quarantined) -> ReceivedInstance:
        """Read the instance as the receive step would; raises MalformedInstance, DataSetMismatch, NotInLedger."""
        file = self._file(entry)
        meta, header = read_file_meta(file), read_header(file)
        if (header.sop_class_uid, header.sop_instance_uid) != (meta.sop_class_uid, meta.sop_instance_uid):
            raise DataSetMismatch("the data set is another instance than was announced")
        return ReceivedInstance(
            header=header,
            transfer_syntax_uid=meta.transfer_syntax_uid,
            digest=digest_in_name(entry.path),
            size=entry.size,
            path=in_room(entry.path, INSTANCES),
            association=Association(
                calling_ae=AETitle(entry.calling_ae) if entry.calling_ae else _UNKNOWN,
                called_ae=self._called_ae,
                peer_address=entry.peer_address or "unknown",
            ),
            received_at=self._clock.now(),
        )

    def _file(self, entry: Quarantined) -> Path:
        """Find the file of an entry; raises NotInLedger when it is gone."""
        file = self._spool.locate(entry.path)
        if not file.is_file():
            raise NotInLedger("the file is no longer in the spool")
        return file

    def _study(self, entry: Quarantined) -> str:
        """Find the study that an event about an entry belongs to, where its bytes name one."""
        try:
            return read_header(self._file(entry)).study_instance_uid
        except DicomnodeError:
            return _NO_STUDY


def _evidence(entry: Quarantined) -> dict[str, str | int]:
    """What an event keeps of an entry that is no longer on the list."""
    return {
        "by": "operator",
        "digest": digest_in_name(entry.path),
        "size": entry.size,
        "sender": entry.calling_ae,
        "quarantined_at": entry.at.isoformat(),
        "quarantined_because": entry.reason,
    }
