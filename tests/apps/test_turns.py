"""Turns at the device: fair between clients, bounded, given up by whoever leaves, and refused at the end."""

import threading
from collections import Counter

import pytest
from clock import Clock

from apps.segpet.turns import BusyError, StoppingError, Turns


def served(turns, tickets):
    """In which order clients are served, one ending after the other."""
    order = []
    while waiting := [ticket for ticket in tickets if ticket.begins.done()]:
        first = min(waiting, key=lambda ticket: ticket.begun)
        order.append(first.client)
        tickets.remove(first)
        turns.leave(first)
    return order


def test_clients_take_turns_however_many_requests_one_has():
    clock = Clock()
    turns = Turns(at_a_time=1, clock=clock)
    tickets = []
    for client in ("fast", "fast", "fast", "fast", "a", "b", "a"):
        clock.now += 1
        tickets.append(turns.ask(client))
    assert served(turns, tickets) == ["fast", "a", "b", "fast", "a", "fast", "fast"]


def test_a_client_has_one_request_worked_on_at_a_time():
    turns = Turns(at_a_time=2)
    first, second, other = turns.ask("one"), turns.ask("one"), turns.ask("other")
    assert [ticket.begins.done() for ticket in (first, second, other)] == [True, False, True]
    turns.leave(first)
    assert second.begins.done()


def test_long_work_leaves_a_place_free_for_clicks():
    turns = Turns(at_a_time=2)
    long, longer = turns.ask("batch", long=True), turns.ask("auto", long=True)
    click = turns.ask("clicker")
    assert [ticket.begins.done() for ticket in (long, longer, click)] == [True, False, True]
    turns.leave(click)
    assert not longer.begins.done()
    turns.leave(long)
    assert longer.begins.done()


def test_long_work_is_done_where_there_is_one_place_only():
    turns = Turns(at_a_time=1)
    assert turns.ask("batch", long=True).begins.done()


def test_a_full_queue_says_when_to_come_back_by_the_time_that_requests_took():
    clock = Clock()
    turns = Turns(at_a_time=1, most=3, share=3, clock=clock)
    for _ in range(60):  # requests of 4 s each
        ticket = turns.ask("earlier")
        clock.now += 4
        turns.leave(ticket)
    running = turns.ask("running")
    for client in "abc":
        turns.ask(client)
    with pytest.raises(BusyError, match=r"3 requests wait already.*Ask again in 12 s") as refused:
        turns.ask("d")
    assert refused.value.seconds == 12
    turns.leave(running)
    turns.ask("d")


def test_a_client_may_not_fill_the_queue_alone():
    turns = Turns(at_a_time=1, most=64, share=2)
    tickets = [turns.ask("greedy") for _ in range(3)]
    with pytest.raises(BusyError, match="2 requests of yours wait"):
        turns.ask("greedy")
    assert not turns.ask("modest").begins.done()
    assert sum(ticket.begins.done() for ticket in tickets) == 1


def test_whoever_leaves_before_the_turn_is_forgotten():
    turns = Turns(at_a_time=1)
    running, gone, after = turns.ask("a"), turns.ask("b"), turns.ask("c")
    turns.leave(gone)
    turns.leave(running)
    assert after.begins.done()
    assert not gone.begins.done()
    turns.leave(after)
    turns.leave(after)  # twice does no harm
    assert turns.is_idle


def test_at_the_end_who_waits_is_told_so_and_what_has_begun_goes_on():
    turns = Turns(at_a_time=1)
    running, waiting = turns.ask("a"), turns.ask("b")
    turns.close()
    with pytest.raises(StoppingError, match="stopping; nothing is lost"):
        waiting.begins.result(timeout=1)
    with pytest.raises(StoppingError):
        turns.ask("c")
    turns.leave(waiting)
    assert not turns.is_idle
    turns.leave(running)
    assert turns.is_idle


def test_a_thread_waits_for_a_place_in_the_queue():
    turns = Turns(at_a_time=1, most=1)
    running, waiting = turns.ask("a"), turns.ask("b")
    threading.Timer(0.2, lambda: (turns.leave(waiting), turns.leave(running))).start()
    with turns.turn("batch", long=True):
        assert not turns.is_idle
    assert turns.is_idle


def test_threads_share_it_and_never_more_than_allowed_work_at_a_time():
    turns, working, most, done = Turns(at_a_time=2, most=100, share=10), Counter(), [], Counter()

    def work(client):
        for _ in range(20):
            with turns.turn(client):
                working[client] += 1
                most.append((sum(working.values()), max(working.values())))
                working[client] -= 1
                done[client] += 1

    threads = [threading.Thread(target=work, args=(str(n // 2),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == dict.fromkeys("0123", 40)
    assert max(total for total, _ in most) <= 2
    assert max(own for _, own in most) <= 1
    assert turns.is_idle
