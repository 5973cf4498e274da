"""Attribute matching (PS3.4 section C.2.2.2)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.imaging.matching import matches

NAME, DATE, TIME, UID, TEXT, NUMBER, MODALITIES = (
    "00100010",
    "00080020",
    "00080030",
    "0020000D",
    "00081030",
    "00200011",
    "00080061",
)


def element(vr: str, *values: object) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)}


HEADER = {
    NAME: element("PN", {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}),
    DATE: element("DA", "20260301"),
    TIME: element("TM", "101500.25"),
    UID: element("UI", "1.2.3"),
    TEXT: element("LO", "MR head (axial)"),
    NUMBER: element("IS", 7),
    MODALITIES: element("CS", "MR", "CT"),
}


@pytest.mark.parametrize(
    ("tag", "wanted"),
    [
        (NAME, "Yamada^Tarou"),
        (NAME, "yamada*"),
        (NAME, "*TAROU"),
        (NAME, "山田*"),
        (NAME, "Yamada^Tar?u"),
        (DATE, "20260301"),
        (DATE, "20260301-20260301"),
        (DATE, "20260201-"),
        (DATE, "-20260401"),
        (TIME, "10-11"),
        (TIME, "-1015"),
        (UID, "1.2.3"),
        (UID, "9.9,1.2.3"),
        (UID, "9.9\\1.2.3"),
        (TEXT, "*head*"),
        (TEXT, "MR head (axial)"),
        (NUMBER, "7"),
        (MODALITIES, "CT"),
        (TEXT, ""),
        (TEXT, "*"),
        ("00080050", ""),
    ],
)
def test_what_matches(tag: str, wanted: str) -> None:
    assert matches(HEADER, {tag: wanted})


@pytest.mark.parametrize(
    ("tag", "wanted"),
    [
        (NAME, "Yamada"),
        (NAME, "?amada"),
        (DATE, "20260302-"),
        (DATE, "-20260228"),
        (TIME, "11-12"),
        (UID, "1.2"),
        (UID, "1.2.*"),
        (TEXT, "head"),
        (TEXT, "*HEAD*"),
        (TEXT, "MR head .axial."),
        (NUMBER, "70"),
        (MODALITIES, "PT"),
        ("00080050", "ACC-1"),
    ],
)
def test_what_does_not_match(tag: str, wanted: str) -> None:
    assert not matches(HEADER, {tag: wanted})


@pytest.mark.parametrize("wanted", ["20260301", "2026.03.01", "-20260301", "20260301-20260302"])
def test_a_date_with_dots_is_a_date(wanted: str) -> None:
    old = {DATE: element("DA", "2026.03.01")}
    assert matches(old, {DATE: wanted})
    assert not matches(old, {DATE: "20260302-"})
    assert not matches(old, {DATE: "-20260228"})


def test_all_conditions_have_to_hold() -> None:
    assert matches(HEADER, {UID: "1.2.3", TEXT: "MR*"})
    assert not matches(HEADER, {UID: "1.2.3", TEXT: "CT*"})


@given(st.text(min_size=1).filter(lambda text: not set(text) & set("*?")))
def test_a_text_without_wildcards_matches_itself_and_nothing_longer(text: str) -> None:
    assert matches({TEXT: element("LO", text)}, {TEXT: text})
    assert not matches({TEXT: element("LO", f"{text}x")}, {TEXT: text})


@given(st.text(), st.text(), st.text())
def test_a_star_stands_for_anything(before: str, between: str, after: str) -> None:
    literal = [part.replace("*", "").replace("?", "") for part in (before, after)]
    assert matches({TEXT: element("LO", literal[0] + between + literal[1])}, {TEXT: "*".join(literal)})
