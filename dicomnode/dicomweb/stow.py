"""STOW-RS: storing instances (PS3.18 section 10.5); success means what it means for C-STORE: durable and recorded."""

from collections.abc import AsyncIterator
from email.message import Message

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dicomnode.dicomweb.incoming_body import Expansion, IncomingBody
from dicomnode.dicomweb.instance_parts import DICOM, AssembledParts, Part10Parts
from dicomnode.dicomweb.intake import Intake, StoreRequest
from dicomnode.dicomweb.media_types import DICOM_JSON, require_json
from dicomnode.dicomweb.paths import service_path, study_in
from dicomnode.domain.archive import Archive
from dicomnode.domain.errors import InvalidValue, UnsupportedMedia

_PIECE = 1024 * 1024
_NO_STORE = {"Cache-Control": "private, no-store"}


def store_routes(archive: Archive, intake: Intake) -> list[Route]:
    """Make the routes of the store transaction."""
    transaction = _Store(archive, intake)
    return [Route(path, transaction.instances, methods=["POST"]) for path in ("/studies", "/studies/{study}")]


class _Store:
    """The store transaction; it raises a DicomnodeError that the service answers with."""

    def __init__(self, archive: Archive, intake: Intake) -> None:
        self._archive = archive
        self._intake = intake

    async def instances(self, request: Request) -> Response:
        """Take the instances of a body as they arrive, and answer what became of each."""
        require_json(request.headers.get("accept"))
        store = StoreRequest(
            intake=self._intake,
            peer_address=request.client.host if request.client else "",
            study=study_in(request),
        )
        await self._take(request, store)
        return await run_in_threadpool(self._answer, request, store)

    async def _take(self, request: Request, store: StoreRequest) -> None:
        """Read the body; file and ledger are used from another thread, so that others are answered meanwhile."""
        part_type, boundary = _form(request.headers.get("content-type", ""))
        parts = Part10Parts(store) if part_type == DICOM else AssembledParts(store)
        body = IncomingBody(boundary, parts, self._expansion(request))
        is_whole = False
        try:
            async for piece in _pieces(request):
                await run_in_threadpool(body.write, piece)
            body.finish()
            await run_in_threadpool(parts.finish)
            is_whole = True
        except InvalidValue as error:
            store.break_off(error)
        finally:
            parts.abandon()
            store.end(is_whole=is_whole)

    def _answer(self, request: Request, store: StoreRequest) -> Response:
        status = store.status()
        address = f"{request.url.scheme}://{request.url.netloc}{service_path(request)}"
        report = store.report(self._archive, address)
        return JSONResponse(report, status_code=status, media_type=DICOM_JSON, headers=_NO_STORE)

    def _expansion(self, request: Request) -> Expansion | None:
        """Find how the body is to be expanded; raises UnsupportedMedia."""
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "gzip", "x-gzip"):
            raise UnsupportedMedia("the only Content-Encoding that is taken is gzip")
        return None if encoding == "identity" else Expansion(self._intake.expansion)


def _form(content_type: str) -> tuple[str, str]:
    """Read the type of the parts and the boundary between them; raises UnsupportedMedia, InvalidValue."""
    message = Message()
    message["Content-Type"] = content_type
    part_type = str(message.get_param("type", DICOM)).lower()
    if message.get_content_type() != "multipart/related" or part_type not in (DICOM, DICOM_JSON):
        raise UnsupportedMedia("instances are only taken as multipart/related with parts of PS3.18 section 10.5.1.4")
    boundary = message.get_boundary()
    if not boundary:
        raise InvalidValue("the Content-Type names no boundary (RFC 2046 section 5.1.1)")
    return part_type, boundary


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """Gather what comes into pieces of about 1 MiB; raises InvalidValue when the client goes away in the middle."""
    gathered = bytearray()
    try:
        async for data in request.stream():
            gathered += data
            if len(gathered) >= _PIECE:
                yield bytes(gathered)
                gathered.clear()
    except ClientDisconnect as error:
        raise InvalidValue("the connection ended before the body did") from error
    if gathered:
        yield bytes(gathered)
