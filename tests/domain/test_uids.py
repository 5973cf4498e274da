"""Identifiers: what the standard allows is taken as it came, all else is refused."""

import pickle
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.domain.errors import InvalidValue
from dicomnode.domain.uids import UID, AETitle, SOPInstanceUID, StudyInstanceUID, derived_uid

_COMPONENT = st.integers(min_value=0, max_value=10**8).map(str)
_UID_TEXT = st.lists(_COMPONENT, min_size=1, max_size=7).map(".".join).filter(lambda text: len(text) <= 64)
_AE_CHARACTERS = "".join(character for character in string.printable if character.isprintable() and character != "\\")


@given(_UID_TEXT)
def test_a_uid_of_the_standards_form_is_kept_as_it_is(text: str) -> None:
    uid = StudyInstanceUID(text)

    assert uid == text
    assert uid.is_strict


@given(_UID_TEXT, st.sampled_from(["\0", " ", "\0\0", " \0"]))
def test_padding_is_not_part_of_a_uid(text: str, padding: str) -> None:
    assert UID(text + padding) == text


@given(st.text(max_size=70).filter(lambda text: not set(text.rstrip("\0 ")) <= set("0123456789.")))
def test_other_characters_make_no_uid(text: str) -> None:
    with pytest.raises(InvalidValue):
        UID(text)


@pytest.mark.parametrize("text", ["", ".", "1.", ".1", "1..2", "1.2\n", "١.٢", "../1", "1" * 65, "1." + "2" * 63])
def test_near_misses_make_no_uid(text: str) -> None:
    with pytest.raises(InvalidValue):
        UID(text)


def test_a_leading_zero_is_taken_but_not_strict() -> None:
    assert UID("1.2.003") == "1.2.003"
    assert not UID("1.2.003").is_strict


def test_the_refusal_names_the_kind_of_uid_and_not_the_value() -> None:
    with pytest.raises(InvalidValue, match="not a StudyInstanceUID") as caught:
        StudyInstanceUID("Doe^Jane")
    assert "Doe" not in caught.value.reason


def test_a_uid_travels_to_another_process_and_back() -> None:
    uid = SOPInstanceUID("1.2.3")
    back = pickle.loads(pickle.dumps(uid))
    assert (type(back), back) == (SOPInstanceUID, uid)


@given(st.text(alphabet=_AE_CHARACTERS, min_size=1, max_size=16).filter(lambda text: text.strip(" ") != ""))
def test_an_ae_title_keeps_its_significant_characters(text: str) -> None:
    assert AETitle(text) == text.strip(" ")
    assert AETitle(text.strip(" ").ljust(16)) == text.strip(" ")


@pytest.mark.parametrize("text", ["", " ", " " * 16, "A" * 17, "A\\B", "A\nB", "A\0", "Ä", "A\x7f"])
def test_what_is_no_ae_title_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        AETitle(text)


@given(st.lists(st.text(max_size=80), min_size=1, max_size=5))
def test_a_derived_uid_is_valid_and_always_the_same(entropy: list[str]) -> None:
    uid = derived_uid(*entropy)

    assert uid == derived_uid(*entropy)
    assert uid.startswith("2.25.")
    assert UID(uid).is_strict


@given(st.lists(st.text(max_size=10), min_size=1, max_size=3), st.lists(st.text(max_size=10), min_size=1, max_size=3))
def test_other_texts_give_another_derived_uid(one: list[str], other: list[str]) -> None:
    assert (derived_uid(*one) == derived_uid(*other)) == ("\0".join(one) == "\0".join(other))


def test_a_derived_uid_never_changes_between_versions() -> None:
    """A retry after an upgrade must name the same series; this value is a promise."""
    assert derived_uid("derive:key", "series") == "2.25.9057833044920414848417852586030896454"
