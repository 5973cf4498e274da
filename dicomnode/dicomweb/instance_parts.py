"""The parts of a store request: each a Part 10 file, or headers and the bulk data they point to (PS3.18 10.5.1.4)."""

import json
from collections.abc import Mapping
from email.message import Message

from dicomnode.dicomweb.intake import StoreRequest
from dicomnode.dicomweb.media_types import DICOM_JSON
from dicomnode.dicomweb.part10 import FileMeta, read_file_meta
from dicomnode.domain.archive import EXPLICIT_VR_LITTLE_ENDIAN, DicomJson
from dicomnode.domain.errors import ContentTooLarge, DicomnodeError, InvalidValue, MalformedInstance, UnsupportedMedia
from dicomnode.domain.ports import InstanceSink

DICOM = "application/dicom"
_OCTETS = "application/octet-stream"
_UNCOMPRESSED = (EXPLICIT_VR_LITTLE_ENDIAN, "1.2.840.10008.1.2")
_MOST_HEADER_BYTES, _MOST_BULK_BYTES = 16 * 1024 * 1024, 128 * 1024 * 1024
"""Headers and bulk data can only be put together when all of them are in memory."""


class Part10Parts:
    """Hands each part's data set to the reception as it comes; nothing of it is kept here (a PartTaker)."""

    def __init__(self, store: StoreRequest) -> None:
        self._store = store
        self._front = bytearray()
        self._meta: FileMeta | None = None
        self._sink: InstanceSink | None = None
        self._is_over = True

    def begin(self, headers: Mapping[str, str]) -> None:
        """Begin an instance."""
        self._front, self._meta, self._sink, self._is_over = bytearray(), None, None, False
        if _media_type(headers, DICOM) != DICOM:
            self._refuse(MalformedInstance("the part is not of type application/dicom"))

    def write(self, data: memoryview) -> None:
        """Take the next bytes of an instance; one that was refused is passed over."""
        if self._is_over:
            return
        try:
            if self._sink is not None:
                self._sink.write(data)
            else:
                self._front += data
                self._open()
        except DicomnodeError as error:
            self._refuse(error)

    def end(self) -> None:
        """Make the instance durable."""
        if self._is_over:
            return
        try:
            if self._sink is None or self._meta is None:
                raise MalformedInstance("the part ends before its data set begins")
            self._sink.accept()
        except DicomnodeError as error:
            self._refuse(error)
        else:
            self._store.stored.append(self._meta)
        self.abandon()

    def finish(self) -> None:
        """Do nothing more: every instance is stored when its part ends."""

    def abandon(self) -> None:
        """Forget an instance that did not come whole; safe to call at any time."""
        self._is_over = True
        if self._sink is not None:
            self._sink.discard()
            self._sink = None

    def _open(self) -> None:
        found = read_file_meta(self._front)
        if found is None:
            return
        self._meta, start = found
        self._sink = self._store.open(self._meta)
        if self._sink is None:
            self._is_over = True
        else:
            self._sink.write(memoryview(self._front)[start:])
        self._front = bytearray()

    def _refuse(self, error: DicomnodeError) -> None:
        self._store.refuse(error, self._meta)
        self.abandon()


class AssembledParts:
    """Collects headers in the DICOM JSON Model and their bulk data, and has them put together (a PartTaker)."""

    def __init__(self, store: StoreRequest, most_bulk_bytes: int = _MOST_BULK_BYTES) -> None:
        self._store = store
        self._left = {DICOM_JSON: _MOST_HEADER_BYTES, _OCTETS: most_bulk_bytes}
        self._headers: list[bytearray] = []
        self._bulk: dict[str, bytearray] = {}
        self._part, self._kind = bytearray(), _OCTETS

    def begin(self, headers: Mapping[str, str]) -> None:
        """Begin a part with headers, or with bulk data of a place; raises InvalidValue, UnsupportedMedia."""
        self._part, self._kind = bytearray(), _media_type(headers, _OCTETS)
        location = headers.get("content-location")
        if self._kind == DICOM_JSON:
            self._headers.append(self._part)
        elif self._kind != _OCTETS or _transfer_syntax(headers) not in _UNCOMPRESSED:
            raise UnsupportedMedia("bulk data is only taken uncompressed; send compressed instances as Part 10 files")
        elif location is None:
            raise InvalidValue("a part with bulk data has no Content-Location that its header could name")
        else:
            self._bulk[location] = self._part

    def write(self, data: memoryview) -> None:
        """Take the next bytes of a part; raises ContentTooLarge."""
        self._left[self._kind] -= len(data)
        if self._left[self._kind] < 0:
            raise ContentTooLarge("headers and bulk data are more than this node puts together at once")
        self._part += data

    def end(self) -> None:
        """Do nothing yet: bulk data may come behind."""

    def finish(self) -> None:
        """Put the instances together and store them; raises InvalidValue when the headers are no DICOM JSON."""
        bulk = {location: bytes(data) for location, data in self._bulk.items()}
        headers = [header for part in self._headers for header in _read_headers(part)]
        self.abandon()
        for header in headers:
            self._take(header, bulk)

    def abandon(self) -> None:
        """Forget what was collected; safe to call at any time."""
        self._headers.clear()
        self._bulk.clear()

    def _take(self, header: DicomJson, bulk: Mapping[str, bytes]) -> None:
        try:
            file = self._store.intake.assemble(header, bulk)
        except MalformedInstance as error:
            self._store.refuse(error, None)
            return
        part = Part10Parts(self._store)
        part.begin({})
        part.write(memoryview(file))
        part.end()


def _media_type(headers: Mapping[str, str], default: str) -> str:
    """Read the type of a part without its parameters."""
    return _content_type(headers, default).get_content_type()


def _transfer_syntax(headers: Mapping[str, str]) -> str:
    return str(_content_type(headers, _OCTETS).get_param("transfer-syntax", EXPLICIT_VR_LITTLE_ENDIAN))


def _content_type(headers: Mapping[str, str], default: str) -> Message:
    message = Message()
    message["Content-Type"] = headers.get("content-type", default)
    return message


def _read_headers(part: bytearray) -> list[DicomJson]:
    """Read an array of headers, or one alone; raises InvalidValue."""
    try:
        found = json.loads(part)
    except (ValueError, RecursionError) as error:
        raise InvalidValue("the part with headers is no JSON") from error
    headers = found if isinstance(found, list) else [found]
    if not all(isinstance(header, dict) for header in headers):
        raise InvalidValue("the part with headers is not of the DICOM JSON Model (PS3.18 Annex F)")
    return headers
