"""A foreign archive that can be asked by C-FIND."""

from collections.abc import Iterator

from pydicom.dataset import Dataset
from pynetdicom import AE, evt

from dicomnode.dimse.study_count import STUDY_ROOT_FIND


class FindingPacs:
    """A foreign archive that answers C-FIND with what a test gives it."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Dataset | None]] = []
        self.asked: list[Dataset] = []
        entity = AE(ae_title="PACS")
        entity.add_supported_context(STUDY_ROOT_FIND)
        server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, self._find)])
        assert server is not None
        assert server.socket is not None
        self._server = server
        self.port: int = server.socket.getsockname()[1]

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        self.asked.append(event.identifier)
        yield from self.answers

    def stop(self) -> None:
        self._server.shutdown()
