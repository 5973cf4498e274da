"""The tree of errors: complete, documented, and sane in the protocols it answers in."""

import re
from collections.abc import Iterator

import pytest

import dicomnode.domain.errors as errors
from dicomnode.domain.errors import DicomnodeError, ModelFailed, SpoolFull, error_named


def _tree(root: type[DicomnodeError]) -> Iterator[type[DicomnodeError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _tree(child)


def _drawn(root: type[DicomnodeError], depth: int = 0) -> Iterator[tuple[int, str]]:
    """List the classes as the drawing in the module's docstring indents them."""
    yield depth, root.__name__
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _drawn(child, depth + 1)


EVERY = tuple(_tree(DicomnodeError))
LEAVES = tuple(error for error in EVERY if not error.__subclasses__())
each = pytest.mark.parametrize("error", EVERY, ids=lambda error: error.__name__)


def test_the_drawing_shows_the_tree_as_it_is() -> None:
    drawing = (errors.__doc__ or "").split("\n\n")[1]
    lines = [re.match(r"([│├└─ ]*)(\w+)", line) for line in drawing.splitlines()]
    drawn = [(len(found.group(1)) // 4, found.group(2)) for found in lines if found is not None]
    assert drawn == list(_drawn(DicomnodeError))


@each
def test_every_error_says_what_it_means_and_what_to_do(error: type[DicomnodeError]) -> None:
    assert error.__doc__
    assert error.help.endswith(".")


@pytest.mark.parametrize("error", LEAVES, ids=lambda error: error.__name__)
def test_every_leaf_has_advice_of_its_own_line(error: type[DicomnodeError]) -> None:
    assert error.help != DicomnodeError.help


@each
def test_the_dimse_status_is_a_failure_of_the_storage_service(error: type[DicomnodeError]) -> None:
    """PS3.4 Table B.2-1: A7xx, A9xx and Cxxx are the failures of C-STORE."""
    assert error.dimse_status in range(0xA700, 0xA800) or error.dimse_status in (
        *range(0xA900, 0xAA00),
        *range(0xC000, 0xD000),
    )


@each
def test_out_of_resources_is_said_exactly_when_the_sender_should_try_again(error: type[DicomnodeError]) -> None:
    if issubclass(error, errors.ReceptionError):
        assert (error.dimse_status in range(0xA700, 0xA800)) == error.retryable


@each
def test_the_http_status_is_an_error(error: type[DicomnodeError]) -> None:
    assert 400 <= error.http_status < 600


@each
def test_an_error_is_found_again_by_its_name(error: type[DicomnodeError]) -> None:
    assert error_named(error.__name__) is error


def test_an_unknown_name_gives_the_root() -> None:
    assert error_named("ZeroDivisionError") is DicomnodeError


def test_the_reason_is_the_sentence_or_else_the_name() -> None:
    assert SpoolFull("no room").reason == "no room"
    assert ModelFailed().reason == "ModelFailed"
