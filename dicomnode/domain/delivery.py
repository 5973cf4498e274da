"""Handing derived instances to their destinations, and what became of each."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from dicomnode.domain.tls import CallingTls
from dicomnode.domain.uids import AETitle, SOPClassUID, SOPInstanceUID, StudyInstanceUID, TransferSyntaxUID


class DeliveryState(StrEnum):
    """Where one instance stands on its way to one destination."""

    QUEUED = "queued"
    STORED = "stored"
    """The destination answered success or a warning: it has the instance (PS3.4 Table B.2-1)."""
    VERIFIED = "verified"
    """The destination lists the instance when asked."""
    FAILED = "failed"
    """Refused for good; a person has to look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A destination as configured: where to C-STORE and, optionally, where to ask whether it arrived."""

    name: str
    ae_title: AETitle
    host: str
    port: int
    dicomweb_url: str | None = None
    tls: CallingTls | None = None
    """How to reach it under TLS; left out: a plain connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consignment:
    """Instances of one study that go out together: a derived series, or what a rule routes as it was received."""

    key: str
    """The key of the derivation, or that of the routing (`journey.route`)."""
    study_instance_uid: StudyInstanceUID
    priority: int = 10
    """1 is served first (STAT), 10 is routine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingInstance:
    """One instance to send: its identifiers and the file that holds it."""

    sop_instance_uid: SOPInstanceUID
    sop_class_uid: SOPClassUID
    transfer_syntax_uid: TransferSyntaxUID
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOutcome:
    """What the destination said about one instance: DIMSE status, and whether it now has it."""

    sop_instance_uid: SOPInstanceUID
    status: int
    stored: bool
    retryable: bool
    comment: str = ""


class Destination(Protocol):
    """A place that takes instances; implementations report an outcome for each one."""

    @property
    def endpoint(self) -> Endpoint:
        """Where it is."""
        ...

    def store(self, instances: tuple[OutgoingInstance, ...]) -> tuple[StoreOutcome, ...]:
        """Send the instances in one go; raises DeliveryError when nothing could be said to the peer."""
        ...


class Inquiry(Protocol):
    """A way to ask a destination what it has (QIDO-RS)."""

    def search_instances(self, study_instance_uid: str, series_instance_uid: str) -> tuple[SOPInstanceUID, ...]:
        """List the instances of a series that the destination knows; raises DeliveryError."""
        ...
