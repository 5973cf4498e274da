"""Asking another DICOMweb server what it has, and reading it back (PS3.18 sections 10.4 and 10.6)."""

import json
from collections.abc import Mapping
from typing import Self

import httpx

from dicomnode.dicomweb.media_types import DICOM_JSON
from dicomnode.dicomweb.multipart import take_apart
from dicomnode.domain.delivery import Endpoint
from dicomnode.domain.errors import DestinationRefused, DestinationUnreachable, InvalidSettings, InvalidValue
from dicomnode.domain.uids import SeriesInstanceUID, SOPInstanceUID, StudyInstanceUID

_AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_SOP_INSTANCE_UID, _STUDY_INSTANCES = "00080018", "00201208"
_PAGE = 1000
_TRY_LATER = (408, 425, 429)


class DicomwebClient:
    """Asks the DICOMweb server of one endpoint (domain.delivery.Inquiry).

    Addresses inside of answers are not followed: peers behind a proxy get their own host and port wrong.
    """

    def __init__(self, endpoint: Endpoint, timeout_seconds: float = 30) -> None:
        if endpoint.dicomweb_url is None:
            raise InvalidSettings(f"destination {endpoint.name} has no dicomweb_url")
        self._name = endpoint.name
        self._http = httpx.Client(
            base_url=f"{endpoint.dicomweb_url.rstrip('/')}/",
            timeout=timeout_seconds,
            follow_redirects=False,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        """Use the client for a block, and close it behind."""
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back the connections."""
        self._http.close()

    def search_instances(self, study_instance_uid: str, series_instance_uid: str) -> tuple[SOPInstanceUID, ...]:
        """List the instances of a series that the server knows.

        Raises DestinationUnreachable when it does not answer, DestinationRefused when it answers something else.
        """
        found: dict[SOPInstanceUID, None] = {}
        while True:
            page = self._page(study_instance_uid, series_instance_uid, offset=len(found))
            # A server that does not know the offset gives the first page again.
            if found.keys() >= set(page):
                return tuple(found)
            found.update(dict.fromkeys(page))

    def count_instances(self, study_instance_uid: str) -> int:
        """Tell how many instances of a study the server has, 0 where it knows no such study (PS3.18 Table 10.6.3-3).

        Raises DestinationUnreachable, or DestinationRefused, also when the server does not say.
        """
        asked = {"StudyInstanceUID": StudyInstanceUID(study_instance_uid), "includefield": _STUDY_INSTANCES}
        response = self._get("studies", DICOM_JSON, asked)
        if response.status_code == httpx.codes.NO_CONTENT:
            return 0
        try:
            counts = [int(study[_STUDY_INSTANCES]["Value"][0]) for study in json.loads(response.content)]
        except (ValueError, LookupError, TypeError) as error:
            raise DestinationRefused(f"{self._name} does not say by QIDO-RS how many instances it has") from error
        if len(counts) > 1:
            raise DestinationRefused(f"{self._name} answers QIDO-RS for one study with several")
        return sum(counts)

    def retrieve_series(self, study_instance_uid: str, series_instance_uid: str) -> list[bytes]:
        """Read back every instance of a series as the server stores it, each as a Part 10 file.

        Raises DestinationUnreachable, or DestinationRefused, also when the server has no such series.
        """
        path = f"studies/{StudyInstanceUID(study_instance_uid)}/series/{SeriesInstanceUID(series_instance_uid)}"
        response = self._get(path, _AS_STORED)
        try:
            return take_apart(response.headers.get("content-type", ""), response.content)
        except ValueError as error:
            raise DestinationRefused(f"{self._name} answered WADO-RS with something else: {error}") from error

    def _page(self, study: str, series: str, offset: int) -> list[SOPInstanceUID]:
        """Ask for one page of the instances of a series."""
        path = f"studies/{StudyInstanceUID(study)}/series/{SeriesInstanceUID(series)}/instances"
        response = self._get(path, DICOM_JSON, {"limit": _PAGE, "offset": offset})
        if response.status_code == httpx.codes.NO_CONTENT:
            return []
        try:
            return [SOPInstanceUID(header[_SOP_INSTANCE_UID]["Value"][0]) for header in json.loads(response.content)]
        except (ValueError, LookupError, TypeError, InvalidValue) as error:
            raise DestinationRefused(f"{self._name} answered QIDO-RS with something that is no DICOM JSON") from error

    def _get(self, path: str, accept: str, parameters: Mapping[str, str | int] | None = None) -> httpx.Response:
        """Get a resource; raises DestinationUnreachable where trying again can help, else DestinationRefused."""
        try:
            response = self._http.get(path, headers={"Accept": accept}, params=parameters)
        except httpx.TransportError as error:
            raise DestinationUnreachable(
                f"{self._name} does not answer on DICOMweb ({type(error).__name__})"
            ) from error
        if response.is_server_error or response.status_code in _TRY_LATER:
            raise DestinationUnreachable(f"{self._name} answers HTTP {response.status_code} on DICOMweb")
        if not response.is_success:
            raise DestinationRefused(
                f"{self._name} answers HTTP {response.status_code} on DICOMweb; is its dicomweb_url right?"
            )
        return response
