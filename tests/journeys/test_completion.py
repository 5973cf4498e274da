"""When the next revision begins: at once with proof, not while slices are missing, and again when one comes late."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dicomnode.dimse.mpps import PERFORMED_PROCEDURE_STEP
from dicomnode.domain.study import StudyRevision
from dicomnode.imaging.headers import read_header
from dicomnode.node.completion_settings import CompletionSettings
from tests.builders import T2, a_series, uid, write_series
from tests.dimse.conftest import associate
from tests.dimse.step_data_sets import STEP, a_series_item, an_end, begun
from tests.nodes import BRAIN_STUDY, COPY_RULE, RememberingPacs, ServingNode, unpack_brain, wait_until
from tests.web.holdings import served

pytestmark = [pytest.mark.peer, pytest.mark.timeout(300)]

STUDY = uid("study")
QUIET_SECONDS = 2.0


@pytest.fixture
def pacs() -> Iterator[RememberingPacs]:
    with RememberingPacs() as running:
        yield running


@pytest.fixture
def patient_node(tmp_path: Path, pacs: RememberingPacs) -> Iterator[ServingNode]:
    """A node that waits two minutes, as sites do whose scanners pause between series."""
    patience = CompletionSettings(missing_seconds=120, after_release_seconds=120, after_counts_seconds=120)
    yield from _serving(
        ServingNode(tmp_path / "node", pacs.destination, COPY_RULE, quiet_seconds=120, completion=patience)
    )


@pytest.fixture
def quick_node(tmp_path: Path, pacs: RememberingPacs) -> Iterator[ServingNode]:
    """A node that waits two seconds, and longer only when it knows better."""
    waits = CompletionSettings(missing_seconds=60, after_release_seconds=1)
    yield from _serving(
        ServingNode(tmp_path / "node", pacs.destination, COPY_RULE, quiet_seconds=QUIET_SECONDS, completion=waits)
    )


def _serving(node: ServingNode) -> Iterator[ServingNode]:
    node.start()
    try:
        yield node
    finally:
        node.stop()


def _tell_step(node: ServingNode, verb: str, said: Dataset) -> None:
    """Send one N-CREATE or N-SET as the scanner does."""
    port, called = node.settings.dicom_port, node.settings.ae_title
    association = associate(port, (PERFORMED_PROCEDURE_STEP, ["1.2.840.10008.1.2"]), called=called)
    if verb == "create":
        status, _ = association.send_n_create(said, PERFORMED_PROCEDURE_STEP, UID(STEP))
    else:
        status, _ = association.send_n_set(said, PERFORMED_PROCEDURE_STEP, UID(STEP))
    association.release()
    assert status.Status == 0


def _listed(files: Sequence[Path]) -> list[Dataset]:
    """Write the Performed Series Sequence of what a scanner made."""
    made: dict[str, list[str]] = {}
    for header in map(read_header, files):
        made.setdefault(header.series_instance_uid, []).append(header.sop_instance_uid)
    return [a_series_item(series, instances) for series, instances in made.items()]


def _stays_so(look: Callable[[], bool], seconds: float) -> None:
    """Look for so long, and fail as soon as it is no longer so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert look()
        time.sleep(0.1)


def _revision(node: ServingNode, number: int, study: str = STUDY) -> StudyRevision:
    def look() -> StudyRevision | None:
        return next((one for one in node.revisions(study) if one.number == number), None)

    return wait_until(look, 60, f"revision {number}; the log: {(node.folder / 'node.log').read_text()[-2000:]}")


def test_a_completed_step_with_all_its_instances_starts_the_study_within_a_second(
    tmp_path: Path, patient_node: ServingNode
) -> None:
    t1, t2 = unpack_brain(tmp_path / "study")
    files = [*t1, *t2]
    _tell_step(patient_node, "create", begun(BRAIN_STUDY))
    patient_node.send(files[:-1])
    _tell_step(patient_node, "set", an_end("COMPLETED", _listed(files)))
    _stays_so(lambda: not patient_node.revisions(), seconds=1.5)

    patient_node.send(files[-1:])
    sent_at = datetime.now(UTC)
    revision = _revision(patient_node, 1, BRAIN_STUDY)
    assert revision.at - sent_at < timedelta(seconds=1)
    assert revision.instances == len(files)
    said = f"SCANNER completed its performed procedure step, and all {len(files)} instances that were made are here"
    assert revision.evidence[0] == said
    (event,) = (one for one in patient_node.events() if (one.step, one.state) == ("complete", "done"))
    assert event.text == f"Complete with {len(files)} instances as revision 1, because {'; '.join(revision.evidence)}."
    assert patient_node.wait_for("derived").revision == 1


def test_with_no_step_and_a_tenth_of_the_slices_late_there_is_no_partial_run(
    tmp_path: Path, quick_node: ServingNode, pacs: RememberingPacs
) -> None:
    files = write_series(tmp_path / "t2", a_series(series="t2", slices=60, shape=(16, 12), **T2))
    delayed = Random(1).sample(files[1:-1], len(files) // 10)
    first, second = files[:30], files[30:]
    for part in (first, second):
        quick_node.send([file for file in part if file not in delayed])
    _stays_so(lambda: not quick_node.revisions(STUDY), seconds=3 * QUIET_SECONDS)
    quick_node.send(delayed[:3])
    _stays_so(lambda: not quick_node.revisions(STUDY), seconds=2 * QUIET_SECONDS)
    assert quick_node.derivations(STUDY) == ()

    quick_node.send(delayed[3:])
    first_revision = _revision(quick_node, 1)
    assert first_revision.instances == len(files)
    assert first_revision.evidence[0] == "SCANNER released every association that brought it"
    wait_until(lambda: len(pacs.received) == len(files), 60, "the delivery")
    assert [one.revision for one in quick_node.derivations(STUDY)] == [1]

    late = a_series(series="t2", slices=len(files) + 1, shape=(16, 12), **T2)[-1:]
    quick_node.send(write_series(tmp_path / "late", late))
    second_revision = _revision(quick_node, 2)
    assert second_revision.instances == len(files) + 1
    wait_until(lambda: len(quick_node.derivations(STUDY)) == 2, 60, "the second derivation")
    assert {one.revision for one in quick_node.derivations(STUDY)} == {1, 2}


def test_an_archive_that_has_as_many_instances_starts_the_study(tmp_path: Path, pacs: RememberingPacs) -> None:
    files = write_series(tmp_path / "t2", a_series(series="t2", slices=12, shape=(16, 12), **T2))
    asked: list[str] = []

    def answer(request: Request) -> Response:
        asked.append(request.query_params["StudyInstanceUID"])
        return JSONResponse([{"00201208": {"vr": "IS", "Value": [len(files)]}}])

    with served(Starlette(routes=[Route("/studies", answer)])) as address:
        archive = pacs.destination.model_copy(update={"dicomweb_url": address})
        asks = CompletionSettings(after_release_seconds=120, archive="pacs")
        node = ServingNode(tmp_path / "node", archive, COPY_RULE, quiet_seconds=120, completion=asks)
        with contextmanager(_serving)(node):
            node.send(files)
            revision = _revision(node, 1)
    assert revision.evidence == ("pacs has the same number of instances, 12",)
    assert asked == [STUDY] * 2
