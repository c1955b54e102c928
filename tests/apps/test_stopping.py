"""What is on its way when the server stops: an impression that is being written ends with a sentence."""

import asyncio
import json
import time

import pytest

from apps.segpet.routes import impressions
from apps.segpet.stopping import stopping
from apps.segpet.turns import STOPPING
from lib.report.backends import Cancelled
from tests import own_loop


@pytest.fixture
def stops():
    yield stopping.set
    stopping.clear()


def test_an_impression_that_is_being_written_ends_with_a_sentence(stops):
    def writes_for_ever(tell, cancelled):
        while not cancelled():
            tell({"text": "No "})
            time.sleep(0.01)
        raise Cancelled

    async def read():
        told = []
        async for line in impressions._lines("jane", writes_for_ever):
            told.append(json.loads(line))
            if len(told) == 3:
                stops()
        return told

    told = own_loop.run(asyncio.wait_for(read(), 10))
    assert told[0] == {"text": "No "}
    assert told[-1] == {"error": STOPPING}
