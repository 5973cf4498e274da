"""WADO-RS: retrieving headers, instances, frames and bulk data (PS3.18 section 10.4)."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from dicomnode.dicomweb.media_types import DICOM_JSON, require_json, transfer_syntaxes, wants_as_stored
from dicomnode.dicomweb.multipart import Part, multipart_response, pieces_of
from dicomnode.dicomweb.paths import instance_in, series_in, service_path
from dicomnode.domain.archive import EXPLICIT_VR_LITTLE_ENDIAN, Archive, DicomJson, Frame
from dicomnode.domain.errors import InvalidValue, NotInLedger
from dicomnode.domain.study import StoredInstance
from dicomnode.domain.uids import SeriesInstanceUID, SOPInstanceUID, StudyInstanceUID

_DICOM, _OCTETS = "application/dicom", "application/octet-stream"
_IMMUTABLE = "private, max-age=86400, immutable"
"""A UID always names the same content."""
_MAY_GROW = "private, no-cache"
_STUDY_UID, _SERIES_UID, _NUMBER_OF_FRAMES = "0020000D", "0020000E", "00280008"
_PIXEL_DATA = ("7FE00008", "7FE00009", "7FE00010")
_STUDY_PATH = "/studies/{study}"
_SERIES_PATH = f"{_STUDY_PATH}/series/{{series}}"
_INSTANCE_PATH = f"{_SERIES_PATH}/instances/{{instance}}"
_Place = tuple[StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID]


def retrieve_routes(archive: Archive) -> list[Route]:
    """Make the routes of the retrieve transactions over an archive."""
    retrieve = _Retrieve(archive)
    everywhere = (_STUDY_PATH, _SERIES_PATH, _INSTANCE_PATH)
    return [
        *(Route(path, retrieve.instances, methods=["GET"]) for path in everywhere),
        *(Route(f"{path}/metadata", retrieve.metadata, methods=["GET"]) for path in everywhere),
        Route(f"{_INSTANCE_PATH}/frames/{{frames}}", retrieve.frames, methods=["GET"]),
        Route(f"{_INSTANCE_PATH}/bulkdata/{{tag}}", retrieve.bulk_data, methods=["GET"]),
    ]


class _Retrieve:
    """The retrieve transactions; each raises a DicomnodeError that the service answers with."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def metadata(self, request: Request) -> Response:
        """Answer with the headers of a study, series or instance."""
        require_json(request.headers.get("accept"))
        headers = self._archive.metadata(_study(request), series_in(request), instance_in(request))
        return StreamingResponse(
            _written(headers, service_path(request)),
            media_type=DICOM_JSON,
            headers={"Cache-Control": _cache_control(request)},
        )

    def instances(self, request: Request) -> Response:
        """Answer with the Part 10 files of a study, series or instance."""
        syntaxes = transfer_syntaxes(request.headers.get("accept"), _DICOM)
        held = self._archive.instances(_study(request), series_in(request), instance_in(request))
        chosen = [(one, wants_as_stored(syntaxes, one.transfer_syntax_uid)) for one in held]
        parts = (self._file(one, as_stored=as_stored) for one, as_stored in chosen)
        return multipart_response(_DICOM, _begun(parts), _cache_control(request))

    def frames(self, request: Request) -> Response:
        """Answer with some frames of an instance, a part for each."""
        place, as_stored = _place(request), self._wants_as_stored(request)
        numbers = _numbers(request.path_params["frames"])
        count = self._count_frames(place)
        if max(numbers) > count:
            raise NotInLedger(f"the instance has {count} frames, and none with the number {max(numbers)}")
        parts = (_part(self._archive.frame(*place, number, as_stored)) for number in numbers)
        return multipart_response(_OCTETS, _begun(parts), _IMMUTABLE)

    def bulk_data(self, request: Request) -> Response:
        """Answer with one binary value; pixel data comes as one part, or as a part for each compressed frame."""
        place, as_stored = _place(request), self._wants_as_stored(request)
        tag = request.path_params["tag"].upper()
        if tag not in _PIXEL_DATA:
            value = self._archive.bulk_data(*place, tag)
            return multipart_response(_OCTETS, [Part(content_type=_OCTETS, pieces=[value])], _IMMUTABLE)
        first = self._archive.frame(*place, 1, as_stored)
        numbers = range(2, self._count_frames(place) + 1)
        frames = chain([first], (self._archive.frame(*place, number, as_stored) for number in numbers))
        if first.transfer_syntax_uid == EXPLICIT_VR_LITTLE_ENDIAN:
            whole = Part(content_type=_type_of(first), pieces=(frame.data for frame in frames))
            return multipart_response(_OCTETS, [whole], _IMMUTABLE)
        return multipart_response(_OCTETS, map(_part, frames), _IMMUTABLE)

    def _wants_as_stored(self, request: Request) -> bool:
        """Say whether pixel data is to be sent as it is stored; raises NotAcceptable, NotInLedger."""
        syntaxes = transfer_syntaxes(request.headers.get("accept"), _OCTETS)
        return wants_as_stored(syntaxes, self._archive.instances(*_place(request))[0].transfer_syntax_uid)

    def _count_frames(self, place: _Place) -> int:
        values = self._archive.metadata(*place)[0].get(_NUMBER_OF_FRAMES, {}).get("Value") or [1]
        return int(values[0])

    def _file(self, stored: StoredInstance, *, as_stored: bool) -> Part:
        place = (stored.study_instance_uid, stored.series_instance_uid, stored.sop_instance_uid)
        if as_stored:
            return Part(content_type=_DICOM, pieces=pieces_of(self._archive.file(*place)))
        return Part(content_type=_DICOM, pieces=[self._archive.explicit(*place)])


def _study(request: Request) -> StudyInstanceUID:
    return StudyInstanceUID(request.path_params["study"])


def _place(request: Request) -> _Place:
    found = request.path_params
    return StudyInstanceUID(found["study"]), SeriesInstanceUID(found["series"]), SOPInstanceUID(found["instance"])


def _cache_control(request: Request) -> str:
    return _MAY_GROW if instance_in(request) is None else _IMMUTABLE


def _numbers(text: str) -> list[int]:
    """Read a list of frame numbers; raises InvalidValue."""
    numbers = [int(number) if number.isascii() and number.isdigit() else 0 for number in text.split(",")]
    if min(numbers) < 1:
        raise InvalidValue("frames are a list of whole numbers from 1, with commas between them")
    return numbers


def _part(frame: Frame) -> Part:
    return Part(content_type=_type_of(frame), pieces=[frame.data])


def _type_of(frame: Frame) -> str:
    return f"{_OCTETS}; transfer-syntax={frame.transfer_syntax_uid}"


def _begun(parts: Iterator[Part]) -> Iterator[Part]:
    """Make the first part at once, so that what is wrong with it is answered and does not break off a body."""
    return chain([next(parts)], parts)


def _written(headers: Sequence[DicomJson], service: str) -> Iterator[bytes]:
    """Write headers as one JSON array, a header at a time."""
    for index, header in enumerate(headers):
        series = "/".join((service, "studies", _uid(header, _STUDY_UID), "series", _uid(header, _SERIES_UID)))
        found = {tag: _addressed(element, series) for tag, element in header.items()}
        yield (b"," if index else b"[") + json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()
    yield b"]"


def _addressed(element: Mapping[str, object], series: str) -> Mapping[str, object]:
    """Make a BulkDataURI good on whatever host and port the client came by: a path without them."""
    return {**element, "BulkDataURI": f"{series}/{element['BulkDataURI']}"} if "BulkDataURI" in element else element


def _uid(header: DicomJson, tag: str) -> str:
    return str(header[tag]["Value"][0])
