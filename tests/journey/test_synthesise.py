"""The work of the child: the same for the same request, and checked against the grid that the rule chose."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset

from dicomnode.domain.derivation import Preparation
from dicomnode.domain.errors import ContractViolation
from dicomnode.engine.children import Children
from dicomnode.journey.synthesise import SynthesisRequest, synthesise
from dicomnode.spool.store import Spool
from dicomnode.synthesis.registry import Registry
from tests.builders import T1, T2, a_series, write_series
from tests.conftest import FakeClock
from tests.journey.bench import PLACE, t2
from tests.waiting import PATIENCE_SECONDS

KEY = "derive:c0ffee:rule:model"


def _request(
    spool: Spool, clock: FakeClock, model: str, series: Mapping[str, Sequence[Dataset]], target: str
) -> SynthesisRequest:
    folder = spool.root.parent / "sources"
    return SynthesisRequest(
        key=KEY,
        model=Registry.discover().entry(model).identity,
        target_role=target,
        preparation=Preparation(),
        files={role: tuple(write_series(folder / role, datasets)) for role, datasets in series.items()},
        series_number=9001,
        revision=1,
        at=clock.now(),
        spool_root=spool.root,
        device=PLACE.device,
        node_version=PLACE.node_version,
    )


def _files(spool: Spool) -> set[str]:
    return {str(path.relative_to(spool.root)) for path in spool.root.rglob("*") if path.is_file()}


def test_the_same_request_gives_the_same_instances(spool: Spool, clock: FakeClock, children: Children) -> None:
    request = _request(spool, clock, "identity", {"source": t2()}, "source")
    first = children.run(synthesise, PATIENCE_SECONDS, request)
    assert children.run(synthesise, PATIENCE_SECONDS, request).instances == first.instances
    assert _files(spool) == {one.path for one in first.instances}
    assert sorted(one.instance_number for one in first.instances) == [1, 2, 3]
    for one in first.instances:
        written = pydicom.dcmread(spool.locate(one.path))
        assert (one.sop_instance_uid, one.sop_class_uid) == (written.SOPInstanceUID, written.SOPClassUID)
        assert (one.size, written.SeriesInstanceUID) == (
            spool.locate(one.path).stat().st_size,
            one.series_instance_uid,
        )


def test_the_seed_belongs_to_the_work_and_not_to_the_model(spool: Spool, clock: FakeClock) -> None:
    request = _request(spool, clock, "identity", {"source": t2()}, "source")
    other = replace(request, key="derive:decade:rule:model")
    assert request.seed == replace(request, series_number=9002).seed
    assert request.seed != other.seed
    assert all(0 <= one.seed < 2**32 for one in (request, other))


def test_inputs_are_held_against_the_grid_that_the_rule_chose(
    spool: Spool, clock: FakeClock, children: Children
) -> None:
    head: dict[str, Any] = {"shape": (32, 32), "spacing": (4.0, 4.0, 4.0), "slices": 60}
    t1 = a_series(series="t1", SeriesNumber=2, **head, **T1)
    half = a_series(series="t2", SeriesNumber=3, **head, **T2)[:30]
    request = _request(spool, clock, "mr-flair", {"t1": t1, "t2": half}, "t1")
    with pytest.raises(ContractViolation, match=r"t2: covers only 50% of the target"):
        children.run(synthesise, PATIENCE_SECONDS, request)
