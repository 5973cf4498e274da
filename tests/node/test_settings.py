from pathlib import Path

import pytest

from dicomnode.domain.errors import InvalidSettings
from dicomnode.node.settings import Role, as_environment, read_settings


@pytest.fixture(autouse=True)
def _no_settings_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_defaults_fit_a_first_try_on_loopback() -> None:
    settings = read_settings()
    assert settings.dicom_host == "127.0.0.1"
    assert settings.web_host.is_loopback
    assert set(settings.roles) == set(Role)
    assert settings.database_url == f"sqlite:///{Path('var/ledger.db').resolve()}"
    assert settings.rules_file.is_file()


def test_a_file_is_read_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "site.toml"
    file.write_text(
        'ae_title = "SYNTH"\nquiet_seconds = 60\nnetworks = ["10.1.0.0/16"]\n'
        '[[destinations]]\nname = "archive"\nae_title = "ARC"\nhost = "10.1.0.2"\nport = 104\n'
    )
    monkeypatch.setenv("DICOMNODE_QUIET_SECONDS", "5")
    settings = read_settings(file)
    assert settings.ae_title == "SYNTH"
    assert settings.quiet_seconds == 5
    assert str(settings.networks[0]) == "10.1.0.0/16"
    assert settings.destinations[0].name == "archive"


def test_peers_are_read_and_travel_through_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "site.toml"
    file.write_text('[[peers]]\nae_title = "CT-1"\nhost = "10.1.0.7"\nport = 104\n')
    settings = read_settings(file)
    assert [(peer.ae_title, peer.host, peer.port) for peer in settings.peers] == [("CT-1", "10.1.0.7", 104)]
    for name, value in as_environment(settings).items():
        monkeypatch.setenv(name, value)
    assert read_settings().peers == settings.peers


def test_dicomnode_toml_is_found_where_the_node_is_started(tmp_path: Path) -> None:
    (tmp_path / "dicomnode.toml").write_text('ae_title = "HERE"\n')
    assert read_settings().ae_title == "HERE"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('ae_titel = "X"\n', "ae_titel"),
        ('ae_title = "MUCH TOO LONG A TITLE"\n', "ae_title"),
        ("dicom_port = 70000\n", "dicom_port"),
        ('web_host = "0.0.0.0"\n', "web_host"),
        ('networks = ["10.1.0.0/99"]\n', "networks"),
        ('[[destinations]]\nname = "pacs"\nae_title = "P"\nhost = "h"\n', "port"),
        ("this is not toml", "cannot be read"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "site.toml"
    file.write_text(text)
    with pytest.raises(InvalidSettings, match=named):
        read_settings(file)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="no settings file"):
        read_settings(tmp_path / "gone.toml")


def test_settings_travel_through_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read_settings(data=tmp_path, ae_title="THERE", roles=(Role.RECEIVE, Role.WEB), calling_ae=("A", "B"))
    for name, value in as_environment(settings).items():
        monkeypatch.setenv(name, value)
    assert read_settings().model_dump() == settings.model_dump()
