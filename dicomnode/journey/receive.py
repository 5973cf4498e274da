"""Receive: an instance becomes durable, is recorded, and only then acknowledged."""

import logging

from dicomnode.domain.association import Association, OfferedInstance
from dicomnode.domain.capacity import Capacity
from dicomnode.domain.errors import DataSetMismatch, MalformedInstance, SpoolFull
from dicomnode.domain.ports import Clock
from dicomnode.domain.study import InstanceHeader, ReceivedInstance
from dicomnode.imaging.headers import encode_file_meta, read_header
from dicomnode.ledger.reception import record_quarantined, record_received, record_refusal
from dicomnode.ledger.transaction import Ledger
from dicomnode.spool.store import Spool

_logger = logging.getLogger(__name__)


class Receiving:
    """The reception that every listener hands its instances to (domain.ports.Reception)."""

    def __init__(self, ledger: Ledger, spool: Spool, clock: Clock, capacity: Capacity | None = None) -> None:
        self._ledger = ledger
        self._spool = spool
        self._clock = clock
        self._capacity = capacity

    def open(self, offered: OfferedInstance) -> "IncomingInstance":
        """Begin a file for one instance; raises SpoolFull, also while what is left is kept for work under way."""
        congestion = self._capacity.congestion() if self._capacity else None
        if congestion is not None:
            raise SpoolFull(congestion)
        return IncomingInstance(self._ledger, self._spool, self._clock, offered)

    def refused(self, association: Association, reason: str) -> None:
        """Record that an association was turned away."""
        with self._ledger.transaction() as tx:
            record_refusal(tx, association, reason, self._clock.now())


class IncomingInstance:
    """One instance on its way in: first a file nobody knows, then durable and recorded, or nothing at all."""

    def __init__(self, ledger: Ledger, spool: Spool, clock: Clock, offered: OfferedInstance) -> None:
        self._ledger = ledger
        self._clock = clock
        self._offered = offered
        self._file = spool.begin()
        self._file.write(encode_file_meta(offered))

    def write(self, data: bytes | memoryview) -> None:
        """Append the next bytes of the data set; raises SpoolFull."""
        self._file.write(data)

    def accept(self) -> None:
        """Keep the file and record the instance; after this returns the sender may be told success.

        Raises MalformedInstance or DataSetMismatch (the bytes are then in quarantine), SpoolFull or LedgerUnavailable.
        """
        try:
            header = self._read_header()
        except MalformedInstance as error:
            self._quarantine(error)
            raise
        kept = self._file.keep()
        received = ReceivedInstance(
            header=header,
            transfer_syntax_uid=self._offered.transfer_syntax_uid,
            digest=kept.digest,
            size=kept.size,
            path=kept.path,
            association=self._offered.association,
            received_at=self._clock.now(),
        )
        with self._ledger.transaction() as tx:
            record_received(tx, received)

    def discard(self) -> None:
        """Forget the bytes unless they were kept."""
        self._file.discard()

    def _read_header(self) -> InstanceHeader:
        """Read the identifiers and hold them against what was announced; raises MalformedInstance, DataSetMismatch."""
        header = read_header(self._file.path)
        offered = self._offered
        if (header.sop_class_uid, header.sop_instance_uid) != (offered.sop_class_uid, offered.sop_instance_uid):
            raise DataSetMismatch("the data set is another instance than was announced")
        if offered.study_instance_uid not in (None, header.study_instance_uid):
            raise DataSetMismatch("the instance belongs to another study than the request names")
        return header

    def _quarantine(self, error: MalformedInstance) -> None:
        """Keep what cannot be placed, so that a person can look at it."""
        kept = self._file.keep("quarantine")
        with self._ledger.transaction() as tx:
            record_quarantined(
                tx,
                self._offered.association,
                self._offered.sop_instance_uid,
                (kept.path, kept.size),
                error.reason,
                self._clock.now(),
            )
        _logger.warning("instance %s kept in quarantine: %s", self._offered.sop_instance_uid, error.reason)
