"""In whatever order the slices of a study arrive, the rules see the same and decide the same."""

from functools import cache
from importlib.resources import files
from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from dicomnode.imaging.fact_catalogue import fact_catalogue
from dicomnode.imaging.series_facts import study_facts
from dicomnode.rules.decide import decide
from dicomnode.rules.ruleset import RuleSet, read_rule_set
from tests.builders import FLAIR, T1, T2, a_series
from tests.rules.catalogue import NOW


@cache
def _rules() -> RuleSet:
    return read_rule_set(Path(str(files("dicomnode.node") / "rules.yaml")), fact_catalogue())


@cache
def _studies() -> tuple[tuple[Dataset, ...], ...]:
    """A study for which the rule fires, one for which it does not, and one that waits for a person."""
    t1 = a_series(series="t1", slices=11, shape=(4, 4), SeriesNumber=2, **T1)
    t2 = a_series(series="t2", slices=12, shape=(4, 4), SeriesNumber=3, **T2)
    again = a_series(series="t2 again", slices=12, shape=(4, 4), SeriesNumber=3, **T2)
    flair = a_series(series="flair", slices=10, shape=(4, 4), SeriesNumber=4, **FLAIR)
    return (*t1, *t2, *again), (*t1, *t2, *flair), (*t1, *t2[:3])


@settings(deadline=None, max_examples=4)
@given(random=st.randoms(use_true_random=False))
def test_the_order_of_the_slices_decides_nothing(random: Random) -> None:
    for study in _studies():
        arrived = list(study)
        random.shuffle(arrived)
        assert decide(_rules(), study_facts(arrived), {}, at=NOW) == decide(_rules(), study_facts(study), {}, at=NOW)


def test_these_studies_lead_to_three_different_answers() -> None:
    answers = [decide(_rules(), study_facts(study), {}, at=NOW)[0] for study in _studies()]
    assert [(one.fired, one.problem is None) for one in answers] == [(True, True), (False, True), (True, False)]
