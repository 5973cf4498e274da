"""The layout of headers that were walked before: instances of one series differ in the lengths of few elements.

Walking a header element by element is what costs most in taking an instance. Where the elements are those of the header
before, all that were always as long as now are checked and read by two calls. A layout never accepts what a walk would
not: it compares the tag, VR and length of every element with one that was walked.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from dicomnode.imaging.explicit_vr import LONG_HEADER, NOT_PLAIN, SHORT_HEADER, UNDEFINED, end_of_sequence

_LENGTH_AT = {SHORT_HEADER: struct.Struct("<6xH"), LONG_HEADER: struct.Struct("<8xI")}
_DELIMITED = UNDEFINED.to_bytes(4, "little")
_MOST_LAYOUTS = 8
"""So many kinds of headers are remembered: more senders than that at once are walked again and again."""

_MOST_ELEMENTS = 1000
"""A header with more is walked: nobody's images have so many, and to remember it would cost more than it saves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """An element as a walk in Explicit VR found it: what stands in front of its value, how long that really is."""

    header: bytes
    tag: int
    length: int
    is_wanted: bool

    @property
    def kind(self) -> bytes:
        """Tag and VR."""
        return self.header[:6]


class _Run:
    """Elements that were always as long: checked and read at once."""

    def __init__(self, elements: Sequence[Element]) -> None:
        self.size = sum(len(one.header) + one.length for one in elements)
        self._headers = struct.Struct("<" + "".join(f"{len(one.header)}s{one.length}x" for one in elements))
        self._expected = tuple(one.header for one in elements)
        self._tags = tuple(one.tag for one in elements if one.is_wanted)
        self._values = struct.Struct(
            "<" + "".join(f"{len(one.header)}x{one.length}{'s' if one.is_wanted else 'x'}" for one in elements)
        )

    def read(self, data: memoryview, position: int, values: dict[int, bytes]) -> int:
        """Read the values from a position and give the position behind; NOT_PLAIN where the elements are others."""
        if len(data) - position < self.size or self._headers.unpack_from(data, position) != self._expected:
            return NOT_PLAIN
        if self._tags:
            values.update(zip(self._tags, self._values.unpack_from(data, position), strict=True))
        return position + self.size


class _Varying:
    """An element that is not always as long."""

    def __init__(self, element: Element) -> None:
        self._kind = element.kind
        self._is_sequence = element.kind.endswith(b"SQ")
        self._size = len(element.header)
        self._length_at = _LENGTH_AT[self._size]
        self._tag = element.tag if element.is_wanted else None

    def read(self, data: memoryview, position: int, values: dict[int, bytes]) -> int:
        """Read the value from a position and give the position behind; NOT_PLAIN where the element is another."""
        if len(data) - position < self._size or data[position : position + 6] != self._kind:
            return NOT_PLAIN
        (length,) = self._length_at.unpack_from(data, position)
        end = position + self._size + int(length)
        if length == UNDEFINED:
            end = end_of_sequence(data, position + self._size) if self._is_sequence else NOT_PLAIN
        if not position < end <= len(data):
            return NOT_PLAIN
        if self._tag is not None:
            values[self._tag] = bytes(data[position + self._size : end])
        return end


class _Layout:
    """One sequence of elements, and which of them vary in length."""

    def __init__(self, elements: Sequence[Element], last: bytes, varying: frozenset[int]) -> None:
        self._elements = tuple(elements)
        self._last = last
        self._varying = varying
        self._parts: list[_Run | _Varying] = []
        run: list[Element] = []
        for index, element in enumerate(elements):
            if index not in varying:
                run.append(element)
                continue
            self._close(run)
            self._parts.append(_Varying(element))
            run = []
        self._close(run)

    def _close(self, run: Sequence[Element]) -> None:
        if run:
            self._parts.append(_Run(run))

    def read(self, data: memoryview) -> dict[int, bytes] | None:
        """Read the wanted values; None where the header is laid out in another way."""
        values: dict[int, bytes] = {}
        position = 0
        for part in self._parts:
            position = part.read(data, position, values)
            if position < 0:
                return None
        is_whole = len(data) - position >= LONG_HEADER and data[position : position + len(self._last)] == self._last
        return values if is_whole else None

    def widened(self, elements: Sequence[Element], last: bytes) -> "_Layout | None":
        """Make the layout that also takes these elements; None when they are others."""
        if last != self._last or [one.kind for one in elements] != [one.kind for one in self._elements]:
            return None
        differing = (
            index
            for index, (one, known) in enumerate(zip(elements, self._elements, strict=True))
            if one.header != known.header
        )
        return _Layout(elements, last, self._varying.union(differing))


class HeaderLayouts:
    """Remembers the layouts of the latest headers; any thread may use it."""

    def __init__(self) -> None:
        self._layouts: tuple[_Layout, ...] = ()

    def read(self, data: memoryview) -> dict[int, bytes] | None:
        """Read the wanted values of a header that is laid out as one before; None where it has to be walked."""
        for layout in self._layouts:
            values = layout.read(data)
            if values is not None:
                return values
        return None

    def learn(self, elements: Sequence[Element], last: bytes) -> None:
        """Remember a header that was walked: its elements, and the tag and VR of the one behind them."""
        if len(elements) > _MOST_ELEMENTS:
            return
        for layout in self._layouts:
            wider = layout.widened(elements, last)
            if wider is not None:
                self._layouts = (wider, *(one for one in self._layouts if one is not layout))
                return
        delimited = frozenset(index for index, one in enumerate(elements) if one.header.endswith(_DELIMITED))
        self._layouts = (_Layout(elements, last, delimited), *self._layouts)[:_MOST_LAYOUTS]
