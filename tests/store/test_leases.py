"""Who has a study open is told for a while, and bars nobody."""

import pytest
from clock import Clock

from lib.store import Leases


@pytest.fixture
def clock():
    return Clock(1000.0)


@pytest.fixture
def leases(tmp_path, clock):
    return Leases(tmp_path / "leases", lasts=60, clock=clock)


def test_all_who_have_a_study_open_are_told(leases):
    for client in ("second", "first"):
        leases.renew("a/b", client)
    leases.renew("other", "first")
    assert leases.holders("a/b") == ["first", "second"]
    assert leases.all() == {"a/b": ["first", "second"], "other": ["first"]}
    assert leases.holders("nobody has it") == []


def test_a_lease_ends_unless_it_is_renewed(leases, clock):
    leases.renew("a", "stays")
    leases.renew("a", "goes")
    clock.now += 40
    leases.renew("a", "stays")
    clock.now += 30
    assert leases.holders("a") == ["stays"]


def test_a_client_can_say_that_it_goes(leases):
    leases.renew("a", "one")
    leases.end("a", "one")
    leases.end("a", "never there")
    assert leases.holders("a") == []


def test_leases_outlive_the_server(leases, clock):
    leases.renew("a", "one")
    assert Leases(leases.folder, lasts=60, clock=clock).holders("a") == ["one"]


def test_a_lease_is_not_written_at_every_click(leases, clock):
    leases.renew("a", "one")
    (path,) = leases.folder.glob("*/*")
    before = path.stat().st_ino
    clock.now += 1
    leases.renew("a", "one")
    assert path.stat().st_ino == before


def test_a_damaged_lease_counts_as_none(leases):
    leases.renew("a", "one")
    (path,) = leases.folder.glob("*/*")
    path.write_text("{")
    assert leases.holders("a") == []
    leases.renew("a", "one")
    assert leases.holders("a") == ["one"]


def test_a_clock_that_was_set_back_does_not_keep_a_lease_for_ever(leases, clock):
    leases.renew("a", "one")
    clock.now -= 500
    assert leases.holders("a") == []
    leases.renew("a", "one")
    assert leases.holders("a") == ["one"]
