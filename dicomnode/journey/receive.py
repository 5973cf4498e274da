"""Receive: instances become durable, are recorded, and only then acknowledged; those that end together, together."""

import logging
from collections.abc import Sequence
from typing import cast

from dicomnode.domain.association import OfferedInstance
from dicomnode.domain.capacity import Capacity
from dicomnode.domain.errors import (
    DataSetMismatch,
    DicomnodeError,
    InstanceTooLarge,
    LedgerUnavailable,
    MalformedInstance,
    SpoolFull,
)
from dicomnode.domain.ports import Clock, InstanceSink
from dicomnode.domain.study import InstanceHeader, ReceivedInstance
from dicomnode.imaging.header_layout import HeaderLayouts
from dicomnode.imaging.headers import encode_file_meta, header_in_front, read_header
from dicomnode.journey.sendings import Sendings
from dicomnode.ledger.reception import ReceptionLog, record_quarantined
from dicomnode.ledger.transaction import Ledger
from dicomnode.spool.store import Kept, Spool, SpoolFile

_logger = logging.getLogger(__name__)

_GROUP_OF_FILE_META = (b"\x02\x00", b"\x00\x02")
"""In both orders of bytes."""


class Receiving:
    """The reception that every listener hands its instances to (domain.ports.Reception)."""

    def __init__(
        self, ledger: Ledger, spool: Spool, clock: Clock, capacity: Capacity | None = None, largest: int | None = None
    ) -> None:
        """Take instances whose data sets have at most `largest` bytes; left out: of any length."""
        self._ledger = ledger
        self._log = ReceptionLog(ledger)
        self._largest = largest
        self.layouts = HeaderLayouts()
        self._spool = spool
        self._clock = clock
        self._capacity = capacity
        self.sendings: Sendings | None = None
        """Where it is noted over which associations a study comes; None: nobody notes it."""

    def open(self, offered: OfferedInstance) -> "IncomingInstance":
        """Begin a file for one instance; raises SpoolFull, also while what is left is kept for work under way."""
        congestion = self._capacity.congestion() if self._capacity else None
        if congestion is not None:
            raise SpoolFull(congestion)
        return IncomingInstance(self, self._spool.begin(encode_file_meta(offered)), offered, self._largest)

    def accept(self, sinks: Sequence[InstanceSink]) -> Sequence[DicomnodeError | None]:
        """Make instances durable together and record them in one transaction; None for each that may be acknowledged.

        What cannot be placed is kept in quarantine, and its error says so.
        """
        incoming = [cast(IncomingInstance, sink) for sink in sinks]  # `open` makes no others
        headers = [self._header(one) for one in incoming]
        readable = [one for one, header in zip(incoming, headers, strict=True) if isinstance(header, InstanceHeader)]
        kept = iter(self._spool.keep_together([one.file for one in readable]))
        outcomes = [
            self._received(one, header, next(kept)) if isinstance(header, InstanceHeader) else header
            for one, header in zip(incoming, headers, strict=True)
        ]
        failure = self._record([one for one in outcomes if isinstance(one, ReceivedInstance)])
        return [failure if isinstance(one, ReceivedInstance) else one for one in outcomes]

    def _header(self, incoming: "IncomingInstance") -> InstanceHeader | DicomnodeError:
        """Read the identifiers; where they do not place the instance, keep its bytes and say why."""
        try:
            return incoming.header()
        except MalformedInstance as error:
            try:
                self._quarantine(incoming, error.reason)
            except DicomnodeError as failure:
                return failure
            return error

    def _received(
        self, incoming: "IncomingInstance", header: InstanceHeader, kept: Kept | SpoolFull
    ) -> ReceivedInstance | SpoolFull:
        """Describe an instance whose file is durable."""
        if isinstance(kept, SpoolFull):
            return kept
        return ReceivedInstance(
            header=header,
            transfer_syntax_uid=incoming.offered.transfer_syntax_uid,
            digest=kept.digest,
            size=kept.size,
            path=kept.path,
            association=incoming.offered.association,
            received_at=self._clock.now(),
        )

    def _record(self, received: Sequence[ReceivedInstance]) -> LedgerUnavailable | None:
        """Record all of a batch, or none of it and say why."""
        try:
            self._log.record(received)
        except LedgerUnavailable as error:
            return error
        if self.sendings is not None:
            self.sendings.received(received)
        return None

    def _quarantine(self, incoming: "IncomingInstance", reason: str) -> None:
        """Keep what cannot be placed, so that a person can look at it; raises SpoolFull, LedgerUnavailable."""
        offered = incoming.offered
        kept = incoming.file.keep("quarantine")
        with self._ledger.transaction() as tx:
            record_quarantined(
                tx,
                offered.association,
                offered.sop_instance_uid,
                (kept.path, kept.size),
                reason,
                self._clock.now(),
            )
        _logger.warning("instance %s kept in quarantine: %s", offered.sop_instance_uid, reason)


class IncomingInstance:
    """One instance on its way in: first a file nobody knows, then durable and recorded, or nothing at all."""

    def __init__(
        self, receiving: Receiving, file: SpoolFile, offered: OfferedInstance, largest: int | None = None
    ) -> None:
        self._left = largest
        self._receiving = receiving
        self.file = file
        self.offered = offered
        self._front: InstanceHeader | None = None
        self._has_begun = self._begins_with_file_meta = False

    def write(self, *pieces: bytes | memoryview) -> None:
        """Append the next bytes of the data set; raises SpoolFull, InstanceTooLarge."""
        if self._left is not None:
            self._left -= sum(len(piece) for piece in pieces)
            if self._left < 0:
                raise InstanceTooLarge("the instance is larger than the largest that is taken")
        if not self._has_begun and pieces:
            self._has_begun = True
            # Behind the file meta information of this node it would be read as more of it (PS3.10 section 7.1).
            self._begins_with_file_meta = bytes(pieces[0][:2]) in _GROUP_OF_FILE_META
            self._front = header_in_front(
                memoryview(pieces[0]), self.offered.transfer_syntax_uid, self._receiving.layouts
            )
        self.file.write(*pieces)

    def accept(self) -> None:
        """Keep the file and record the instance; after this returns the sender may be told success.

        Raises MalformedInstance or DataSetMismatch (the bytes are then in quarantine), SpoolFull or LedgerUnavailable.
        """
        (error,) = self._receiving.accept((self,))
        if error is not None:
            raise error

    def discard(self) -> None:
        """Forget the bytes unless they were kept."""
        self.file.discard()

    def header(self) -> InstanceHeader:
        """Read the identifiers and hold them against what was announced; raises MalformedInstance, DataSetMismatch."""
        if self._begins_with_file_meta:
            raise MalformedInstance("the data set begins with file meta information (group 0002)")
        header = self._front or read_header(self.file.path)
        offered = self.offered
        if (header.sop_class_uid, header.sop_instance_uid) != (offered.sop_class_uid, offered.sop_instance_uid):
            raise DataSetMismatch("the data set is another instance than was announced")
        if offered.study_instance_uid not in (None, header.study_instance_uid):
            raise DataSetMismatch("the instance belongs to another study than the request names")
        return header
