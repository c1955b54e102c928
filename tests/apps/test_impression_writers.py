"""Impressions at a time: so many in all, fewer for each client, none for one that has left."""

import asyncio
import threading
import time

import pytest
from fastapi import HTTPException

from apps.segpet.routes.threads import until_gone
from apps.segpet.routes.writers import Writers
from apps.segpet.stopping import stopping
from apps.segpet.turns import STOPPING
from infer_tasks.impression import ImpressionTask
from lib.report.backends import Cancelled
from tests import own_loop


def refusal(writers: Writers, client: str) -> str:
    """Return the sentence with which a client's work is refused, "" where it begins."""
    try:
        writers.begin(client, lambda: None)
    except HTTPException as error:
        assert (error.status_code, error.headers) == (429, {"Retry-After": "30"})
        return error.detail
    return ""


def test_a_client_has_a_share_and_all_together_have_so_many():
    async def ask():
        writers, go_on = Writers(most=4, share=2), threading.Event()
        begun = [writers.begin(client, go_on.wait) for client in ("jane", "jane")]
        assert "2 of yours" in refusal(writers, "jane")
        begun += [writers.begin(client, go_on.wait) for client in ("joe", "sue")]
        assert "4 impressions" in refusal(writers, "ann")
        go_on.set()
        assert all(await asyncio.gather(*begun))
        assert not refusal(writers, "jane")

    own_loop.run(asyncio.wait_for(ask(), 10))


def test_those_without_a_name_share_all_places():
    async def ask():
        writers, go_on = Writers(most=4, share=2), threading.Event()
        begun = [writers.begin("", go_on.wait) for _ in range(4)]
        assert "4 impressions" in refusal(writers, "")
        go_on.set()
        await asyncio.gather(*begun)

    own_loop.run(asyncio.wait_for(ask(), 10))


def test_work_that_fails_gives_its_place_back():
    async def ask():
        writers = Writers(most=1)
        with pytest.raises(ValueError, match="no"):
            await writers.begin("jane", lambda: int("no"))
        assert not refusal(writers, "jane")

    own_loop.run(asyncio.wait_for(ask(), 10))


class Leaves:
    """A request whose client closes the connection after a moment, or never does."""

    def __init__(self, seconds: float):
        self.seconds = seconds

    async def receive(self):
        await asyncio.sleep(self.seconds)
        return {"type": "http.disconnect"}


def writes_for_ever(cancelled):
    for _ in range(1000):
        if cancelled():
            raise Cancelled
        time.sleep(0.01)


def test_what_a_client_left_that_asked_for_it_is_not_written_on():
    assert own_loop.run(until_gone(Leaves(0.05), "jane", writes_for_ever)).status_code == 499


def test_a_server_that_stops_says_so():
    threading.Timer(0.05, stopping.set).start()
    try:
        with pytest.raises(HTTPException) as error:
            own_loop.run(until_gone(Leaves(60), "jane", writes_for_ever))
    finally:
        stopping.clear()
    assert (error.value.status_code, error.value.detail) == (503, STOPPING)


def test_the_task_asks_whether_to_go_on():
    class Impressions:
        def write(self, findings, language, options, cancelled, waiting):
            writes_for_ever(cancelled)
            yield findings

    request = {"study": "a", "image": "a.nii", "findings": "F.", "language": "en", "cancelled": lambda: True}
    with pytest.raises(Cancelled):
        ImpressionTask(Impressions())(request)
