"""What a client accepts (PS3.18 section 8.7)."""

import pytest

from dicomnode.dicomweb.media_types import accepted, require_json, transfer_syntaxes, wants_as_stored
from dicomnode.domain.archive import EXPLICIT_VR_LITTLE_ENDIAN
from dicomnode.domain.errors import NotAcceptable

OCTETS = "application/octet-stream"
RLE = "1.2.840.10008.1.2.5"
OHIF = "multipart/related; type=application/octet-stream; transfer-syntax=*"


@pytest.mark.parametrize("header", [None, "", "*/*", "application/dicom+json", "text/html, application/json;q=0.1"])
def test_json_is_given_to_whoever_takes_it(header: str | None) -> None:
    require_json(header)


@pytest.mark.parametrize(
    "header", ["text/html", 'multipart/related; type="application/dicom+xml"', "application/dicom+json;q=0"]
)
def test_json_is_refused_to_whoever_does_not(header: str) -> None:
    with pytest.raises(NotAcceptable):
        require_json(header)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, [EXPLICIT_VR_LITTLE_ENDIAN]),
        ("*/*", [EXPLICIT_VR_LITTLE_ENDIAN]),
        (OHIF, ["*"]),
        (f'multipart/related; type="{OCTETS}"; transfer-syntax={RLE}', [RLE]),
        (f'Multipart/Related; Type="{OCTETS.upper()}"', [EXPLICIT_VR_LITTLE_ENDIAN]),
        (f'multipart/related; type="{OCTETS}";q=0.4, {OHIF};q=0.9', ["*", EXPLICIT_VR_LITTLE_ENDIAN]),
        (f'multipart/related; type="image/jls", {OHIF}', ["*"]),
    ],
)
def test_transfer_syntaxes_come_best_first(header: str | None, expected: list[str]) -> None:
    assert transfer_syntaxes(header, OCTETS) == tuple(expected)


@pytest.mark.parametrize("header", [";;;", ";q=1", ",;,"])
def test_a_range_without_a_type_fits_nothing(header: str) -> None:
    with pytest.raises(NotAcceptable):
        require_json(header)


@pytest.mark.parametrize("header", ["application/json", 'multipart/related; type="image/jls"', "image/jpeg"])
def test_other_parts_are_refused(header: str) -> None:
    with pytest.raises(NotAcceptable, match="multipart/related"):
        transfer_syntaxes(header, OCTETS)


def test_a_comma_inside_of_quotes_separates_nothing() -> None:
    assert [found.type for found in accepted('text/plain; x="a,b;c", text/html;q=oops, text/css')] == [
        "text/plain",
        "text/css",
    ]


def test_the_first_transfer_syntax_that_can_be_had_is_taken() -> None:
    assert wants_as_stored(["*"], RLE)
    assert wants_as_stored([RLE], RLE)
    assert not wants_as_stored([EXPLICIT_VR_LITTLE_ENDIAN, "*"], RLE)
    assert wants_as_stored(["1.2.840.10008.1.2.4.80", "*"], RLE)
    with pytest.raises(NotAcceptable):
        wants_as_stored(["1.2.840.10008.1.2.4.80"], RLE)
