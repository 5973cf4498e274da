"""Senders that never give up: each instance is sent again and again until it is acknowledged."""

import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from itertools import count
from pathlib import Path

from pydicom.uid import UID, ExplicitVRLittleEndian

from dicomnode.dimse.storage_scu import StorageSCU
from dicomnode.domain.delivery import Endpoint, OutgoingInstance
from dicomnode.domain.errors import DeliveryError
from dicomnode.domain.uids import AETitle, SOPClassUID, SOPInstanceUID, TransferSyntaxUID
from tests.builders import a_series

_SMALL, _LARGE = (100, 120), (1600, 1600)
_LARGE_ONE_IN = 400
_INSTANCES_PER_SERIES = 400
_INSTANCES_PER_ASSOCIATION = 8
_PAUSE_SECONDS = 0.05


def data_set_of(part_10: bytes) -> bytes:
    """Cut a file to its data set, by the group length of its file meta information (PS3.10 section 7.1)."""
    return part_10[144 + int.from_bytes(part_10[140:144], "little") :]


def digest_of(data_set: bytes) -> str:
    """Give a digest that the node knows nothing of."""
    return hashlib.sha256(data_set).hexdigest()


@dataclass(slots=True)
class Log:
    """What all senders sent, as digests of the data sets, and which of it was acknowledged with 0x0000."""

    sent: dict[str, str] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)
    broken_associations: int = 0


class Sender:
    """A scanner in a thread of its own, with series of its own."""

    def __init__(self, number: int, port: int, folder: Path, log: Log) -> None:
        self._name = f"SCANNER{number}"
        self._number = number
        self._folder = folder
        self._log = log
        where = Endpoint(name="node", ae_title=AETitle("DICOMNODE"), host="127.0.0.1", port=port)
        self._scu = StorageSCU(where, AETitle(self._name))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        folder.mkdir(parents=True)

    def start(self) -> None:
        self._thread.start()

    def ask_to_end(self) -> None:
        """Make no new instance; what was made is still sent until it is acknowledged."""
        self._stopping.set()

    def join(self) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive(), f"{self._name} still waits for an acknowledgement"

    def _run(self) -> None:
        new = self._instances()
        waiting: list[OutgoingInstance] = []
        while waiting or not self._stopping.is_set():
            if not self._stopping.is_set():
                waiting += [next(new) for _ in range(_INSTANCES_PER_ASSOCIATION - len(waiting))]
            waiting = self._send(waiting)
            time.sleep(_PAUSE_SECONDS)

    def _send(self, instances: list[OutgoingInstance]) -> list[OutgoingInstance]:
        """Send over one association, and give what has to be sent again."""
        try:
            outcomes = self._scu.store(tuple(instances))
        except DeliveryError:
            return instances
        done = {outcome.sop_instance_uid for outcome in outcomes if outcome.stored and outcome.status == 0}
        for instance in instances:
            if instance.sop_instance_uid in done:
                self._log.acknowledged.add(instance.sop_instance_uid)
                Path(instance.file).unlink()
        again = [instance for instance in instances if instance.sop_instance_uid not in done]
        self._log.broken_associations += bool(again)
        return again

    def _instances(self) -> Iterator[OutgoingInstance]:
        """Make instances without an end: each differs from all others in its UID and in its pixels."""
        small = large = a_template(self._name, 0, _SMALL)
        for number in count():
            if number % _INSTANCES_PER_SERIES == 0:
                small, large = (a_template(self._name, number, shape) for shape in (_SMALL, _LARGE))
            yield self._write(number, large if number % _LARGE_ONE_IN == _LARGE_ONE_IN // 2 else small)

    def _write(self, number: int, template: "Template") -> OutgoingInstance:
        uid = SOPInstanceUID(f"1.2.826.0.1.3680043.8.498.{self._number}{10**30 + number}")
        content = template.instance(uid, number)
        self._log.sent[uid] = digest_of(data_set_of(content))
        file = self._folder / f"{number}.dcm"
        file.write_bytes(content)
        return OutgoingInstance(
            sop_instance_uid=uid,
            sop_class_uid=template.sop_class_uid,
            transfer_syntax_uid=TransferSyntaxUID(ExplicitVRLittleEndian),
            file=str(file),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A Part 10 file with a place for the SOP Instance UID."""

    content: bytes
    place: bytes
    sop_class_uid: SOPClassUID

    def instance(self, uid: str, number: int) -> bytes:
        """Fill it in; the last pixels tell the number."""
        assert len(uid) == len(self.place)
        return self.content.replace(self.place, uid.encode())[:-8] + number.to_bytes(8, "little")


def a_template(scanner: str, number: int, shape: tuple[int, int]) -> Template:
    """Build the file that one series is made of."""
    name = f"{scanner} {number}"
    (dataset,) = a_series(study=name, series=name, slices=1, shape=shape)
    place = UID(f"1.2.826.0.1.3680043.8.498.9{10**30}")
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = place
    written = BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    return Template(
        content=written.getvalue(), place=place.encode(), sop_class_uid=SOPClassUID(str(dataset.SOPClassUID))
    )
