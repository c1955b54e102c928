import math

import numpy as np
import pytest

from lib.learning.bootstrap import bootstrap_mean
from lib.report.intervals import bootstrap, ratio


def test_a_ratio_of_sums_has_the_interval_of_the_mean_where_each_text_weighs_one():
    values = np.random.default_rng(1).uniform(size=60)
    found = bootstrap(np.column_stack([values, np.ones(60)]), ratio)
    expected = bootstrap_mean(values)
    assert found.value == pytest.approx(expected.value)
    assert found.low == pytest.approx(expected.low, abs=0.01)
    assert found.high == pytest.approx(expected.high, abs=0.01)


def test_the_same_seed_gives_the_same_interval():
    rows = np.random.default_rng(0).uniform(size=(30, 2))
    assert bootstrap(rows, ratio, 3) == bootstrap(rows, ratio, 3) != bootstrap(rows, ratio, 4)


def test_one_text_has_no_interval_and_none_has_no_value():
    one = bootstrap(np.array([[1.0, 2]]), ratio).as_dict()
    assert one == {"value": 0.5, "ci95": None}
    none = bootstrap(np.empty((0, 2)), ratio)
    assert math.isnan(none.value) and none.as_dict() == {"value": None, "ci95": None}
