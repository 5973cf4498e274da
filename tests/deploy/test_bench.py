"""The benchmark's own parts: what it sends is DICOM, what it counts is right, and what it judges follows from it."""

import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread

from deploy.bench.association import Acceptor, AssociationRequestor, store_request
from deploy.bench.chart import draw
from deploy.bench.data_sets import DataSetName, FreshInstance, Templates, make_data_sets, number_of, sent_uid
from deploy.bench.listener import OpenDoor, UnsyncedReception
from deploy.bench.machine import describe_machine
from deploy.bench.measure import Failure, IdleMeasurement, Measurement
from deploy.bench.plan import Client, Medium, ServerName, full_plan, only, quick_plan
from deploy.bench.processes import cpu_seconds, forget_peak, memory, settle
from deploy.bench.results import Results
from deploy.bench.sender import Order, Outcome
from deploy.bench.servers import ROOT
from deploy.bench.statistic import percentile, spread, spread_of_known
from deploy.bench.summary import summarise, summarise_idle
from deploy.bench.table import report
from deploy.bench.targets import judge
from dicomnode.dimse.storage_scp import Listening, StorageSCP
from dicomnode.domain.uids import AETitle

_MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
_PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def mr_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    make_data_sets(folder, {DataSetName.MR})
    return folder / DataSetName.MR


@pytest.fixture
def received(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """The port of the listener that promises nothing, and the folder it writes to."""
    listening = Listening(host="127.0.0.1", port=0, ae_title=AETitle("BENCHSCP"), doorkeeper=OpenDoor())
    scp = StorageSCP(listening, UnsyncedReception(tmp_path))
    scp.start()
    yield scp.port, tmp_path
    scp.stop()


def test_the_data_are_instances_as_scanners_send_them(mr_folder: Path) -> None:
    templates = Templates(mr_folder)
    files = templates.files(1000)
    assert len(files) == 400
    instance = dcmread(files[7])
    assert 70 <= len(list(instance.iterall())) <= 250
    assert 131_072 < files[7].stat().st_size < 140_000
    assert instance.pixel_array.shape == (256, 256)
    assert instance.SOPInstanceUID != dcmread(files[8]).SOPInstanceUID


def test_a_fresh_instance_differs_from_its_file_in_its_uid_alone(mr_folder: Path) -> None:
    templates = Templates(mr_folder)
    file = templates.files(8)[7]
    original = str(dcmread(file).SOPInstanceUID)
    fresh = templates.instance(407)
    assert fresh.sop_instance_uid == sent_uid(407) != original
    assert templates.data_set(original) in file.read_bytes()
    assert fresh.data_set.replace(sent_uid(407).encode(), original.encode()) == templates.data_set(original)
    assert templates.data_set(sent_uid(407)) == fresh.data_set


@given(st.integers(0, 9_999_999_999))
def test_a_uid_tells_its_number(number: int) -> None:
    uid = sent_uid(number)
    assert number_of(uid) == number
    assert len(uid) == len(sent_uid(0))
    assert int(uid.removeprefix("2.25.")) < 2**128


@given(st.binary(min_size=2, max_size=5000), st.integers(20, 3000))
def test_a_request_is_cut_into_pdus_and_comes_together_again(data_set: bytes, pdu_length: int) -> None:
    instance = FreshInstance(sop_class_uid=_MR_IMAGE, sop_instance_uid=sent_uid(1), data_set=data_set)
    request, fragments = store_request(instance, 1, pdu_length), []
    while request:
        kind, length, item_length, context, control = struct.unpack_from(">BxIIBB", request)
        assert (kind, context, item_length) == (4, 1, length - 4)
        fragments.append((control, request[12 : 6 + length]))
        request = request[6 + length :]
    assert [control for control, _fragment in fragments] == [3, *[0] * (len(fragments) - 2), 2]
    assert b"".join(fragment for _control, fragment in fragments[1:]) == data_set
    assert all(len(fragment) + 6 <= pdu_length for _control, fragment in fragments[1:])


def test_several_senders_deliver_every_byte(mr_folder: Path, received: tuple[int, Path]) -> None:
    port, folder = received
    order = Order(host="127.0.0.1", port=port, ae_title="BENCHSCP", folder=str(mr_folder), count=10, senders=3)
    words = [sys.executable, "-m", "deploy.bench.sender", json.dumps(asdict(order))]
    told = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    outcome = Outcome(**json.loads(told.stdout))
    assert (outcome.instances, outcome.refused) == (10, 0)
    assert outcome.seconds > 0
    assert outcome.p50_ms is not None
    assert outcome.p99_ms is not None
    assert 0 < outcome.p50_ms <= outcome.p99_ms
    templates = Templates(mr_folder)
    kept = {str(dcmread(file, stop_before_pixels=True).SOPInstanceUID): file for file in folder.iterdir()}
    assert set(kept) == {sent_uid(number) for number in range(10)}
    assert all(file.read_bytes().endswith(templates.data_set(uid)) for uid, file in kept.items())


def test_a_status_that_is_no_success_is_told(mr_folder: Path, received: tuple[int, Path]) -> None:
    port, folder = received
    acceptor = Acceptor(host="127.0.0.1", port=port, ae_title="BENCHSCP")
    right = Templates(mr_folder).instance(1)
    wrong = FreshInstance(sop_class_uid=_MR_IMAGE, sop_instance_uid=sent_uid(2), data_set=right.data_set)
    with AssociationRequestor(acceptor, _MR_IMAGE) as association:
        assert association.store(store_request(wrong, 1, association.pdu_length)) == 0xA900
        assert association.store(store_request(right, 2, association.pdu_length)) == 0x0000
    assert len(list(folder.iterdir())) == 1


def test_a_context_that_is_not_accepted_ends_the_association(received: tuple[int, Path]) -> None:
    with pytest.raises(ConnectionError, match="context was not accepted"):
        AssociationRequestor(Acceptor(host="127.0.0.1", port=received[0], ae_title="BENCHSCP"), "1.2.3.4")


def test_the_time_of_a_process_and_of_its_ended_children_counts() -> None:
    work = "import subprocess, sys, time; {} ; print('done', flush=True); time.sleep(60)"
    child = "subprocess.run([sys.executable, '-c', 'sum(range(8_000_000))'])"
    words = [sys.executable, "-c", work.format(child)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        spent = cpu_seconds(process.pid)
        settle(process.pid, 2)
        assert 0.05 < spent < 30
        assert cpu_seconds(process.pid) - spent < 0.05
        process.kill()


def test_a_peak_of_memory_is_seen_and_can_be_forgotten() -> None:
    before = memory(os.getpid())
    block = bytearray(80_000_000)
    block[::4096] = b"\1" * len(block[::4096])
    held = memory(os.getpid())
    del block
    assert held.resident - before.resident > 70
    assert memory(os.getpid()).peak >= held.resident - 1
    forget_peak(os.getpid())
    assert memory(os.getpid()).peak < held.resident - 70


@given(st.lists(st.floats(0, 1000), min_size=1), st.floats(0.01, 1))
def test_a_percentile_has_its_share_at_or_below_it(values: list[float], share: float) -> None:
    values.sort()
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values) + 1e-9


def test_spreads_keep_the_extremes() -> None:
    assert spread([3, 1, 2]) == spread_of_known([None, 2, 3, 1])
    assert spread([1, 5]).median == 3
    assert spread_of_known([None]) is None


def test_every_load_of_the_plans_is_measured_beside_storescp() -> None:
    for plan in (full_plan(), quick_plan()):
        assert all(ServerName.STORESCP in cell.servers for cell in plan.cells)
        assert all(len(set(cell.servers)) == len(cell.servers) for cell in plan.cells)
        assert all(plan.count(cell, server) >= cell.senders for cell in plan.cells for server in cell.servers)
        assert {cell.client for cell in plan.cells} == set(Client)
        assert plan.disk_bytes() > 0
    assert {cell.senders for cell in full_plan().cells if cell.medium is Medium.DISK} == {1, 4, 8}


def test_a_pattern_keeps_what_it_matches() -> None:
    plan = only(full_plan(), ["disk/mr/*/own/dicomnode*", "idle/storescp-fork"])
    assert {(cell.data, cell.medium) for cell in plan.cells} == {(DataSetName.MR, Medium.DISK)}
    assert {server for cell in plan.cells for server in cell.servers} == {ServerName.NODE, ServerName.NODE_2}
    assert plan.idle == (ServerName.STORESCP_FORK,)
    assert only(full_plan(), ["nothing"]).cells == ()


def _measured(cell: str, server: ServerName, repetition: int, cpu: float, rate: float = 1000) -> Measurement:
    outcome = Outcome(instances=1000, refused=0, size=10**9, seconds=1000 / rate, p50_ms=0.5, p95_ms=1, p99_ms=2)
    return Measurement(
        cell=cell,
        server=server,
        repetition=repetition,
        outcome=outcome,
        association_ms=3,
        server_cpu_seconds=cpu,
        resident_before=100,
        resident_peak=104,
        resident_after=101,
    )


def _a_run() -> list[Measurement]:
    memory_cell, disk_cell = "memory/mr/1/own", "disk/mr/1/own"
    return [
        _measured(memory_cell, ServerName.STORESCP, 0, 1.0),
        _measured(memory_cell, ServerName.STORESCP, 1, 2.0),
        _measured(memory_cell, ServerName.LISTENER, 0, 0.7),
        _measured(memory_cell, ServerName.LISTENER, 1, 1.0),
        _measured(disk_cell, ServerName.STORESCP, 0, 1.0, 4000),
        _measured(disk_cell, ServerName.NODE, 0, 1.5, 2000),
        _measured(disk_cell, ServerName.ORTHANC, 0, 9.0, 500),
    ]


def test_ratios_are_taken_within_a_repetition() -> None:
    summaries = {(one.cell, one.server): one for one in summarise(_a_run())}
    listener = summaries["memory/mr/1/own", ServerName.LISTENER]
    assert listener.cpu_ratio == spread([0.7, 0.5])
    assert listener.cpu_seconds_per_gb == spread([0.7, 1.0])
    assert summaries["disk/mr/1/own", ServerName.ORTHANC].mb_per_second == spread([500])
    assert listener.resident_growth.median == 4


def test_a_verdict_says_what_holds_what_is_missed_and_what_nobody_measured() -> None:
    idle = [IdleMeasurement(server=ServerName.NODE, repetition=0, asked=32, accepted=31, cpu_percent=0.5)]
    verdicts = {one.text: one for one in judge(summarise(_a_run()), summarise_idle(idle))}
    assert verdicts["listener alone: CPU / storescp, MR, 1 at once"].holds is True
    assert verdicts["dicomnode, 1 receiver: CPU / storescp, MR, 1 at once"].measured == 1.5
    assert verdicts["dicomnode, 1 receiver: CPU / storescp, MR, 1 at once"].holds is False
    assert verdicts["dicomnode, 1 receiver: instances/s / Orthanc, MR, 1 at once"].measured == 4
    assert verdicts["dicomnode, 1 receiver: instances/s / Orthanc, MR, 1 at once"].holds is True
    assert verdicts["dicomnode, 1 receiver: CPU / storescp, CT, 8 at once"].holds is None
    assert verdicts["dicomnode, 1 receiver: idle associations let in"].holds is False


def test_a_run_holds_only_without_failure_and_without_a_missed_target() -> None:
    kept = [one for one in _a_run() if one.server is not ServerName.NODE]
    assert Results(measurements=kept).hold
    assert not Results(measurements=_a_run()).hold
    assert not Results(measurements=kept, failures=[Failure(name="x", repetition=0, problem="gone")]).hold


def test_the_table_names_every_server_and_failure_and_the_picture_is_drawn(tmp_path: Path) -> None:
    summaries = summarise(_a_run())
    failure = Failure(name="disk/ct/1/own/orthanc", repetition=1, problem="took no association")
    text = report(summaries, [], judge(summaries, []), [failure])
    assert "| Orthanc " in text
    assert "0.60 (0.50–0.70)" in text
    assert "MISSED" in text
    assert "took no association" in text
    draw(summaries, tmp_path / "bench.png")
    assert (tmp_path / "bench.png").read_bytes().startswith(_PNG)


def test_the_machine_is_described_without_its_name(tmp_path: Path) -> None:
    described = describe_machine({"disk": tmp_path})
    assert described["cores"]
    assert os.uname().nodename not in str(described)


def test_settling_gives_up_on_a_server_that_never_rests() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        began = time.monotonic()
        settle(process.pid, 0.5)
        assert time.monotonic() - began < 5
        process.kill()
