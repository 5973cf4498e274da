"""What is measured: which servers meet in which cell, with how much data."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatch

from deploy.bench.data_sets import DataSetName


class Medium(StrEnum):
    """Where the servers of a cell write; also what they are asked to promise."""

    DISK = "disk"
    """A real file system, every server as it ships."""
    MEMORY = "memory"
    """tmpfs, no server waits for a disk."""


class Client(StrEnum):
    """Who sends."""

    OWN = "own"
    """The fast sender of this benchmark; DCMTK's servers are told not to hold small messages back."""
    STORESCU = "storescu"
    """DCMTK's, and its servers, as shipped."""
    DCMSEND = "dcmsend"


class ServerName(StrEnum):
    """Who receives."""

    NODE = "dicomnode"
    """With one receiver process; it answers success when the file is synced and its row committed."""
    NODE_2 = "dicomnode-2"
    LISTENER = "listener"
    """The node's listener alone: header read and digest computed, no sync, no row."""
    LISTENER_2 = "listener-2"
    STORESCP = "storescp"
    STORESCP_FORK = "storescp-fork"
    ORTHANC = "orthanc"
    PYNETDICOM = "pynetdicom"


LABELS = {
    ServerName.NODE: "dicomnode, 1 receiver",
    ServerName.NODE_2: "dicomnode, 2 receivers",
    ServerName.LISTENER: "listener alone",
    ServerName.LISTENER_2: "listener alone, 2 processes",
    ServerName.STORESCP: "DCMTK storescp",
    ServerName.STORESCP_FORK: "DCMTK storescp --fork",
    ServerName.ORTHANC: "Orthanc",
    ServerName.PYNETDICOM: "pynetdicom storescp",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A question that several servers answer: the same data from the same senders onto the same medium."""

    medium: Medium
    data: DataSetName
    senders: int
    client: Client
    servers: tuple[ServerName, ...]

    @property
    def name(self) -> str:
        """Name it as `--only` and the results do."""
        return f"{self.medium}/{self.data}/{self.senders}/{self.client}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything one run measures: cells, idle servers, repetitions, and instances of each kind per measurement."""

    cells: tuple[Cell, ...]
    idle: tuple[ServerName, ...]
    repetitions: int
    instances: dict[DataSetName, int]
    idle_seconds: float

    def count(self, cell: Cell, server: ServerName) -> int:
        """Say how many instances a server gets in a cell: those that take long get fewer."""
        share = _SHARES.get(server, 1.0) if cell.client is Client.OWN else _HELD_BACK_SHARES.get(server, 0.02)
        return max(cell.senders, round(self.instances[cell.data] * share))

    def disk_bytes(self) -> int:
        """Say how much the servers will write to the disk."""
        return sum(
            self.count(cell, server) * _SIZES[cell.data] * self.repetitions
            for cell in self.cells
            for server in cell.servers
            if cell.medium is Medium.DISK
        )


_SHARES = {ServerName.ORTHANC: 0.3, ServerName.PYNETDICOM: 0.15}
_HELD_BACK_SHARES = {ServerName.NODE: 0.2, ServerName.PYNETDICOM: 0.1}
"""A sender and a receiver of DCMTK as shipped move 13 instances a second; storescu and dcmsend send each file once."""
_SIZES = {DataSetName.MR: 140_000, DataSetName.CT: 535_000, DataSetName.ENHANCED: 212_000_000}

_FULL = {DataSetName.MR: 2000, DataSetName.CT: 500, DataSetName.ENHANCED: 1}
_QUICK = {DataSetName.MR: 1000, DataSetName.CT: 250, DataSetName.ENHANCED: 1}
_SERIAL = {Medium.MEMORY: (ServerName.LISTENER,), Medium.DISK: (ServerName.NODE,)}
_PARALLEL = {
    Medium.MEMORY: (ServerName.LISTENER_2, ServerName.STORESCP_FORK),
    Medium.DISK: (ServerName.NODE_2, ServerName.STORESCP_FORK),
}
_AS_SHIPPED = (ServerName.NODE, ServerName.STORESCP, ServerName.ORTHANC)
_IDLE = (ServerName.NODE, ServerName.STORESCP_FORK, ServerName.PYNETDICOM)
"""Those that serve many associations at a time; Orthanc serves four."""


def full_plan() -> Plan:
    """Plan the run whose numbers are published."""
    return Plan(
        cells=(*_throughput((1, 4, 8), pynetdicom=True), *_large_object(pynetdicom=True), *_as_shipped()),
        idle=_IDLE,
        repetitions=3,
        instances=_FULL,
        idle_seconds=10,
    )


def quick_plan() -> Plan:
    """Plan a run of three minutes that answers every question once."""
    cells = [cell for cell in _throughput((1, 8), pynetdicom=False) if cell.senders == 1 or cell.data is DataSetName.MR]
    return Plan(
        cells=(*cells, *_large_object(pynetdicom=False), *_as_shipped()),
        idle=_IDLE,
        repetitions=1,
        instances=_QUICK,
        idle_seconds=5,
    )


def only(plan: Plan, patterns: list[str]) -> Plan:
    """Keep what matches one of some shell patterns over `medium/data/senders/client/server` and `idle/server`."""

    def matches(name: str) -> bool:
        return any(fnmatch(name, pattern) for pattern in patterns)

    cells = (
        replace(cell, servers=tuple(server for server in cell.servers if matches(f"{cell.name}/{server}")))
        for cell in plan.cells
    )
    return replace(
        plan,
        cells=tuple(cell for cell in cells if cell.servers),
        idle=tuple(server for server in plan.idle if matches(f"idle/{server}")),
    )


def _throughput(senders: tuple[int, ...], *, pynetdicom: bool) -> Iterator[Cell]:
    for medium in (Medium.MEMORY, Medium.DISK):
        for data in (DataSetName.MR, DataSetName.CT):
            for number in senders:
                servers = [*_SERIAL[medium], ServerName.STORESCP]
                if number > 1:
                    servers += _PARALLEL[medium]
                if medium is Medium.DISK:
                    servers.append(ServerName.ORTHANC)
                if pynetdicom:
                    servers.append(ServerName.PYNETDICOM)
                yield Cell(medium=medium, data=data, senders=number, client=Client.OWN, servers=tuple(servers))


def _large_object(*, pynetdicom: bool) -> Iterator[Cell]:
    for medium in (Medium.MEMORY, Medium.DISK):
        servers = [*_SERIAL[medium], ServerName.STORESCP]
        if medium is Medium.DISK:
            servers.append(ServerName.ORTHANC)
        if pynetdicom:
            servers.append(ServerName.PYNETDICOM)
        yield Cell(medium=medium, data=DataSetName.ENHANCED, senders=1, client=Client.OWN, servers=tuple(servers))


def _as_shipped() -> Iterator[Cell]:
    for client in (Client.STORESCU, Client.DCMSEND):
        yield Cell(medium=Medium.DISK, data=DataSetName.MR, senders=1, client=client, servers=_AS_SHIPPED)
