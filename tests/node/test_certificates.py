"""The certificates that the settings name: read at the start, told in the log and by doctor."""

import logging
from datetime import timedelta
from pathlib import Path

import pytest

from dicomnode.domain.errors import InvalidSettings
from dicomnode.domain.tls import CertificateLevel, KeyPair
from dicomnode.node.certificates import certificate_files, listener_credentials, log_certificates
from dicomnode.node.clock import SystemClock
from dicomnode.node.doctor import Verdict, examine
from dicomnode.node.settings import (
    DestinationSettings,
    DestinationTlsSettings,
    ListenerSettings,
    ListenerTlsSettings,
    Settings,
)
from tests.certificates import DAY, EXPIRED, Authority, Validity
from tests.nodes import free_port

SOON, NOW = Validity(ends=20 * DAY + timedelta(hours=1)), Validity(ends=3 * DAY + timedelta(hours=1))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def _settings(authority: Authority, listener: KeyPair, destination: KeyPair, data: Path = Path("var")) -> Settings:
    tls = ListenerTlsSettings(certificate=listener.certificate, key=listener.key, trusted=authority.trusted)
    sending = DestinationTlsSettings(
        certificate=destination.certificate, key=destination.key, trusted=authority.trusted
    )
    archive = DestinationSettings(name="archive", ae_title="ARC", host="127.0.0.1", port=free_port(), tls=sending)
    return Settings(
        data=data,
        dicom_port=free_port(),
        web_port=free_port(),
        listeners=(ListenerSettings(host="0.0.0.0", port=2762, tls=tls),),
        destinations=(archive,),
    )


def test_each_certificate_is_told_with_its_place(authority: Authority) -> None:
    settings = _settings(authority, authority.pair("long"), authority.pair("soon", SOON))
    now = SystemClock().now()
    told = {state.used_by: state.level(now) for state in certificate_files(settings, SystemClock()).states()}
    assert told == {"listener 0.0.0.0:2762": CertificateLevel.OK, "destination archive": CertificateLevel.EXPIRES}


def test_the_log_warns_of_what_ends_soon(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log_certificates(_settings(authority, authority.pair("long"), authority.pair("now", NOW)), SystemClock())
    (long, soon) = [record for record in caplog.records if record.name == "dicomnode.node.certificates"]
    assert long.levelno == logging.INFO
    assert "certificate of listener 0.0.0.0:2762: expires in 36" in long.getMessage()
    assert soon.levelno == logging.WARNING
    assert "certificate of destination archive: expires in 3 days" in soon.getMessage()


def test_doctor_tells_how_long_each_is_valid(authority: Authority, tmp_path: Path) -> None:
    pairs = [
        authority.pair("fine"),
        authority.pair("short", SOON),
        authority.pair("shorter", NOW),
        authority.pair("late", EXPIRED),
    ]
    listeners = [_settings(authority, pair, pair).listeners[0] for pair in pairs]
    further = tuple(one.model_copy(update={"port": 2762 + number}) for number, one in enumerate(listeners))
    settings = _settings(authority, pairs[0], pairs[0], tmp_path).model_copy(update={"listeners": further})
    found = {one.subject: one for one in examine(settings) if one.subject.startswith("certificate of listener")}
    told = [found[f"certificate of listener 0.0.0.0:{port}"] for port in (2762, 2763, 2764, 2765)]
    assert [one.verdict for one in told] == [Verdict.OK, Verdict.OPTIONAL, Verdict.MISSING, Verdict.MISSING]
    for one, words in zip(
        told, ("expires in 36", "expires in 20 days", "expires in 3 days", "expired on"), strict=True
    ):
        assert words in one.found


def test_a_listener_that_cannot_show_its_certificate_does_not_start(authority: Authority) -> None:
    listener = _settings(authority, authority.pair("past", EXPIRED), authority.pair("other")).listeners[0]
    with pytest.raises(InvalidSettings, match=r"listener 0\.0\.0\.0:2762: the certificate .*past\.pem expired on"):
        listener_credentials(listener, SystemClock())


def test_a_plain_listener_has_nothing_to_show() -> None:
    assert listener_credentials(ListenerSettings(host="127.0.0.1", port=104), SystemClock()) is None
