"""Evidence: all that the ledger and the headers tell of a study's completeness, gathered for one judgement."""

from collections.abc import Iterable, Sequence

from dicomnode.domain.completion import Evidence, EvidenceKind, Missing, MissingKind, SeriesSigns, StudySigns
from dicomnode.domain.mpps import StepRecord, StepState
from dicomnode.domain.uids import SOPInstanceUID, StudyInstanceUID
from dicomnode.journey.counting import StudyCount
from dicomnode.ledger.completion import (
    HeldInstance,
    Signals,
    StudyNews,
    committed_references,
    derived_instances,
)
from dicomnode.ledger.performed_steps import list_steps
from dicomnode.ledger.studies import find_instances
from dicomnode.ledger.transaction import Transaction

_Sign = Evidence | Missing
_EQUAL_TIMES = 2
"""An archive has to say the same number so often: while it receives too, one answer means little."""
_MOST_TOLD = 3
_FEWEST_COMMITTED = 2
"""Some modalities ask for commitment image by image, from the first one on."""


def study_signs(
    tx: Transaction, news: StudyNews, signals: Signals, held: Sequence[HeldInstance], count: StudyCount
) -> StudySigns:
    """Gather what tells for and against the completeness of a study; `held` are its received instances."""
    found = [
        *_by_person(signals),
        *_by_steps(tx, news.study_instance_uid, signals, held),
        *_by_commitments(tx, news.study_instance_uid, signals, held),
        *_by_archive(tx, news, signals),
        *_by_counts(count),
        *_by_sendings(news, signals),
    ]
    return StudySigns(
        last_received_at=news.last_received_at,
        series=_series(held, count),
        evidence=tuple(one for one in found if isinstance(one, Evidence)),
        missing=tuple(one for one in found if isinstance(one, Missing)),
    )


def _series(held: Sequence[HeldInstance], count: StudyCount) -> tuple[SeriesSigns, ...]:
    """Say when each series received its last instance."""
    last = {one.series_instance_uid: one.received_at for one in sorted(held, key=lambda one: one.received_at)}
    whole = {uid for uid, counted in count.series.items() if counted.count.whole and not count.unread}
    return tuple(SeriesSigns(last_received_at=at, is_counted=uid in whole) for uid, at in last.items())


def _by_person(signals: Signals) -> Iterable[_Sign]:
    if signals.asked_by is not None:
        yield Evidence(kind=EvidenceKind.ASKED, text=f"{signals.asked_by} asked for it")


def _by_steps(
    tx: Transaction, study: StudyInstanceUID, signals: Signals, held: Sequence[HeldInstance]
) -> Iterable[_Sign]:
    """Hold what modalities say they made against what is here."""
    records = list_steps(tx, study) if signals.steps else ()
    missing = [sign for record in records for sign in _of_step(tx, record, held)]
    if missing:
        return missing
    completed = [one for one in records if one.step.state is StepState.COMPLETED and one.step.instances]
    listed = {series.series_instance_uid for record in completed for series in record.step.series}
    if not completed or any(one.series_instance_uid not in listed for one in held):
        # A series that no step names comes from somewhere else, of which nothing is known.
        return ()
    names = _names(record.step.association.calling_ae for record in completed)
    made = sum(record.step.instances for record in completed)
    steps = "its performed procedure step" if len(completed) == 1 else f"{len(completed)} performed procedure steps"
    text = f"{names} completed {steps}, and all {made} instances that were made are here"
    return [Evidence(kind=EvidenceKind.PERFORMED, text=text, since=max(one.changed_at for one in completed))]


def _of_step(tx: Transaction, record: StepRecord, held: Sequence[HeldInstance]) -> Iterable[Missing]:
    """Say what one step tells to be still to come."""
    step = record.step
    sender = step.association.calling_ae
    if not step.state.is_final:
        yield Missing(kind=MissingKind.STEP, text=f"a performed procedure step of {sender} is in progress")
    listed = [uid for series in step.series for uid in series.sop_instance_uids]
    absent = _absent(tx, listed, held)
    if absent:
        text = f"{absent} of {len(listed)} instances that {sender} lists in its performed procedure step are not here"
        yield Missing(kind=MissingKind.STEP, text=text)


def _by_commitments(
    tx: Transaction, study: StudyInstanceUID, signals: Signals, held: Sequence[HeldInstance]
) -> Iterable[_Sign]:
    """Hold what peers want to have kept against what is here; a request that names all of it speaks for the study."""
    here = {one.sop_instance_uid for one in held}
    for transaction_uid in signals.commitments:
        request = committed_references(tx, transaction_uid)
        absent = _absent(tx, [SOPInstanceUID(uid) for uid in request.named], held)
        if absent and request.studies == (study,):
            text = f"{absent} instances for which {request.calling_ae} asked storage commitment are not here"
            yield Missing(kind=MissingKind.COMMITMENT, text=text)
        elif not absent and here <= request.named and len(here) >= _FEWEST_COMMITTED:
            text = f"{request.calling_ae} asked storage commitment for all {len(here)} instances"
            yield Evidence(kind=EvidenceKind.COMMITMENT, text=text)


def _absent(tx: Transaction, named: Sequence[SOPInstanceUID], held: Sequence[HeldInstance]) -> int:
    """Count the instances that this node does not hold, in this study or in another."""
    here = {one.sop_instance_uid for one in held}
    elsewhere = [uid for uid in named if uid not in here]
    return len(elsewhere) - len(find_instances(tx, elsewhere)) if elsewhere else 0


def _by_archive(tx: Transaction, news: StudyNews, signals: Signals) -> Iterable[_Sign]:
    """Hold what an archive says it has against what is here, with and without what this node added."""
    said = signals.archive
    if said is None or said.at < news.last_received_at:
        return
    added = derived_instances(tx, news.study_instance_uid)
    if said.instances > news.instances + added:
        text = f"{said.archive} has {said.instances} instances, and {news.instances} are here"
        yield Missing(kind=MissingKind.ARCHIVE, text=text)
    elif said.times >= _EQUAL_TIMES and said.instances in (news.instances, news.instances + added):
        text = f"{said.archive} has the same number of instances, {said.instances}"
        yield Evidence(kind=EvidenceKind.ARCHIVE, text=text, since=said.at)


def _by_counts(count: StudyCount) -> Iterable[_Sign]:
    """Tell what the headers say of every series."""
    counted = count.series.values()
    for series in counted:
        if series.count.missing:
            yield Missing(kind=MissingKind.COUNTED, text=f"{series.count.missing} ({series.label})")
    if count.unread:
        verb = "header is" if count.unread == 1 else "headers are"
        yield Missing(kind=MissingKind.UNREAD, text=f"{count.unread} {verb} not read yet")
    elif counted and all(series.count.whole for series in counted):
        told = ", ".join(f"{series.count.whole} of {series.label}" for series in counted)
        text = told if len(counted) <= _MOST_TOLD else f"each of {len(counted)} series is whole by its headers"
        yield Evidence(kind=EvidenceKind.COUNTED, text=text)


def _by_sendings(news: StudyNews, signals: Signals) -> Iterable[_Sign]:
    """Tell whether everyone who brought the study has released the association."""
    sendings = signals.sendings
    if not sendings or any(one.open_associations or not one.is_released for one in sendings):
        return
    since = max(one.changed_at for one in sendings)
    if since >= news.last_received_at:
        text = f"{_names(one.calling_ae for one in sendings)} released every association that brought it"
        yield Evidence(kind=EvidenceKind.RELEASED, text=text, since=since)


def _names(titles: Iterable[str]) -> str:
    return " and ".join(sorted(set(titles)))
