import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.domain.errors import InvalidValue
from dicomnode.evaluation.baselines import fit_rescaling

SHAPE = (4, 5, 6)
EVERYWHERE = np.ones(SHAPE, dtype=bool)


@settings(max_examples=25, deadline=None)
@given(slope=st.floats(-3, 3), intercept=st.floats(-1, 1))
def test_a_true_line_is_found(slope: float, intercept: float) -> None:
    source = np.random.default_rng(0).uniform(0, 1, SHAPE)
    found = fit_rescaling([(source, slope * source + intercept, EVERYWHERE)])
    assert (found.slope, found.intercept) == pytest.approx((slope, intercept), abs=1e-6)


def test_every_image_counts_the_same_however_many_voxels_it_has() -> None:
    random = np.random.default_rng(1)
    few, many = random.uniform(0, 1, SHAPE), random.uniform(0, 1, (40, 5, 6))
    found = fit_rescaling([(few, few + 1, EVERYWHERE), (many, many + 3, np.ones(many.shape, dtype=bool))])
    assert found.slope + found.intercept == pytest.approx(3, abs=0.2)


def test_only_the_mask_is_rescaled() -> None:
    mask = EVERYWHERE.copy()
    mask[0] = False
    source = np.linspace(0, 1, 120).reshape(SHAPE)
    rescaled = fit_rescaling([(source, 2 * source + 0.5, mask)]).apply(source, mask)
    assert (rescaled[0] == 0).all()
    assert rescaled[1:] == pytest.approx(2 * source[1:] + 0.5)


def test_a_constant_input_gives_no_line() -> None:
    with pytest.raises(InvalidValue, match="two different values"):
        fit_rescaling([(np.ones(SHAPE), np.ones(SHAPE), EVERYWHERE)])
