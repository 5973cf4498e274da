"""The failures of the last day for the first page: each with its cause in words, its side, and one button."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from urllib.parse import quote, urlencode

from dicomnode.domain.derivation import DerivationState
from dicomnode.domain.door import Cause
from dicomnode.domain.errors import error_named
from dicomnode.ledger.failures import (
    EndedDerivations,
    QuarantinedFrom,
    StoppedStep,
    ended_derivations,
    quarantined_since,
    stopped_steps,
)
from dicomnode.ledger.refusals import RefusalRecord, list_refusals
from dicomnode.ledger.study_list import StudyState
from dicomnode.ledger.transaction import Transaction

_MOST_REFUSALS = 200


class Side(StrEnum):
    """Who has to do something about it."""

    OURS = "ours"
    THEIRS = "theirs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """The one thing to do about a failure: a link, or a form that is posted where `acts` is true."""

    label: str
    path: str
    acts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One cause: the state word, what happened, whose side it is on, how often, when last, and what to do."""

    state: str
    cause: str
    said: str
    advice: str
    side: Side
    times: int
    last_at: datetime
    button: Button


_SENDERS_ERRORS = frozenset(
    {"ContractViolation", "GeometryError", "MalformedInstance", "DataSetMismatch", "UnreadablePixels"}
)
"""Errors whose cause lies in what was sent to this node."""
_CAUSES = {
    "ContractViolation": "Input outside a model's contract",
    "GeometryError": "Series is no regular volume",
    "UnreadablePixels": "Pixel data cannot be read",
    "ModelNotFound": "Model is not installed",
    "ModelUnavailable": "Model cannot run on this host",
    "WeightsChanged": "Weights are not the ones that were pinned",
    "ModelFailed": "Model failed",
    "ModelOutputInvalid": "Model broke its contract",
    "OutputRefused": "Output did not pass its gate",
}
_OUR_REFUSALS = frozenset({Cause.CALLING_AE, Cause.LIMIT, Cause.CONGESTION})
"""Why somebody is turned away although nothing is wrong at that end: this node does not know it, or has no room."""
_STEPS = {"decide": "Rules need a person", "deliver": "Not delivered", "derive": "Synthesis was stopped"}


def failures_since(tx: Transaction, since: datetime) -> Sequence[Failure]:
    """Gather what went wrong since an instant, the latest first."""
    refusals = [one for one in list_refusals(tx, _MOST_REFUSALS) if one.last_at >= since]
    found = [
        *map(_of_derivations, ended_derivations(tx, since)),
        *map(_of_step, stopped_steps(tx, since)),
        *map(_of_refusal, refusals),
        *map(_of_quarantine, quarantined_since(tx, since)),
    ]
    return sorted(found, key=lambda failure: failure.last_at, reverse=True)


def _of_derivations(ended: EndedDerivations) -> Failure:
    times = len(ended.keys)
    if ended.state is DerivationState.FAILED:
        label = "Retry" if times == 1 else f"Retry all {times}"
        button = Button(label=label, path=f"/failures/derivations/{quote(ended.error, safe='')}/retry", acts=True)
    else:
        button = _see_studies(state=StudyState.REFUSED)
    return Failure(
        state=ended.state,
        cause=_CAUSES.get(ended.error, "Synthesis ended without an image"),
        said=ended.reason,
        advice=error_named(ended.error).help,
        side=Side.THEIRS if ended.error in _SENDERS_ERRORS else Side.OURS,
        times=times,
        last_at=ended.last_at,
        button=button,
    )


def _of_step(stopped: StoppedStep) -> Failure:
    cause = _STEPS.get(stopped.step, f"The step {stopped.step} was stopped")
    button = _see_studies(state=StudyState.NEEDS_OPERATOR)
    if stopped.destination:
        cause = f"{cause} to {stopped.destination}"
        path = f"/failures/deliveries/{quote(stopped.destination, safe='')}/resend"
        button = Button(label="Send again", path=path, acts=True)
    elif stopped.step == "derive":
        button = _see_studies(state=StudyState.FAILED)
    return Failure(
        state="needs operator",
        cause=cause,
        said=stopped.said,
        advice="",
        side=Side.THEIRS if stopped.destination else Side.OURS,
        times=stopped.studies,
        last_at=stopped.last_at,
        button=button,
    )


def _of_refusal(refusal: RefusalRecord) -> Failure:
    visitor = refusal.visitor
    button = Button(label="Look", path="/refusals")
    if refusal.cause is Cause.CALLING_AE:
        button = Button(label="Add as peer", path=adding_path(visitor.calling_ae, visitor.peer_address))
    return Failure(
        state="refused",
        cause=f"{visitor.calling_ae or 'Somebody'} was turned away: {refusal.cause}",
        said=refusal.said,
        advice=ADVICE[refusal.cause],
        side=Side.OURS if refusal.cause in _OUR_REFUSALS else Side.THEIRS,
        times=refusal.times,
        last_at=refusal.last_at,
        button=button,
    )


def _of_quarantine(kept: QuarantinedFrom) -> Failure:
    return Failure(
        state="refused",
        cause=f"In quarantine from {kept.calling_ae or 'an unknown sender'}",
        said=kept.reason,
        advice="Its bytes are kept: release them when the cause is gone, or discard them.",
        side=Side.THEIRS,
        times=kept.entries,
        last_at=kept.last_at,
        button=Button(label="Look", path="/quarantine"),
    )


def adding_path(ae_title: str, address: str) -> str:
    """Write the address of the form that makes a peer of somebody who was turned away."""
    return f"/new-peer?{urlencode({'ae_title': ae_title, 'networks': address})}"


def _see_studies(**filters: str) -> Button:
    return Button(label="See studies", path=f"/studies?{urlencode(filters)}")


ADVICE: Mapping[Cause, str] = {
    Cause.CALLED_AE: "Correct the called AE title at the sender.",
    Cause.CALLING_AE: "Make it a peer of this node, if it is to send here.",
    Cause.ADDRESS: "Add its network to the peer, or find out who uses its title.",
    Cause.LIMIT: "Raise the peer's limit or `maximum_associations`, or let it send over fewer associations.",
    Cause.CONGESTION: "Make room on the spool's disk; the sender tries again by itself.",
    Cause.SILENCE: "Look at the sender and the network between: it opened a connection and then said nothing.",
    Cause.PROTOCOL: "Look at the sender's log: what it said is not DICOM as this node reads it.",
    Cause.TLS: "Compare certificates and authorities of both ends, and whether both speak TLS on this port.",
    Cause.ABORT: "Look at the sender's log for why it broke off.",
}
"""What to do about each cause of being turned away."""
