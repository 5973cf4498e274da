from datetime import timedelta
from pathlib import Path

import pytest

from dicomnode.domain.door import UnknownPeers
from dicomnode.domain.errors import InvalidSettings
from dicomnode.domain.tls import CallingTls, ClientCertificate, KeyPair, ListeningTls
from dicomnode.node.settings import DestinationSettings, ListenerSettings, Role, as_environment, read_settings


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
        'ae_title = "SYNTH"\nquiet_seconds = 60\nunknown_peers = "admit"\n'
        '[[destinations]]\nname = "archive"\nae_title = "ARC"\nhost = "10.1.0.2"\nport = 104\n'
    )
    monkeypatch.setenv("DICOMNODE_QUIET_SECONDS", "5")
    settings = read_settings(file)
    assert settings.ae_title == "SYNTH"
    assert settings.quiet_seconds == 5
    assert settings.unknown_peers is UnknownPeers.ADMIT
    assert settings.destinations[0].name == "archive"


def test_how_long_studies_are_waited_for_is_set_for_all_and_for_single_senders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "site.toml"
    file.write_text(
        "quiet_seconds = 30\n[completion]\nmissing_seconds = 300\narchive = 'pacs'\n"
        "[completion_by_ae.MR1]\nstudy_quiet_seconds = 120\nafter_release_seconds = 20\n"
        "[completion_by_ae.STOW-RS]\nmissing_seconds = 60\n"
    )
    policies = read_settings(file).completion_policies
    everyone, scanner, web = policies.default, policies.of(["MR1"]), policies.of(["STOW-RS"])
    waits = [(one.study_quiet, one.after_release, one.missing, one.archive) for one in (everyone, scanner, web)]
    second = timedelta(seconds=1)
    assert waits == [
        (30 * second, 5 * second, 300 * second, "pacs"),
        (120 * second, 20 * second, 300 * second, "pacs"),
        (30 * second, 5 * second, 60 * second, "pacs"),
    ]
    for name, value in as_environment(read_settings(file)).items():
        monkeypatch.setenv(name, value)
    assert read_settings().completion_policies == policies


def test_only_a_destination_can_be_asked_how_much_it_has() -> None:
    archive = DestinationSettings(name="archive", ae_title="PACS", host="10.1.0.2", port=104)
    assert read_settings(destinations=(archive,), completion={"archive": "archive"}).completion.archive == "archive"
    with pytest.raises(InvalidSettings, match="names no destination"):
        read_settings(destinations=(archive,), completion={"archive": "nowhere"})
    with pytest.raises(InvalidSettings, match="names no destination"):
        read_settings(destinations=(archive,), completion_by_ae={"MR1": {"archive": "nowhere"}})


@pytest.mark.parametrize(
    ("host", "strangers"),
    [
        ("127.0.0.1", UnknownPeers.ADMIT),
        ("::1", UnknownPeers.ADMIT),
        ("localhost", UnknownPeers.ADMIT),
        ("0.0.0.0", UnknownPeers.REFUSE),
        ("::", UnknownPeers.REFUSE),
        ("10.1.0.7", UnknownPeers.REFUSE),
        ("node.example", UnknownPeers.REFUSE),
    ],
)
def test_strangers_come_in_only_where_no_other_machine_can_ask(host: str, strangers: UnknownPeers) -> None:
    assert read_settings(dicom_host=host).strangers is strangers


@pytest.mark.parametrize("said", UnknownPeers)
def test_what_is_said_of_strangers_holds_wherever_the_node_listens(said: UnknownPeers) -> None:
    assert read_settings(dicom_host="0.0.0.0", unknown_peers=said).strangers is said
    assert read_settings(dicom_host="127.0.0.1", unknown_peers=said).strangers is said


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
        ('unknown_peers = "perhaps"\n', "unknown_peers"),
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
    settings = read_settings(data=tmp_path, ae_title="THERE", roles=(Role.RECEIVE, Role.WEB), unknown_peers="refuse")
    for name, value in as_environment(settings).items():
        monkeypatch.setenv(name, value)
    assert read_settings().model_dump() == settings.model_dump()


TWO_LISTENERS = """
dicom_host = "127.0.0.1"
[[listeners]]
host = "0.0.0.0"
port = 2762
[listeners.tls]
certificate = "node.pem"
key = "node.key"
trusted = "authority.pem"
"""


def test_a_plain_and_a_tls_listener_stand_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dicomnode.toml").write_text(TWO_LISTENERS)
    settings = read_settings()
    plain, outside = settings.all_listeners
    assert (plain.name, plain.tls) == ("127.0.0.1:11112", None)
    assert outside.name == "0.0.0.0:2762"
    assert outside.tls is not None
    assert outside.tls.value == ListeningTls(
        pair=KeyPair(certificate=Path("node.pem"), key=Path("node.key")),
        trusted=Path("authority.pem"),
        client_certificate=ClientCertificate.REQUIRED,
    )
    assert settings.strangers is UnknownPeers.REFUSE
    (tmp_path / "dicomnode.toml").unlink()
    for name, value in as_environment(settings).items():
        monkeypatch.setenv(name, value)
    assert read_settings().model_dump() == settings.model_dump()


def test_the_plain_listener_can_be_left_out() -> None:
    only = ListenerSettings(host="127.0.0.1", port=2762)
    assert read_settings(plain_listener=False, listeners=(only,)).all_listeners == (only,)


def test_a_destination_is_reached_under_tls(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text(
        '[[destinations]]\nname = "archive"\nae_title = "ARC"\nhost = "arc.example"\nport = 2762\n'
        '[destinations.tls]\ntrusted = "authority.pem"\ncertificate = "node.pem"\nkey = "node.key"\n'
    )
    tls = read_settings(file).destinations[0].tls
    assert tls is not None
    pair = KeyPair(certificate=Path("node.pem"), key=Path("node.key"))
    assert tls.value == CallingTls(trusted=Path("authority.pem"), pair=pair, check_host_name=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("plain_listener = false\n", "no listener: plain_listener is off"),
        ('[[listeners]]\nhost = "127.0.0.1"\nport = 11112\n', "two listeners on one address"),
        (TWO_LISTENERS.replace("trusted", "# "), r"listeners\.0\.tls: .*`trusted` is left out"),
        (TWO_LISTENERS + 'client_certificate = "perhaps"\n', r"listeners\.0\.tls\.client_certificate"),
        (
            '[[destinations]]\nname = "archive"\nae_title = "ARC"\nhost = "arc"\nport = 104\n'
            '[destinations.tls]\ntrusted = "authority.pem"\nkey = "node.key"\n',
            r"destinations\.0\.tls: .*give both, or neither",
        ),
    ],
)
def test_listeners_and_tls_that_make_no_sense_are_refused(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "site.toml"
    file.write_text(text)
    with pytest.raises(InvalidSettings, match=words):
        read_settings(file)
