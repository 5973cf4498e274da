"""All that the page of one study shows, read at one moment."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dicomnode.domain.archive import Archive, DicomJson, Query
from dicomnode.domain.derivation import DerivationState
from dicomnode.domain.errors import error_named
from dicomnode.domain.study import Origin, StudyRevision
from dicomnode.domain.uids import SeriesInstanceUID, StudyInstanceUID
from dicomnode.ledger.deliveries import routings
from dicomnode.ledger.failures import RefusedDelivery, refused_deliveries
from dicomnode.ledger.studies import (
    DecisionRecord,
    DerivationRecord,
    SeriesSummary,
    StudySummary,
    find_study,
    list_decisions,
    list_derivations,
    list_revisions,
    list_series,
)
from dicomnode.ledger.timeline import Event, timeline
from dicomnode.ledger.transaction import Ledger
from dicomnode.web.marks import Kind, Mark, mark_of

_SERIES_UID = "0020000E"
_MOST_SERIES = 1000
_RETRYABLE = (DerivationState.FAILED, DerivationState.REFUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesNode:
    """One series in the tree of a study, with the series that were derived on its grid."""

    summary: SeriesSummary
    mark: Mark
    derivation: DerivationRecord | None = None
    derived: tuple["SeriesNode", ...] = ()

    @property
    def is_superseded(self) -> bool:
        """Whether a later revision of the study made a newer series of the same kind."""
        return self.derivation is not None and self.derivation.state == DerivationState.SUPERSEDED


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyView:
    """One study: its series as a tree, what was decided, made and delivered, and the timeline."""

    summary: StudySummary
    tree: tuple[SeriesNode, ...]
    decisions: tuple[DecisionRecord, ...]
    derivations: tuple[DerivationRecord, ...]
    revisions: tuple[StudyRevision, ...]
    events: tuple[Event, ...]
    refused: tuple[RefusedDelivery, ...] = ()
    routings: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)
    """What was sent on as it was received: key -> destination -> state -> instances."""

    def series_label(self, uid: str) -> str:
        """Name a series by its number and description."""
        found = next((node.summary for node in self.nodes() if node.summary.series_instance_uid == uid), None)
        return uid if found is None else label_of(found)

    def refused_at(self, key: str, destination: str) -> tuple[RefusedDelivery, ...]:
        """Say what a destination said of the instances of a derivation that it refused."""
        return tuple(one for one in self.refused if (one.derivation_key, one.destination) == (key, destination))

    def nodes(self) -> Iterator[SeriesNode]:
        """Walk through all series of the tree."""
        for node in self.tree:
            yield node
            yield from node.derived

    @property
    def comparison(self) -> tuple[str, ...]:
        """The series to compare first: the newest derived one and the series it was derived from."""
        return newest_comparison(self.derivations)


def label_of(series: SeriesSummary) -> str:
    """Name a series by its number and description."""
    number = "?" if series.series_number is None else series.series_number
    return f"{number} {series.description or '(no description)'}"


def newest_comparison(derivations: Sequence[DerivationRecord]) -> tuple[str, ...]:
    """Give the target series and the derived series of the newest derivation that made one; nothing when none did."""
    made = [one for one in derivations if one.state == DerivationState.DERIVED and one.series_instance_uid]
    return (made[0].target_series_uid, str(made[0].series_instance_uid)) if made else ()


def can_retry(derivation: DerivationRecord) -> bool:
    """Whether a person may ask for the work once more."""
    return derivation.state in _RETRYABLE


def advice_on(derivation: DerivationRecord) -> str:
    """What to do about a derivation that was refused or failed."""
    return error_named(derivation.error).help if derivation.error else ""


def read_study(ledger: Ledger, archive: Archive, uid: StudyInstanceUID) -> StudyView:
    """Read a study; raises NotInLedger."""
    with ledger.transaction() as tx:
        summary, series, derivations = find_study(tx, uid), list_series(tx, uid), list_derivations(tx, uid)
        decisions, revisions, events = list_decisions(tx, uid), list_revisions(tx, uid), timeline(tx, uid)
        refused, routed = refused_deliveries(tx, uid), routings(tx, uid)
    headers = {
        header[_SERIES_UID]["Value"][0]: header for header in archive.search_series(Query(limit=_MOST_SERIES), uid)
    }
    return StudyView(
        summary=summary,
        tree=_tree(series, derivations, headers),
        decisions=decisions,
        derivations=derivations,
        revisions=revisions,
        events=events,
        refused=refused,
        routings=routed,
    )


def _tree(
    series: Sequence[SeriesSummary], derivations: Sequence[DerivationRecord], headers: Mapping[str, DicomJson]
) -> tuple[SeriesNode, ...]:
    """Put every derived series under the series whose grid it lies on."""
    makers = {one.series_instance_uid: one for one in derivations if one.series_instance_uid}
    nodes = [_node(one, makers.get(one.series_instance_uid), headers) for one in series]
    children: dict[str, list[SeriesNode]] = {}
    for node in nodes:
        if node.derivation is not None:
            children.setdefault(node.derivation.target_series_uid, []).append(node)
    held = {one.series_instance_uid for one in series if one.origin is Origin.RECEIVED}
    return tuple(
        replace(node, derived=tuple(children.get(node.summary.series_instance_uid, ())))
        for node in nodes
        if node.derivation is None or SeriesInstanceUID(node.derivation.target_series_uid) not in held
    )


def _node(summary: SeriesSummary, derivation: DerivationRecord | None, headers: Mapping[str, DicomJson]) -> SeriesNode:
    mark = mark_of([headers.get(summary.series_instance_uid, {})])
    if summary.origin is Origin.DERIVED and mark.kind is Kind.ACQUIRED:
        # What this node made is never shown as acquired, whatever can be read of it.
        model = f"{derivation.model_name} {derivation.model_version}" if derivation else ""
        mark = Mark(kind=Kind.SYNTHETIC, model=model)
    return SeriesNode(summary=summary, mark=mark, derivation=derivation)
