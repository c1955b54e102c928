"""What a load run demands: each demand is met by a good run, and not by one that is bad in just that."""

import pytest

from scripts.loading.measured import Load

GB = 1e9


def good():
    """Ten minutes of 20 annotators at a server whose memory fills up in the first half."""
    held = [GB * min(1.0, 0.5 + at / 500) for at in range(600)]
    load = Load(waits=[0.1] * 100, works=[0.1] * 100, health=[0.004] * 600, memory=list(enumerate(held)))
    load.seconds["click"] = [0.2] * 99 + [1.5]
    load.seconds["undo"] = [0.01]
    return load


def an_error(load):
    load.faults.append("click: 500")


def slow_clicks(load):
    load.seconds["negative click"] = [2.5] * 20


def growing_memory(load):
    load.memory = [(at, GB * (1 + at / 600)) for at in range(600)]


def one_peak_of_memory(load):
    load.memory[450] = 450, 1.2 * GB


def one_slow_health(load):
    load.health[7] = 0.06


def no_health(load):
    load.health.clear()


def test_a_good_run_meets_all_that_is_demanded():
    assert [one.measured for one in good().demands(20) if not one.met] == []


@pytest.mark.parametrize(
    ("spoil", "demand"),
    [
        (an_error, "no error"),
        (slow_clicks, "p95 of clicks"),
        (growing_memory, "memory flat"),
        (one_peak_of_memory, "memory flat"),
        (one_slow_health, "`/health`"),
        (no_health, "`/health`"),
    ],
)
def test_a_run_that_is_bad_in_one_thing_does_not_meet_that(spoil, demand):
    load = good()
    spoil(load)
    (unmet,) = [one for one in load.demands(20) if not one.met]
    assert unmet.what.startswith(demand)


def test_the_table_has_the_memory_of_each_minute():
    told = good().rows()["memory of the server, mean of each minute, MB"]
    assert told == "559 / 679 / 799 / 919 / 998 / 1000 / 1000 / 1000 / 1000 / 1000"
