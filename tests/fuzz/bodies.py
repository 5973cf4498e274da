"""Store requests as no DICOMweb client should send them (PS3.18 section 10.5, RFC 2046, RFC 9110)."""

import gzip
import json
import random
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info

from tests.builders import a_series
from tests.fuzz.data_sets import JPEG, PRIVATE, Offer, mutated_offer, plain_offer

_BOUNDARY = b"a-boundary"
_DICOM, _JSON = b"application/dicom", b"application/dicom+json"


@dataclass(slots=True, kw_only=True)
class Request:
    """A POST to the store service: where, with which header fields, and the bytes that follow."""

    what: list[str]
    path: bytes = b"/dicom-web/studies"
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes
    expanded: bytes = b""
    """The body as it is without Content-Encoding, as far as it can be expanded."""
    length: int | None = None
    """What Content-Length says where that is a lie."""
    is_chunked: bool = False

    @property
    def is_cut_short(self) -> bool:
        """Whether less comes than the length says."""
        return not self.is_chunked and self.length is not None and self.length > len(self.body)

    def encode(self) -> bytes:
        """Write the request."""
        length = len(self.body) if self.length is None else self.length
        framing = b"Transfer-Encoding: chunked" if self.is_chunked else b"Content-Length: %d" % length
        lines = [b"POST %s HTTP/1.1" % self.path, b"Host: node", b"Connection: close", framing]
        lines += [b"%s: %s" % one for one in self.headers.items()]
        body = _chunked(self.body) if self.is_chunked else self.body
        return b"\r\n".join(lines) + b"\r\n\r\n" + body


_Change = Callable[[random.Random, Request], None]


def mutated_request(seed: str) -> Request:
    """Make the request of a seed."""
    chance = random.Random(seed)
    request = _of_headers(chance) if chance.random() < 0.25 else _of_files(chance, seed)
    for change in chance.sample(_CHANGES, chance.choice((0, 1, 1, 2))):
        change(chance, request)
        request.what.append(change.__name__)
    request.expanded = request.body
    if chance.random() < 0.25:
        _compress(chance, request)
    if chance.random() < 0.1:
        request.is_chunked = True
    if chance.random() < 0.1:
        request.length = max(0, len(request.body) + chance.choice((-1, -50, 1, 1000)))
        request.what.append("a lie about the length")
    return request


def request_of_files(files: Sequence[bytes]) -> Request:
    """Make a request that sends files as they are, with nothing wrong around them."""
    request = _request(_DICOM, [(b"Content-Type: application/dicom", file) for file in files], ["files"])
    request.expanded = request.body
    return request


def part_10_file(offer: Offer) -> bytes:
    """Write an instance as a file; what is announced of it stands in the file meta information."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = offer.transfer_syntax  # type: ignore[assignment]
    encoded = DicomBytesIO()
    write_file_meta_info(encoded, meta, enforce_standard=False)
    rest = encoded.getvalue()
    named = _ui(0x0002, offer.sop_class) + _ui(0x0003, offer.sop_instance)
    return bytes(128) + b"DICM" + named + rest[rest.index(b"\x02\0\x10\0") :] + offer.data_set


def _ui(element: int, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return b"\x02\0" + element.to_bytes(2, "little") + b"UI" + len(value).to_bytes(2, "little") + value


def _chunked(body: bytes) -> bytes:
    pieces = [body[at : at + 5000] for at in range(0, len(body), 5000)]
    return b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in pieces) + b"0\r\n\r\n"


def _of_files(chance: random.Random, seed: str) -> Request:
    """Send Part 10 files, most of them plain."""
    offers = [
        (plain_offer if chance.random() < 0.6 else mutated_offer)(f"{seed}/{number}")
        for number in range(chance.choice((0, 1, 1, 2, 4)))
    ]
    parts = [(b"Content-Type: application/dicom", part_10_file(offer)) for offer in offers]
    return _request(_DICOM, parts, [offer.what for offer in offers])


def _of_headers(chance: random.Random) -> Request:
    """Send headers in the DICOM JSON Model and bulk data, with something wrong more often than not."""
    (dataset,) = a_series(study=f"fuzz {chance.random()}", slices=1, shape=(8, 6))
    header = {
        **dataset.to_json_dict(1024, lambda _element: "pixels"),
        "7FE00010": {"vr": "OW", "BulkDataURI": "pixels"},
    }
    for _time in range(chance.choice((0, 1, 2))):
        header[chance.choice((*header, "0009", "ZZZZZZZZ", "00020010", "FFFEE000"))] = chance.choice(_ODD_ATTRIBUTES)
    encoded = json.dumps(chance.choice(([header], header, [header, header], [[header]], "header"))).encode()
    if chance.random() < 0.3:
        encoded = chance.choice((_cut_short, _flip))(chance, encoded)
    parts = [(b"Content-Type: application/dicom+json", encoded)]
    if chance.random() < 0.9:
        where = chance.choice((b"pixels", b"pixels", b"elsewhere", b"", b"../pixels"))
        parts.append((b"Content-Type: application/octet-stream\r\nContent-Location: " + where, dataset.PixelData))
    chance.shuffle(parts)
    return _request(_JSON, parts, ["headers and bulk data"])


_ODD_ATTRIBUTES: tuple[object, ...] = (
    *({}, {"vr": "UI"}, {"vr": "ZZ", "Value": [1]}, {"vr": "SQ", "Value": [1]}, {"vr": "US", "Value": [-1, "x"]}),
    *({"vr": "PN", "Value": [{"Alphabetic": 7}]}, {"vr": "OB", "InlineBinary": "%%%"}, None, [], "x", {"Value": None}),
    *({"vr": "OW", "BulkDataURI": "http://127.0.0.1:1/x"}, {"vr": "OB", "BulkDataURI": "file:///etc/passwd"}),
    *({"vr": "DS", "Value": ["nan", 1e308]}, {"vr": "IS", "Value": [10**40]}, {"vr": "UI", "Value": ["../.."]}),
    *({"vr": "SQ", "Value": [{"00081150": {"vr": "SQ", "Value": [{}]}}]}, {"vr": "AT", "Value": ["xyz"]}),
)


def _request(kind: bytes, parts: list[tuple[bytes, bytes]], what: list[str]) -> Request:
    body = b"".join(b"--%s\r\n%s\r\n\r\n%s\r\n" % (_BOUNDARY, headers, content) for headers, content in parts)
    content_type = b'multipart/related; type="%s"; boundary=%s' % (kind, _BOUNDARY)
    return Request(what=what, headers={b"Content-Type": content_type}, body=body + b"--%s--\r\n" % _BOUNDARY)


def _compress(chance: random.Random, request: Request) -> None:
    """Send it as gzip: whole, in several members, damaged, or so that it expands without end."""
    kind = chance.randrange(6)
    if kind == 0:
        request.body = gzip.compress(request.body[:50]) + gzip.compress(request.body[50:])
    elif kind == 1:
        request.body = gzip.compress(request.body) + _bomb()
    else:
        request.body = gzip.compress(request.body)
        damage = chance.choice((_cut_short, _flip, _nothing, _nothing))
        request.body = damage(chance, request.body)
    request.headers[b"Content-Encoding"] = chance.choice(
        (b"gzip", b"gzip", b"x-gzip", b"GZIP", b"deflate", b"gzip, br")
    )
    request.expanded = _expanded(request.body)
    request.what.append(f"gzip {kind}")


@lru_cache(maxsize=1)
def _bomb() -> bytes:
    """40 MB of nothing, in 40 kilobytes."""
    return gzip.compress(bytes(40_000_000), 9)


def _expanded(body: bytes) -> bytes:
    """Expand as much as can be, but not a bomb."""
    expanded = b""
    while body and len(expanded) < 4_000_000:
        member = zlib.decompressobj(16 + zlib.MAX_WBITS)
        for at in range(0, len(body), 64):
            try:
                expanded += member.decompress(body[at : at + 64], 4_000_000)
            except zlib.error:
                return expanded
            if member.eof or len(expanded) > 4_000_000:
                break
        if not member.eof:
            break
        body = body[len(body) - len(member.unused_data + body[at + 64 :]) :]
    return expanded


def _nothing(_chance: random.Random, data: bytes) -> bytes:
    return data


def _cut_short(chance: random.Random, data: bytes) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _flip(chance: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _time in range(chance.choice((1, 3, 20)) if changed else 0):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _cut_body(chance: random.Random, request: Request) -> None:
    request.body = _cut_short(chance, request.body)


def _flip_body(chance: random.Random, request: Request) -> None:
    request.body = _flip(chance, request.body)


def _cut_a_piece_out(chance: random.Random, request: Request) -> None:
    at = chance.randrange(len(request.body) + 1)
    request.body = request.body[:at] + request.body[at + chance.randrange(200) :]


def _put_noise_in(chance: random.Random, request: Request) -> None:
    at = chance.randrange(len(request.body) + 1)
    request.body = request.body[:at] + chance.randbytes(chance.randrange(1, 100)) + request.body[at:]


def _break_line_ends(chance: random.Random, request: Request) -> None:
    request.body = request.body.replace(b"\r\n", chance.choice((b"\n", b"\r", b"\r\n\r\n")), chance.randrange(1, 6))


def _damage_delimiter(chance: random.Random, request: Request) -> None:
    new = chance.choice((b"--other", b"-a-boundary", b"--a-boundary ", b"--a-boundary--", b"--a-boundaryX", b""))
    request.body = request.body.replace(b"--a-boundary", new, chance.randrange(1, 4))


def _odd_part_headers(chance: random.Random, request: Request) -> None:
    new = chance.choice(
        (
            *(b"Content-Type: text/html", b"Content-Type", b": application/dicom", b"Content-Type: \xff\xfe", b""),
            *(
                b"Content-Type: application/dicom; transfer-syntax=1.2.3",
                b"X: " + b"y" * 70_000,
                b"Content-Type:\r\n x",
            ),
            *(b"Content-Transfer-Encoding: base64", b"N\xe4me: x", b"Content-Type: application/dicom\r\n" * 300),
        )
    )
    request.body = request.body.replace(b"Content-Type: application/dicom", new, 1)


def _odd_content_type(chance: random.Random, request: Request) -> None:
    request.headers[b"Content-Type"] = chance.choice(
        (
            *(b"", b"application/dicom", b"multipart/related", b"multipart/related; boundary=", b"text/plain"),
            *(b"multipart/form-data; boundary=a-boundary", b'multipart/related; boundary="a-boundary"; type=x/y'),
            *(b"multipart/related; boundary=" + b"b" * 300, b"multipart/related; boundary=\xe4\xf6", b"\x01\x02"),
            *(b"multipart/related; boundary*=utf-8''a-boundary", b"multipart/related; boundary=a-boundary; " * 20),
            *(b'multipart/related; type="application/dicom+xml"; boundary=a-boundary', b"multipart/related;;;=;"),
        )
    )


def _odd_accept(chance: random.Random, request: Request) -> None:
    request.headers[b"Accept"] = chance.choice(
        (
            b"",
            b"*/*",
            b"application/dicom+json",
            b"application/dicom+xml",
            b"text/html;q=0",
            b";;;",
            b"\xff",
            b"*/*;q=x",
        )
    )


def _odd_path(chance: random.Random, request: Request) -> None:
    request.path += chance.choice(
        (b"/1.2.3", b"/../..", b"/%2e%2e%2f", b"/%00", b"/1.2.3/series", b"/" + b"9" * 300, b"?x=%ff", b"//", b"/\xe4")
    )


def _refused_transfer_syntax(chance: random.Random, request: Request) -> None:
    new = chance.choice((PRIVATE, JPEG, "", "1.2.840.10008.1.2.4.999")).encode()[:19].ljust(20, b"\0")
    request.body = request.body.replace(b"1.2.840.10008.1.2.1\0", new)


_CHANGES: tuple[_Change, ...] = (
    *(_cut_body, _flip_body, _cut_a_piece_out, _put_noise_in, _break_line_ends, _damage_delimiter, _odd_part_headers),
    *(_odd_content_type, _odd_accept, _odd_path, _refused_transfer_syntax),
)
