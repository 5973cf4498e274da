"""The compare page: series side by side, slice by slice at the same place in the patient."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from dicomnode.domain.account import Permission
from dicomnode.domain.errors import InvalidValue, NotInLedger
from dicomnode.domain.uids import SeriesInstanceUID, StudyInstanceUID
from dicomnode.ledger.studies import DerivationRecord, SeriesSummary, find_study, list_derivations, list_series
from dicomnode.web.access import needs
from dicomnode.web.marks import Mark, mark_of
from dicomnode.web.rendering import Renderer
from dicomnode.web.site import Site
from dicomnode.web.study_view import label_of, newest_comparison

_MOST_PANES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Pane:
    """One series on the page; the others follow the slices of the one that is the target."""

    series: SeriesSummary
    mark: Mark
    is_target: bool

    @property
    def label(self) -> str:
        """The series' number and description."""
        return label_of(self.series)


class ComparePage:
    """Answers for the compare page."""

    def __init__(self, site: Site, renderer: Renderer) -> None:
        self._site = site
        self._renderer = renderer

    def router(self) -> APIRouter:
        """Make the route."""
        router = APIRouter(dependencies=[needs(Permission.SEE_STUDIES)])
        router.add_api_route("/studies/{study}/compare", self.compare, methods=["GET"])
        return router

    def compare(self, request: Request, study: str, series: Annotated[Sequence[str], Query()] = ()) -> Response:
        """Show the series asked for, or the newest derived one beside its target.

        Raises InvalidValue for too many series, NotInLedger for one that is not of this study.
        """
        uid = StudyInstanceUID(study)
        with self._site.ledger.transaction() as tx:
            summary, held, derivations = find_study(tx, uid), list_series(tx, uid), list_derivations(tx, uid)
        asked = [SeriesInstanceUID(one) for text in series for one in text.split(",") if one]
        chosen = tuple(dict.fromkeys(asked or newest_comparison(derivations)))
        if len(chosen) > _MOST_PANES:
            raise InvalidValue(f"at most {_MOST_PANES} series can be compared at a time")
        panes = self._panes(uid, chosen, held, _target(chosen, derivations))
        return self._renderer.show(
            request,
            "compare.html",
            here="studies",
            study=summary,
            panes=panes,
            held=held,
            chosen=chosen,
            label_of=label_of,
        )

    def _panes(
        self, study: StudyInstanceUID, chosen: Sequence[str], held: Sequence[SeriesSummary], target: str | None
    ) -> list[Pane]:
        known = {one.series_instance_uid: one for one in held}
        if not known.keys() >= set(chosen):
            raise NotInLedger("a series of this UID is not in this study")
        return [
            Pane(
                series=known[SeriesInstanceUID(uid)],
                mark=mark_of(self._site.archive.metadata(study, SeriesInstanceUID(uid))),
                is_target=uid == target,
            )
            for uid in chosen
        ]


def _target(chosen: Sequence[str], derivations: Sequence[DerivationRecord]) -> str | None:
    """Choose the pane that the others follow: the target of a derived series that is shown, else the first."""
    targets = [one.target_series_uid for one in derivations if one.series_instance_uid in chosen]
    return next((uid for uid in targets if uid in chosen), chosen[0] if chosen else None)
