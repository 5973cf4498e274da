"""Sending instances to a node by STOW-RS: bodies, the intake of a real ledger and spool, and what came of it."""

import gzip
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path

import httpx
import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.routing import Mount

from dicomnode.dicomweb.intake import Intake
from dicomnode.dicomweb.service import dicomweb_service
from dicomnode.dimse.presentation import accepted_contexts, storage_sop_classes
from dicomnode.domain.ports import Reception
from dicomnode.domain.uids import AETitle
from dicomnode.imaging.assembly import assemble_file
from dicomnode.journey.receive import Receiving
from dicomnode.ledger.tables import InstanceRow, QuarantineRow
from tests.web.holdings import HOST, Browser, Holdings

BOUNDARY = "a-boundary"
STUDIES = "/dicom-web/studies"
SOP_CLASSES = frozenset(storage_sop_classes())
TRANSFER_SYNTAXES = frozenset(syntax for context in accepted_contexts() for syntax in context.transfer_syntax)
PART_10 = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
BEGIN = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
END = f"\r\n--{BOUNDARY}--\r\n".encode()


def intake(reception: Reception) -> Intake:
    """What a node takes, with a reception of the test's own."""
    return Intake(
        reception=reception,
        called_ae=AETitle("DICOMNODE"),
        sop_classes=SOP_CLASSES,
        transfer_syntaxes=TRANSFER_SYNTAXES,
        assemble=assemble_file,
    )


def receiving(holdings: Holdings) -> Receiving:
    return Receiving(holdings.ledger, holdings.spool, holdings.clock)


def service(holdings: Holdings, taking: Intake | None = None) -> Starlette:
    """The node's DICOMweb, which stores into the holdings."""
    taking = taking or intake(receiving(holdings))
    return Starlette(routes=[Mount("/dicom-web", dicomweb_service(holdings.archive, taking))])


def body(files: Iterable[bytes]) -> bytes:
    """A multipart body with a Part 10 file in each part."""
    return b"\r\n".join(BEGIN + file for file in files) + END


def post(
    browser: Browser, content: bytes | AsyncIterator[bytes], path: str = STUDIES, **headers: str
) -> httpx.Response:
    """Post a body as a client does; header fields are named with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return browser.post(path, content=content, headers={"Content-Type": PART_10, **named})


def data_set_of(file: bytes) -> bytes:
    """What stands behind the file meta information, by its group length (PS3.10 Table 7.1-1)."""
    return file[144 + int.from_bytes(file[140:144], "little") :]


def post_gzip(browser: Browser, content: bytes) -> httpx.Response:
    return post(browser, gzip.compress(content), content_encoding="gzip")


def references(response: httpx.Response, sequence: str) -> list[str | None]:
    """The SOP Instance UIDs in one of the answer's sequences; None for an item that names none."""
    items = response.json().get(sequence, {"Value": []})["Value"]
    return [item["00081155"]["Value"][0] if "00081155" in item else None for item in items]


STORED, FAILED, OTHER_FAILURES = "00081199", "00081198", "0008119A"


def reasons(response: httpx.Response, sequence: str = FAILED) -> list[int]:
    """The Failure Reasons in one of the answer's sequences."""
    return [item["00081197"]["Value"][0] for item in response.json()[sequence]["Value"]]


def rows(holdings: Holdings) -> Sequence[InstanceRow]:
    with holdings.ledger.transaction() as tx:
        return tx.session.execute(sa.select(InstanceRow).order_by(InstanceRow.id)).scalars().all()


def quarantined(holdings: Holdings) -> Sequence[QuarantineRow]:
    with holdings.ledger.transaction() as tx:
        return tx.session.execute(sa.select(QuarantineRow)).scalars().all()


def files(holdings: Holdings, room: str = "") -> list[Path]:
    return sorted(path for path in (holdings.spool.root / room).rglob("*") if path.is_file())


def is_untouched(holdings: Holdings) -> bool:
    """Whether nothing at all was kept."""
    return not files(holdings) and not rows(holdings) and not quarantined(holdings)


def address(*uids: str) -> str:
    """The address of an instance at the client: study, series and instance."""
    return "{}{}/{}/series/{}/instances/{}".format(HOST, STUDIES, *uids)
