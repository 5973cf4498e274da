"""Index: the header of every instance is read once, after it was acknowledged, and kept in the ledger.

Lists, metadata and rules find it there. What they need before the index has come to it is read at once and kept too.
"""

import json
import zlib
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import cast

from dicomnode.domain.archive import DicomJson
from dicomnode.domain.errors import DicomnodeError, LedgerUnavailable, MalformedInstance, NotInLedger
from dicomnode.domain.ports import Clock
from dicomnode.domain.study import StoredInstance
from dicomnode.imaging.dicom_json import read_json
from dicomnode.journey.listing import SUMMARY_TAGS, only
from dicomnode.ledger.headers import (
    KeptHeader,
    keep_headers,
    kept_documents,
    last_before,
    last_received_at,
    unread_instances,
)
from dicomnode.ledger.search import ListedInstance
from dicomnode.ledger.transaction import Ledger
from dicomnode.spool.store import Spool

_IN_A_TRANSACTION = 50
_AT_REST, _WHILE_RECEIVING = 500, 50
"""How many headers one pass reads; while instances come in, the disk and the processor are theirs."""
_RECENTLY = timedelta(seconds=2)
_SETTLED = timedelta(minutes=2)
"""A row that is older than this was committed before any row that is still to come."""
_FAST = 1
"""zlib's level: the others take twice the time to save a tenth of the room."""

_Read = DicomJson | MalformedInstance | NotInLedger


class HeaderIndex:
    """Gives the headers of instances in use: from the ledger, or else from their files."""

    def __init__(self, ledger: Ledger, spool: Spool) -> None:
        self._ledger = ledger
        self._spool = spool

    def whole(self, instances: Sequence[StoredInstance]) -> list[DicomJson]:
        """Give the whole headers of instances; raises MalformedInstance when one cannot be read."""
        return [_or_raise(header) for header in self._whole(instances)]

    def readable(self, instances: Sequence[StoredInstance]) -> list[DicomJson]:
        """Give the whole headers of instances for a list; an empty one where it cannot be read."""
        return [_or_nothing(header) for header in self._whole(instances)]

    def summaries(self, listed: Sequence[ListedInstance]) -> list[DicomJson]:
        """Give what lists tell of instances; an empty header where it cannot be read."""
        read = {one.instance.path: read_header_of(self._spool, one.instance) for one in listed if one.summary is None}
        self._keep([one.instance for one in listed], read)
        return [
            cast(DicomJson, json.loads(one.summary)) if one.summary else _summary(_or_nothing(read[one.instance.path]))
            for one in listed
        ]

    def _whole(self, instances: Sequence[StoredInstance]) -> list[_Read]:
        with self._ledger.transaction() as tx:
            kept = kept_documents(tx, [instance.sop_instance_uid for instance in instances])
        unread = [instance for instance in instances if instance.sop_instance_uid not in kept]
        read = {instance.path: read_header_of(self._spool, instance) for instance in unread}
        self._keep(unread, read)
        return [
            _decoded(kept[one.sop_instance_uid]) if one.sop_instance_uid in kept else read[one.path]
            for one in instances
        ]

    def _keep(self, instances: Sequence[StoredInstance], read: dict[str, _Read]) -> None:
        """Keep what was read; a question is answered all the same when the ledger takes no change now."""
        if read:
            with suppress(LedgerUnavailable), self._ledger.transaction() as tx:
                keep_headers(tx, [(one, encoded(read[one.path])) for one in instances if one.path in read])


class Indexing:
    """Reads the headers of what came in, a little at a time; any number of processes may run one."""

    def __init__(self, ledger: Ledger, spool: Spool, clock: Clock) -> None:
        self._ledger = ledger
        self._spool = spool
        self._clock = clock
        self._done = 0

    def sweep(self) -> int:
        """Read headers that are not kept yet, up to a bound, and tell how many; raises LedgerUnavailable."""
        bound = _WHILE_RECEIVING if self._is_receiving() else _AT_REST
        read, some = 0, _IN_A_TRANSACTION
        while some == _IN_A_TRANSACTION and read < bound:
            some = self._read_some()
            read += some
        return read

    def _is_receiving(self) -> bool:
        with self._ledger.transaction() as tx:
            latest = last_received_at(tx)
        return latest is not None and self._clock.now() - latest < _RECENTLY

    def _read_some(self) -> int:
        with self._ledger.transaction() as tx:
            settled = last_before(tx, self._clock.now() - _SETTLED)
            unread = unread_instances(tx, self._done, _IN_A_TRANSACTION)
            keep_headers(tx, [(one, encoded(read_header_of(self._spool, one))) for one in unread.values()])
        reached = max(unread) if len(unread) == _IN_A_TRANSACTION else settled
        # Rows up to here are not looked at again: over a ledger that has grown for years, looking takes its time.
        self._done = max(self._done, min(reached, settled))
        return len(unread)


def read_header_of(spool: Spool, instance: StoredInstance) -> _Read:
    """Read the header from an instance's file, or find out why it cannot be read."""
    try:
        return read_json(spool.locate(instance.path))
    except (MalformedInstance, NotInLedger) as error:
        return error


def encoded(read: _Read) -> KeptHeader:
    """Write what was read as it is kept; that a file cannot be read is noted, so that it is not tried for ever."""
    if isinstance(read, DicomnodeError):
        return KeptHeader(problem=read.reason)
    document = zlib.compress(json.dumps(read, separators=(",", ":")).encode("ascii"), _FAST)
    return KeptHeader(summary=json.dumps(_summary(read), separators=(",", ":")), document=document)


def _summary(header: DicomJson) -> DicomJson:
    return only(header, SUMMARY_TAGS)


def _decoded(document: bytes) -> DicomJson:
    return cast(DicomJson, json.loads(zlib.decompress(document)))


def _or_raise(read: _Read) -> DicomJson:
    if isinstance(read, DicomnodeError):
        raise read
    return read


def _or_nothing(read: _Read) -> DicomJson:
    return {} if isinstance(read, DicomnodeError) else read
