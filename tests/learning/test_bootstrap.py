"""Intervals of means over cases."""

import math

import numpy as np
import pytest

from lib.learning.bootstrap import bootstrap_mean


def test_the_interval_is_that_of_a_mean_of_many_cases():
    values = np.random.default_rng(1).normal(0.7, 0.1, 400)
    mean = bootstrap_mean(values)
    assert mean.value == pytest.approx(values.mean())
    half = 1.96 * values.std() / math.sqrt(400)
    assert mean.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert mean.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_a_seed_gives_the_same_interval_always():
    values = np.random.default_rng(0).uniform(size=30)
    assert bootstrap_mean(values, 3) == bootstrap_mean(values, 3)
    assert bootstrap_mean(values, 3) != bootstrap_mean(values, 4)


def test_cases_without_a_value_are_left_out():
    mean = bootstrap_mean([0.5, float("nan"), 0.5])
    assert (mean.value, mean.low, mean.high, mean.count) == (0.5, 0.5, 0.5, 2)


@pytest.mark.parametrize(("values", "mean"), [([], math.nan), ([math.nan], math.nan), ([0.4], 0.4)])
def test_fewer_than_two_cases_have_no_interval(values, mean):
    result = bootstrap_mean(values)
    assert result.value == pytest.approx(mean, nan_ok=True)
    assert math.isnan(result.low)
    assert math.isnan(result.high)
