"""A peer's numbers become words, those that the standard does not know included."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.dimse.peer_words import abortion, rejection

_BYTE = st.none() | st.integers(min_value=0, max_value=255)


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((1, 1, 3), "rejected for good by the application: calling AE title not recognized"),
        ((1, 1, 7), "rejected for good by the application: called AE title not recognized"),
        ((2, 3, 1), "rejected for now by its upper layer (presentation): temporary congestion"),
        ((2, 3, 2), "rejected for now by its upper layer (presentation): local limit exceeded"),
        ((1, 2, 2), "rejected for good by its upper layer (association control): protocol version not supported"),
        ((3, 4, 5), "result 3 by source 4: reason 5"),
    ],
)
def test_a_rejection_in_words(numbers: tuple[int, int, int], said: str) -> None:
    """PS3.8 Table 9-21."""
    assert rejection(*numbers) == said


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((0, 0), "by the application"),
        ((0, 6), "by the application"),
        ((2, 0), "by its upper layer: no reason given"),
        ((2, 2), "by its upper layer: unexpected PDU"),
        ((2, 3), "by its upper layer: reason 3"),
        ((7, 1), "by source 7: unrecognized PDU"),
    ],
)
def test_an_abort_in_words(numbers: tuple[int, int], said: str) -> None:
    """PS3.8 Table 9-26: the reason says something only when the upper layer is the source."""
    assert abortion(*numbers) == said


@given(_BYTE, _BYTE, _BYTE)
def test_there_are_words_for_whatever_comes(result: int | None, source: int | None, reason: int | None) -> None:
    assert rejection(result, source, reason)
    assert abortion(source, reason)
