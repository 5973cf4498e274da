"""The seam into pynetdicom: fails when the names it stands on change, and holds it to what it promises."""

import inspect
import os
import resource
import socket
import time
from pathlib import Path

import pynetdicom
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.transport import AssociationSocket, RequestHandler

from dicomnode.dimse.presentation import VERIFICATION
from dicomnode.dimse.storage_scp import StorageSCP
from tests.dimse.commitment_peer import IMPLICIT_LITTLE_ENDIAN
from tests.dimse.conftest import associate
from tests.dimse.instances import EXPLICIT_LITTLE_ENDIAN, MR_IMAGE_STORAGE, opaque_file
from tests.dimse.shelf import Shelf
from tests.dimse.wire import ACCEPTED, DATA, association_request, connect, data_pdu, read_pdu, store_command


def test_pynetdicom_is_the_version_the_seam_was_made_for() -> None:
    assert pynetdicom.__version__.startswith("3.0.")


def test_the_names_the_seam_stands_on_are_there() -> None:
    reactor = inspect.getsource(DULServiceProvider.run_reactor)
    for name in ("_process_recv_primitive()", "_is_transport_event()", "_run_loop_delay", "_kill_thread", "_dul_ready"):
        assert name in reactor
    association = inspect.getsource(Association._run_reactor)
    assert "_reactor_checkpoint.wait()" in association
    assert "stop_dul" in inspect.getsource(Association.kill)
    assert "self.socket.recv(6)" in inspect.getsource(DULServiceProvider._read_pdu_data)
    assert "to_provider_queue.queue[0]" in inspect.getsource(DULServiceProvider._process_recv_primitive)
    created = inspect.getsource(RequestHandler._create_association)
    for name in ("maximum_length", "supported_contexts", "address_info", "_server", "set_socket", "AcceptorThread@"):
        assert name in created
    assert "Evt5" in inspect.getsource(AssociationSocket.__init__)


def test_an_association_is_set_up_at_once(scp: StorageSCP, shelf: Shelf) -> None:
    seconds = []
    for _ in range(15):
        begun = time.perf_counter()
        with connect(scp.port) as connection:
            connection.sendall(association_request())
            read_pdu(connection)
            seconds.append(time.perf_counter() - begun)
    assert sorted(seconds)[7] < 0.05


def test_idle_associations_cost_next_to_nothing(scp: StorageSCP, shelf: Shelf) -> None:
    open_ones: list[socket.socket] = []
    for _ in range(16):
        connection = connect(scp.port)
        connection.sendall(association_request())
        read_pdu(connection)
        open_ones.append(connection)
    before = resource.getrusage(resource.RUSAGE_SELF)
    time.sleep(2)
    after = resource.getrusage(resource.RUSAGE_SELF)
    for connection in open_ones:
        connection.close()
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent / 2 < 0.10, "16 idle associations may not cost a tenth of a core, on a busy machine either"


def test_services_take_turns_on_one_association(scp: StorageSCP, shelf: Shelf, tmp_path: Path) -> None:
    association = associate(
        scp.port, (VERIFICATION, IMPLICIT_LITTLE_ENDIAN), (MR_IMAGE_STORAGE, EXPLICIT_LITTLE_ENDIAN)
    )
    for number in range(5):
        assert association.send_c_echo().Status == 0
        assert association.send_c_store(opaque_file(tmp_path, str(number)).file).Status == 0
    association.release()
    assert len(shelf.accepted) == 5


def test_descriptors_above_1023_are_served(scp: StorageSCP, shelf: Shelf) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4096), hard), hard))
    taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        assert taken[-1] > 1023
        with connect(scp.port) as connection:
            connection.sendall(association_request())
            assert read_pdu(connection)[0] == ACCEPTED
            connection.sendall(store_command() + data_pdu(bytes(1000), control=2))
            assert read_pdu(connection)[0] == DATA
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(shelf.accepted) == 1
