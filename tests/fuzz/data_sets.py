"""Instances as no sender should send them: each number of a seed is one that can be made again alone."""

import random
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from pydicom.uid import MRImageStorage, RLELossless

from tests.builders import a_series
from tests.dimse.instances import MR_IMAGE_STORAGE
from tests.fuzz.elements import UNDEFINED, Element, elements_of, encode, sequence

IMPLICIT, EXPLICIT, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"
PRIVATE = "1.2.826.0.1.3680043.8.498.1.2.3"
BIG_ENDIAN, JPEG, JPEG_2000 = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90"
SYNTAXES = (*(EXPLICIT,) * 5, *(IMPLICIT,) * 3, *(DEFLATED,) * 2, BIG_ENDIAN, str(RLELossless), JPEG, JPEG_2000)
_ROOT = "1.2.826.0.1.3680043.8.498.77"
_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES = 0x0008_0016, 0x0008_0018, 0x0020_000D, 0x0020_000E
_INSTANCE_NUMBER, _ROWS, _COLUMNS = 0x0020_0013, 0x0028_0010, 0x0028_0011
_CHARACTER_SET, _PATIENT_NAME, _PIXEL_DATA = 0x0008_0005, 0x0010_0010, 0x7FE0_0010
_ODD_UIDS = (
    *(b"", b"\0", b" ", b".", b"1..2", b"1.2.", b"01.02.003", b"1." + b"9" * 62, b"1." + b"9" * 63, b"1" * 300),
    *(b"../../../../etc/passwd", b"/etc/passwd", b"1.2/3", b"1.2 .3", b" 1.2.3", b"1.2.3  ", b"1.2\x003.4", b"a.b.c"),
    *(b"1.2\\3.4", b"\xff\xfe\xfd", "１.２".encode(), b"1.2;DROP TABLE instance", b"%s%n%x", b"1.2\r\nX: y"),
)
_ODD_NUMBERS = (
    *(b"", b"1e400", b"nan", b"-inf", b"9" * 12, b"9" * 300, b"0x10", b"1.5", b"--1", b"1\\2\\3", b"\xd9\xa3", b" 7 "),
    *(b"-2147483649", b"9223372036854775808", b"1_000"),
)
_CHARACTER_SETS = (
    *(b"ISO_IR 999", b"", b"\\", b"ISO 2022 IR 87\\ISO 2022 IR 159", b"\\ISO 2022 IR 149", b"GB18030", b"utf-8"),
    *(b"ISO_IR 192\\ISO_IR 100", b"ISO_IR 6\\\\", b"\xff\xff", b"GBK\\GBK\\GBK", b"ISO_IR  100 "),
)
_VRS = (b"OB", b"UN", b"SQ", b"AT", b"DS", b"FD", b"UI", b"UT", b"\0\0", b"??", b"ox", b"zz", b"OV")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An instance as it is offered: what is announced of it, and its encoded data set."""

    what: str
    sop_class: bytes
    sop_instance: bytes
    transfer_syntax: str
    data_set: bytes


_Change = Callable[[random.Random, list[Element]], list[Element]]
_Damage = Callable[[random.Random, bytes], bytes]


def mutated_offer(seed: str) -> Offer:
    """Make the instance of a seed: elements are changed first, then the encoded bytes, then what is announced."""
    chance = random.Random(seed)
    syntax = chance.choice(SYNTAXES)
    instance = _instance_uid(seed)
    elements = _elements(instance)
    story = [syntax]
    for change in chance.sample(_CHANGES, chance.choice((0, 1, 1, 2, 3))):
        elements = change(chance, elements)
        story.append(change.__name__)
    data_set = encode(elements, implicit=syntax == IMPLICIT)
    if syntax == BIG_ENDIAN:
        data_set = _swapped(elements)
    for damage in chance.sample(_DAMAGES, chance.choice((0, 0, 1, 1, 2))):
        data_set = damage(chance, data_set)
        story.append(damage.__name__)
    if syntax == DEFLATED:
        data_set = _deflated(chance, data_set)
    # The sender says what the data set says, where that is one value: an odd UID is odd in both places.
    said = {one.tag: one.value for one in elements if one.tag in (_SOP_CLASS, _SOP_INSTANCE)}
    sop_class, sop_instance = said.get(_SOP_CLASS, MR_IMAGE_STORAGE.encode()), said.get(_SOP_INSTANCE, instance)
    if chance.random() < 0.08:
        sop_instance = chance.choice(_ODD_UIDS)
        story.append("announced otherwise")
    if len(data_set) % 2 and chance.random() < 0.5:
        data_set += b"\0"
    return Offer(
        what=", ".join(story),
        sop_class=sop_class,
        sop_instance=sop_instance,
        transfer_syntax=syntax,
        data_set=data_set,
    )


def damaged_offer(seed: str, offer: Offer) -> Offer:
    """Damage the bytes of an instance that is odd already."""
    chance = random.Random(seed)
    data_set, story = offer.data_set, [offer.what]
    for damage in chance.sample(_DAMAGES, chance.choice((1, 1, 2))):
        data_set = damage(chance, data_set)
        story.append(damage.__name__)
    return replace(offer, what=", ".join(story), data_set=data_set)


def plain_offer(seed: str) -> Offer:
    """Make an instance that nothing is wrong with."""
    instance = _instance_uid(seed)
    return Offer(
        what="plain",
        sop_class=MR_IMAGE_STORAGE.encode(),
        sop_instance=instance,
        transfer_syntax=EXPLICIT,
        data_set=encode(_elements(instance), implicit=False),
    )


def data_set_of_size(rows: int, *, study: str, series: str, instance: str, number: int) -> bytes:
    """Encode a plain square image of so many rows in Explicit VR Little Endian."""
    new = {_STUDY: study, _SERIES: series, _SOP_INSTANCE: instance, _INSTANCE_NUMBER: str(number)}
    size = struct.pack("<H", rows)
    values = {
        **{tag: value.encode() for tag, value in new.items()},
        **{_ROWS: size, _COLUMNS: size, _PIXEL_DATA: random.Random(number).randbytes(2 * rows * rows)},
    }
    named = [replace(one, value=values.get(one.tag, one.value)) for one in _plain_elements()]
    return encode([_padded(one) for one in named], implicit=False)


def _instance_uid(seed: str) -> bytes:
    return f"{_ROOT}.{zlib.crc32(seed.encode())}".encode()


def _elements(instance: bytes) -> list[Element]:
    named = (replace(one, value=instance) if one.tag == _SOP_INSTANCE else one for one in _plain_elements())
    return [_padded(one) for one in named]


@lru_cache(maxsize=1)
def _plain_elements() -> tuple[Element, ...]:
    (dataset,) = a_series(study="fuzz", slices=1, shape=(8, 6))
    dataset.SOPClassUID = MRImageStorage
    return tuple(elements_of(dataset))


def _padded(element: Element) -> Element:
    return replace(element, value=element.value + b"\0") if len(element.value) % 2 else element


def _swapped(elements: Sequence[Element]) -> bytes:
    """Encode in Explicit VR Big Endian; values of two bytes are left as they are, which is damage enough."""
    encoded = []
    for one in elements:
        length = len(one.value) if one.length is None else one.length
        head = struct.pack(">HH2s", one.tag >> 16, one.tag & 0xFFFF, one.vr)
        is_long = one.vr in (b"OB", b"OW", b"UN", b"SQ", b"UT")
        encoded.append(head + (struct.pack(">2xI", length) if is_long else struct.pack(">H", length & 0xFFFF)))
        encoded.append(one.value)
    return b"".join(encoded)


def _deflated(chance: random.Random, data_set: bytes) -> bytes:
    """Compress; sometimes into a bomb, or with a header that does not belong there, or damaged."""
    kind = chance.randrange(8)
    if kind == 0:
        packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        return packer.compress(data_set) + packer.flush(zlib.Z_FULL_FLUSH) + deflated_nothing(100) + b"\3\0"
    if kind == 1:
        return zlib.compress(data_set)
    packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(data_set) + packer.flush()
    return _flip(chance, packed) if kind == 2 else packed[: chance.randrange(len(packed))] if kind == 3 else packed


def deflated_nothing(megabytes: int) -> bytes:
    """Deflate so many megabytes of zeros into a few kilobytes, without an end."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    # After a full flush the same bytes mean the same again.
    return (packer.compress(bytes(1_000_000)) + packer.flush(zlib.Z_FULL_FLUSH)) * megabytes


def _place(chance: random.Random, elements: Sequence[Element]) -> int:
    return chance.randrange(len(elements))


def _swap_two(chance: random.Random, elements: list[Element]) -> list[Element]:
    first, second = _place(chance, elements), _place(chance, elements)
    elements[first], elements[second] = elements[second], elements[first]
    return elements


def _shuffle_all(chance: random.Random, elements: list[Element]) -> list[Element]:
    chance.shuffle(elements)
    return elements


def _repeat_one(chance: random.Random, elements: list[Element]) -> list[Element]:
    elements.insert(_place(chance, elements), chance.choice(elements))
    return elements


def _leave_out(chance: random.Random, elements: list[Element]) -> list[Element]:
    del elements[_place(chance, elements)]
    return elements


def _leave_out_identifier(chance: random.Random, elements: list[Element]) -> list[Element]:
    gone = chance.choice((_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES))
    return [one for one in elements if one.tag != gone]


def _change_vr(chance: random.Random, elements: list[Element]) -> list[Element]:
    at = _place(chance, elements)
    elements[at] = replace(elements[at], vr=chance.choice(_VRS))
    return elements


def _lie_about_length(chance: random.Random, elements: list[Element]) -> list[Element]:
    at = _place(chance, elements)
    true = len(elements[at].value)
    lies = (0, 1, true + 1, true - 1, true + 2, true * 2, 0xFFFF, 0xFFFE, 0x7FFF_FFFF, UNDEFINED, UNDEFINED - 1)
    elements[at] = replace(elements[at], length=max(0, chance.choice(lies)))
    return elements


def _nest(chance: random.Random, elements: list[Element]) -> list[Element]:
    depth = chance.choice((1, 2, 30, 300, 3000))
    tag = chance.choice((0x0008_1140, 0x0008_1115, 0x0009_1001, 0x0040_A730, 0x0020_9222))
    nested = sequence(tag, depth, undefined=depth > 300 or chance.random() < 0.5, closed=chance.random() < 0.8)
    elements.insert(_place(chance, elements), nested)
    return sorted(elements, key=lambda one: one.tag) if chance.random() < 0.7 else elements


def _odd_uid(chance: random.Random, elements: list[Element]) -> list[Element]:
    tag, value = chance.choice((_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES)), chance.choice(_ODD_UIDS)
    return [replace(one, value=value) if one.tag == tag else one for one in elements]


def _odd_number(chance: random.Random, elements: list[Element]) -> list[Element]:
    at = chance.choice([place for place, one in enumerate(elements) if one.vr in (b"IS", b"DS")])
    elements[at] = replace(elements[at], value=chance.choice(_ODD_NUMBERS))
    return elements


def _odd_text(chance: random.Random, elements: list[Element]) -> list[Element]:
    at = chance.choice([place for place, one in enumerate(elements) if one.vr in (b"LO", b"PN", b"SH", b"CS", b"DA")])
    value = chance.choice(
        (chance.randbytes(12), b"\x1b$B", b"=" * 9, b"\\" * 500, b"A" * 65534, b"\0" * 8, b"\x1b(I\xb1")
    )
    elements[at] = replace(elements[at], value=value)
    return elements


def _odd_character_set(chance: random.Random, elements: list[Element]) -> list[Element]:
    value, name = chance.choice(_CHARACTER_SETS), chance.choice((b"\xc4ndra", b"\x1b$B;3ED\x1b(B", b"\xff^\xfe=\x80"))
    new = {_CHARACTER_SET: value, _PATIENT_NAME: name}
    return [replace(one, value=new.get(one.tag, one.value)) for one in elements]


def _foreign_group(chance: random.Random, elements: list[Element]) -> list[Element]:
    """Put elements into the data set that only belong in front of it, or nowhere."""
    tag = chance.choice((0x0002_0010, 0x0002_0000, 0x0000_0002, 0x0000_0000, 0xFFFE_E000, 0xFFFE_E00D, 0xFFFF_FFFF))
    odd = Element(tag=tag, vr=chance.choice((b"UI", b"UL", b"OB")), value=chance.choice((b"1.2.840.10008.1.2\0", b"")))
    elements.insert(chance.choice((0, len(elements), _place(chance, elements))), odd)
    return elements


def _large_value(chance: random.Random, elements: list[Element]) -> list[Element]:
    """Push the identifiers far back."""
    size = chance.choice((70_000, 300_000))
    elements.insert(0, Element(tag=0x0008_0001, vr=b"UN", value=chance.randbytes(size)))
    return elements


def _cut_pixels(chance: random.Random, elements: list[Element]) -> list[Element]:
    at = next((place for place, one in enumerate(elements) if one.tag == _PIXEL_DATA), 0)
    value = elements[at].value
    elements[at] = replace(elements[at], value=value[: chance.randrange(len(value) + 1)])
    return elements


def _fragment_pixels(chance: random.Random, elements: list[Element]) -> list[Element]:
    """Encapsulate pixel data: with and without offset table and delimiter, and with lengths that are wrong."""
    table = struct.pack("<HHI", 0xFFFE, 0xE000, chance.choice((0, 4, 3, UNDEFINED)))
    pieces = [chance.randbytes(chance.choice((0, 2, 7, 100))) for _piece in range(chance.randrange(5))]
    items = [struct.pack("<HHI", 0xFFFE, 0xE000, len(one) + chance.choice((0, 0, 1, 5000))) + one for one in pieces]
    end = chance.choice((struct.pack("<HHI", 0xFFFE, 0xE0DD, 0), b""))
    pixels = Element(tag=_PIXEL_DATA, vr=b"OB", value=table + b"".join(items) + end, length=UNDEFINED)
    return [pixels if one.tag == _PIXEL_DATA else one for one in elements]


def _image_of_other_size(chance: random.Random, elements: list[Element]) -> list[Element]:
    tag = chance.choice((0x0028_0010, 0x0028_0011, 0x0028_0002, 0x0028_0100, 0x0028_0101, 0x0028_0103))
    value = chance.choice((b"\0\0", b"\xff\xff", b"\x07\0", b"\x20\0", b"\1", b"\1\0\2\0", b""))
    return [replace(one, value=value) if one.tag == tag else one for one in elements]


def _truncate(chance: random.Random, data: bytes) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _flip(chance: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _time in range(chance.choice((1, 3, 20)) if changed else 0):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _flip_in_front(chance: random.Random, data: bytes) -> bytes:
    return _flip(chance, data[:700]) + data[700:]


def _cut_out(chance: random.Random, data: bytes) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + data[at + chance.randrange(40) :]


def _repeat_piece(chance: random.Random, data: bytes) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + data[at : at + chance.randrange(400)] * 2 + data[at:]


def _insert_noise(chance: random.Random, data: bytes) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.randbytes(chance.randrange(1, 60)) + data[at:]


def _append_noise(chance: random.Random, data: bytes) -> bytes:
    return data + chance.choice((b"\0", bytes(3000), chance.randbytes(500), struct.pack("<HHI", 0xFFFC, 0xFFFC, 9)))


_CHANGES: tuple[_Change, ...] = (
    *(_swap_two, _shuffle_all, _repeat_one, _leave_out, _leave_out_identifier, _change_vr, _lie_about_length, _nest),
    *(_odd_uid, _odd_number, _odd_text, _odd_character_set, _foreign_group, _large_value, _cut_pixels),
    *(_fragment_pixels, _image_of_other_size),
)
_DAMAGES: tuple[_Damage, ...] = (
    *(_truncate, _flip, _flip_in_front, _cut_out, _repeat_piece, _insert_noise, _append_noise),
)
