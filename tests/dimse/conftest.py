"""Listeners of the node on loopback, and foreign senders to talk to them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pynetdicom import _config
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from dicomnode.dimse.reactor import steady
from dicomnode.dimse.sockets import SendingEntity
from dicomnode.dimse.storage_scp import Listening, StorageSCP
from dicomnode.domain.door import Door
from dicomnode.domain.uids import AETitle
from tests.dimse.instances import EXPLICIT_LITTLE_ENDIAN, MR_IMAGE_STORAGE
from tests.dimse.porter import Porter
from tests.dimse.shelf import Shelf

NODE = AETitle("NODE")


class Listeners:
    """Running listeners of a module, one for each set of settings: each takes half a second to stop."""

    def __init__(self, reception: Shelf) -> None:
        self._reception = reception
        self._running: dict[str, StorageSCP] = {}
        self.porters: dict[StorageSCP, Porter] = {}

    def listen(self, maximum_associations: int = 64, **settings: Any) -> StorageSCP:
        """Give the listener of these settings (those of Door and Listening), starting it when it is the first time."""
        name = repr((maximum_associations, sorted(settings.items())))
        if name not in self._running:
            door = {key: settings.pop(key) for key in ("called_ae", "peers", "unknown_peers") if key in settings}
            porter = Porter(Door(**{"called_ae": (NODE,), **door}), maximum_associations)
            where = {"host": "127.0.0.1", "port": 0, **settings}
            scp = StorageSCP(Listening(ae_title=NODE, doorkeeper=porter, **where), self._reception)
            scp.start()
            self._running[name], self.porters[scp] = scp, porter
        self.porters[self._running[name]].clear()
        return self._running[name]

    def stop(self) -> None:
        with ThreadPoolExecutor() as side_by_side:
            for stopped in [side_by_side.submit(scp.stop) for scp in self._running.values()]:
                stopped.result()


@pytest.fixture(scope="module")
def lasting_shelf() -> Shelf:
    return Shelf()


@pytest.fixture(scope="module")
def listeners(lasting_shelf: Shelf) -> Iterator[Listeners]:
    listeners = Listeners(lasting_shelf)
    yield listeners
    listeners.stop()


@pytest.fixture
def shelf(lasting_shelf: Shelf) -> Shelf:
    """An empty shelf, which the listeners of the module put their instances on."""
    lasting_shelf.clear()
    return lasting_shelf


@pytest.fixture
def scp(listeners: Listeners) -> StorageSCP:
    """A listener that lets everyone in who knows its name."""
    return listeners.listen()


@pytest.fixture
def porter(listeners: Listeners, scp: StorageSCP) -> Porter:
    """The doorkeeper of that listener."""
    return listeners.porters[scp]


@pytest.fixture(autouse=True)
def files_are_sent_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the foreign sender, too, put a file's bytes on the wire without decoding them."""
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)


def associate(
    port: int,
    *kinds: tuple[str, str | list[str]],
    calling: str = "SCANNER",
    called: str = "NODE",
    host: str = "127.0.0.1",
) -> Association:
    """Ask for an association as a foreign sender; MR in Explicit Little Endian unless other kinds are named."""
    entity = SendingEntity(ae_title=calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 10
    offered = kinds or ((MR_IMAGE_STORAGE, EXPLICIT_LITTLE_ENDIAN),)
    entity.requested_contexts = [build_context(sop_class, syntaxes) for sop_class, syntaxes in offered]
    return steady(entity.associate(host, port, ae_title=called))
