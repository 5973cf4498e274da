"""The node's listener alone, for comparison with receivers that promise nothing: no sync, no row in a ledger.

It reads the header and computes the digest of every instance, as the node does, and names the file by it.
`python -m deploy.bench.listener PORT FOLDER PROCESSES` runs until it is told to end.
"""

import multiprocessing
import os
import secrets
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from dicomnode.dimse.storage_scp import Listening, StorageSCP
from dicomnode.domain.association import Association, OfferedInstance
from dicomnode.domain.door import Place, Refusal, Visitor
from dicomnode.domain.errors import DataSetMismatch, DicomnodeError, SpoolFull
from dicomnode.domain.ports import InstanceSink
from dicomnode.domain.study import InstanceHeader
from dicomnode.domain.uids import AETitle
from dicomnode.imaging.header_layout import HeaderLayouts
from dicomnode.imaging.headers import encode_file_meta, header_in_front, read_header
from dicomnode.spool.digest import Digest

_AE_TITLE = AETitle("BENCHSCP")


class OpenDoor:
    """Lets everyone in (domain.door.Doorkeeper)."""

    def admit(self, association: Association) -> Place | Refusal:
        """Let an association in."""
        return self

    def free(self) -> None:
        """Give a place back, of which there is no end (domain.door.Place)."""

    def turned_away(self, visitor: Visitor, refusal: Refusal) -> None:
        """Say on the log that somebody did not come in, because then there is nothing to measure."""
        sys.stderr.write(f"turned away: {refusal.said}\n")

    def heard(self, association: Association) -> None:
        """Let a C-ECHO pass."""


class UnsyncedReception:
    """Writes every instance into one folder and promises nothing (domain.ports.Reception)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._layouts = HeaderLayouts()

    def open(self, offered: OfferedInstance) -> "UnsyncedInstance":
        """Begin a file."""
        return UnsyncedInstance(self._folder, offered, self._layouts)

    def accept(self, sinks: Sequence[InstanceSink]) -> Sequence[DicomnodeError | None]:
        """Read each header, and give each file its name."""
        return [cast(UnsyncedInstance, sink).outcome() for sink in sinks]

    def refused(self, association: Association, reason: str) -> None:
        """Say on the log that somebody did not come in."""
        sys.stderr.write(f"turned away: {reason}\n")


class UnsyncedInstance:
    """One instance on its way into the folder, written as the spool writes it (domain.ports.InstanceSink)."""

    def __init__(self, folder: Path, offered: OfferedInstance, layouts: HeaderLayouts) -> None:
        self._offered = offered
        self._layouts = layouts
        self._folder = folder
        self._name = f"{folder}/{secrets.token_hex(16)}"
        self._front = encode_file_meta(offered)
        self._digest = Digest(self._front)
        self._header: InstanceHeader | None = None
        self._descriptor = os.open(self._name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)

    def write(self, *pieces: bytes | memoryview) -> None:
        """Append the next bytes of the data set."""
        for piece in pieces:
            self._digest.update(piece)
        if self._front:
            self._header = header_in_front(memoryview(pieces[0]), self._offered.transfer_syntax_uid, self._layouts)
            pieces, self._front = (self._front, *pieces), b""
        written = os.writev(self._descriptor, pieces)
        if written < sum(map(len, pieces)):
            raise SpoolFull("the disk took only a part of the bytes")

    def accept(self) -> None:
        """Give the file its name; raises MalformedInstance or DataSetMismatch."""
        header = self._header or read_header(Path(self._name))
        if header.sop_instance_uid != self._offered.sop_instance_uid:
            raise DataSetMismatch("the data set is another instance than was announced")
        self._close()
        os.rename(self._name, f"{self._folder}/{self._digest.hex()}.dcm")  # noqa: PTH104  as the spool does it

    def outcome(self) -> DicomnodeError | None:
        """Accept, and give the error as a value."""
        try:
            self.accept()
        except DicomnodeError as error:
            return error
        return None

    def discard(self) -> None:
        """Forget the bytes unless the file has its name."""
        if self._close():
            Path(self._name).unlink()

    def _close(self) -> bool:
        """Close the file; says whether it was open."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return False
        os.close(descriptor)
        return True


def listen(port: int, folder: Path, *, shared: bool) -> None:
    """Listen until this process is ended; several share the port when that is said."""
    listening = Listening(host="127.0.0.1", port=port, ae_title=_AE_TITLE, doorkeeper=OpenDoor(), reuse_port=shared)
    StorageSCP(listening, UnsyncedReception(folder)).start()
    signal.pause()


def _listen_as_one_of(port: int, folder: Path, processes: int) -> None:
    if processes == 1:
        listen(port, folder, shared=False)
    fresh = multiprocessing.get_context("spawn")
    children = [
        fresh.Process(target=listen, args=(port, folder), kwargs={"shared": True}, daemon=True)
        for _number in range(processes)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()


if __name__ == "__main__":
    _listen_as_one_of(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
