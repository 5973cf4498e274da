"""C-FIND for one number: how many instances of a study an archive has (PS3.4 Annex C)."""

from collections.abc import Iterator

from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from dicomnode.dimse.requesting import Proposal, request_association
from dicomnode.dimse.services import readable
from dicomnode.domain.delivery import Endpoint
from dicomnode.domain.errors import DestinationRefused, DestinationUnreachable, InvalidValue
from dicomnode.domain.uids import AETitle, StudyInstanceUID

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
_SUCCESS, _PENDING = 0x0000, (0xFF00, 0xFF01)
_OUT_OF_RESOURCES = range(0xA700, 0xA800)


class StudyCountSCU:
    """Asks one archive how much it has (domain.completion.InstanceCounter)."""

    def __init__(self, archive: Endpoint, calling_ae: AETitle, timeout_seconds: float = 10) -> None:
        self._archive = archive
        self._calling_ae = calling_ae
        self._timeout = timeout_seconds

    def count_instances(self, study_instance_uid: StudyInstanceUID) -> int:
        """Tell how many instances of a study it has, 0 where it knows no such study.

        Number of Study Related Instances (0020,1208) is an optional key (PS3.4 Table C.6-5): raises DestinationRefused
        when the archive does not give it, as for every other refusal, and DestinationUnreachable without an answer.
        """
        proposal = Proposal(
            calling_ae=self._calling_ae, timeout_seconds=self._timeout, contexts=[build_context(STUDY_ROOT_FIND)]
        )
        opened = request_association(self._archive, proposal)
        if opened is None:
            raise DestinationRefused(f"{self._archive.name} lets {self._calling_ae} in, but does not take C-FIND")
        try:
            found = list(self._answers(opened.association, study_instance_uid))
        finally:
            opened.release()
        if len(found) > 1:
            raise DestinationRefused(f"{self._archive.name} answers C-FIND for one study with several")
        return sum(map(self._number, found))

    def _answers(self, association: Association, study: StudyInstanceUID) -> Iterator[Dataset | None]:
        """Give each match; raises DeliveryError unless the last status is success."""
        status: int | None = None
        for answer, identifier in association.send_c_find(_query(study), STUDY_ROOT_FIND):
            status = answer.get("Status")
            if status in _PENDING:
                yield identifier
        if status is None or status in _PENDING or status in _OUT_OF_RESOURCES:
            raise DestinationUnreachable(f"{self._archive.name} did not answer C-FIND to its end")
        if status != _SUCCESS:
            raise DestinationRefused(f"{self._archive.name} answered C-FIND with status 0x{status:04X}")

    def _number(self, found: Dataset | None) -> int:
        try:
            return readable(lambda: int((found or Dataset()).NumberOfStudyRelatedInstances))
        except InvalidValue:
            raise DestinationRefused(f"{self._archive.name} does not say by C-FIND how many instances it has") from None


def _query(study: StudyInstanceUID) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY"
    query.StudyInstanceUID = str(study)
    query.NumberOfStudyRelatedInstances = None
    return query
