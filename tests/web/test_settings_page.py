"""The settings in force are shown with what each is for, and nothing that is a secret."""

from pathlib import Path
from typing import Any

from dicomnode.domain.account import AccountRole
from dicomnode.node.settings import Settings
from dicomnode.node.settings_in_words import settings_in_words
from tests.web.holdings import Browser, Holdings, visited_by
from tests.web.test_pages import words

SETTINGS = Settings(
    database="postgresql+psycopg://node:swordfish@db.example:5432/node",
    web_certificate=Path("/etc/dicomnode/web.pem"),
    web_key=Path("/etc/dicomnode/secret-place.key"),
    listeners=[
        {
            "host": "0.0.0.0",
            "port": 2762,
            "tls": {
                "certificate": "/etc/dicomnode/node.pem",
                "key": "/etc/dicomnode/secret-place.key",
                "trusted": "/etc/dicomnode/authority.pem",
            },
        }
    ],
    quiet_seconds=25,
)


def lines() -> dict[str, str]:
    return {line.name: line.value for group in settings_in_words(SETTINGS) for line in group.lines}


def test_every_setting_is_there_once() -> None:
    names = [line.name for group in settings_in_words(SETTINGS) for line in group.lines]
    assert sorted(names) == sorted(Settings.model_fields)


def test_no_password_and_no_path_of_a_key_is_written() -> None:
    told = str(settings_in_words(SETTINGS))
    for secret in ("swordfish", "node:", "secret-place"):
        assert secret not in told
    assert lines()["database"] == "postgresql+psycopg://db.example:5432/node"
    assert lines()["web_key"] == "set, not shown"
    assert "key set, not shown" in lines()["listeners"]
    assert "/etc/dicomnode/node.pem" in lines()["listeners"]


def test_values_are_in_words_and_say_whether_somebody_set_them() -> None:
    by_name = {line.name: line for group in settings_in_words(SETTINGS) for line in group.lines}
    assert (by_name["quiet_seconds"].value, by_name["quiet_seconds"].is_default) == ("25", False)
    assert (by_name["make_room"].value, by_name["make_room"].is_default) == ("no", True)
    assert by_name["keep_days"].value == ""
    assert "removed by age" in by_name["keep_days"].description


def test_only_an_administrator_sees_them(holdings: Holdings) -> None:
    site: dict[str, Any] = {"settings": settings_in_words(SETTINGS)}
    for role in AccountRole:
        visitor = Browser(visited_by(holdings.app(**site), role))
        if role is AccountRole.ADMINISTRATOR:
            assert "A study that received nothing for so long is taken to be complete." in words(
                visitor.get("/settings")
            )
        else:
            assert visitor.get("/settings").status_code == 403
            assert 'href="/settings"' not in visitor.get("/").text
