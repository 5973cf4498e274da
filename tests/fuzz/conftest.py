"""A node in this process, whose threads and file handles can be counted while it is sent what nobody should send."""

import logging
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from dicomnode.dicomweb.incoming_body import ExpansionLimit
from dicomnode.dimse.storage_scp import StorageSCP
from dicomnode.ledger.transaction import Ledger
from dicomnode.node.clock import SystemClock
from dicomnode.spool.store import Spool
from tests.dicomweb.sending import intake, receiving, service
from tests.dimse.porter import listening_at
from tests.fuzz.books import Books
from tests.fuzz.speaking import Associations
from tests.fuzz.trials import Target
from tests.web.holdings import Holdings, served

_BODY_MAY_EXPAND_TO = 16 * 1024 * 1024
"""As in a real node, where it is more, but so that a bomb takes less than a second."""


@dataclass
class Defects(logging.Handler):
    """Collects what only a defect of the node writes: errors, tracebacks, and threads that end with an exception."""

    found: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(logging.DEBUG)

    def emit(self, record: logging.LogRecord) -> None:
        # pynetdicom tells of peers that break off, and pydicom of pixels that are damaged, by tracebacks.
        if not record.name.startswith(("pynetdicom", "pydicom")) and (
            record.exc_info or record.levelno >= logging.ERROR
        ):
            self.found.append(logging.Formatter().format(record))

    def note(self, thread: threading.ExceptHookArgs) -> None:
        self.found.append(
            f"thread {thread.thread and thread.thread.name}: {thread.exc_type.__name__}: {thread.exc_value}"
        )

    def take(self) -> list[str]:
        """Give what was found since the last time."""
        taken, self.found = self.found, []
        return taken

    __hash__ = logging.Handler.__hash__


@pytest.fixture
def defects(monkeypatch: pytest.MonkeyPatch) -> Iterator[Defects]:
    defects = Defects()
    monkeypatch.setattr(threading, "excepthook", defects.note)
    logging.getLogger().addHandler(defects)
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    yield defects
    logging.getLogger().removeHandler(defects)


@pytest.fixture
def associations(target: Target) -> Iterator[Associations]:
    associations = Associations(port=target.dicom_port, title=target.title)
    yield associations
    associations.close()


@pytest.fixture(scope="module")
def target(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("fuzz")
    shutil.copyfile(sqlite_template, folder / "node.db")
    ledger, spool, clock = Ledger(f"sqlite:///{folder / 'node.db'}"), Spool(folder / "spool"), SystemClock()
    holdings = Holdings(ledger, spool, clock)
    scp = StorageSCP(listening_at("NODE"), receiving(holdings))
    scp.start()
    taking = replace(intake(receiving(holdings)), expansion=ExpansionLimit(free=_BODY_MAY_EXPAND_TO))
    with served(service(holdings, taking)) as url:
        yield Target(
            dicom_port=scp.port,
            title=b"NODE",
            web_port=int(url.rpartition(":")[2]),
            books=Books(ledger, spool),
            processes=lambda: [os.getpid()],
        )
    scp.stop()
    ledger.close()
