"""The conformance statement says what the node answers."""

import re

from dicomnode.domain.errors import InvalidValue, ReceptionError
from dicomnode.imaging.headers import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicomnode.node.settings import Settings
from tests.conftest import ROOT

STATEMENT = (ROOT / "deploy" / "CONFORMANCE.md").read_text(encoding="utf-8")


def _statuses(kind: type[ReceptionError]) -> set[int]:
    children: list[type[ReceptionError]] = kind.__subclasses__()
    return {child.dimse_status for child in children}.union(*(_statuses(child) for child in children))


def test_every_status_the_node_answers_to_c_store_is_in_its_table() -> None:
    section = STATEMENT.split("### 3.1")[1].split("### 3.2")[0]
    stated = {int(code, 16) for code in re.findall(r"^\| 0x([0-9A-F]{4}) ", section, re.MULTILINE)}
    assert stated == {0x0000, InvalidValue.dimse_status} | _statuses(ReceptionError)


def test_the_identification_is_what_files_carry() -> None:
    assert IMPLEMENTATION_CLASS_UID in STATEMENT
    assert IMPLEMENTATION_VERSION_NAME in STATEMENT


def test_the_defaults_are_those_of_the_settings() -> None:
    for name, shown in (("maximum_associations", "64"), ("refuse_free_percent", "2 %"), ("refuse_free_gib", "1 GiB")):
        assert f"`{name}` ({shown})" in STATEMENT
        assert shown.split()[0] == f"{Settings.model_fields[name].default:g}"
