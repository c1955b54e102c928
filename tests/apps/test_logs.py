"""The log in both forms: every line has its shape, and nothing that a library says of a patient is in it."""

import json
import logging
import subprocess
import sys

import pytest

from apps.segpet.request_log import RequestLog, pseudonym
from tests import own_loop

#: Logs what servers log, and what libraries let out.
TALKS = """
import logging, sys, threading, warnings
from apps.segpet.logs import set_up_logging
set_up_logging(sys.argv[1], sys.argv[2])
logging.getLogger("segpet").info("3 studies.")
logging.getLogger("uvicorn.error").info("Started server process [1]")
warnings.warn("Invalid value for PatientName: Doe^Jane")
try:
    raise ValueError("Doe^Jane")
except ValueError:
    logging.getLogger("segpet").exception("It failed.")
def fails():
    raise KeyError("Doe^Jane")
thread = threading.Thread(target=fails)
thread.start()
thread.join()
from apps.segpet import logs
logs.requests.info("request", extra={"fields": {"route": "/info/", "status": 200}})
"""


def said(form, level="info"):
    run = subprocess.run(
        [sys.executable, "-c", TALKS, form, level], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout == ""
    assert "Doe" not in run.stderr
    return run.stderr


def test_json_has_a_line_for_each_event_and_each_request():
    lines = [json.loads(line) for line in said("json").splitlines()]
    assert [line["level"] for line in lines] == ["info", "warning", "error", "error", "info"]
    assert lines[0]["event"] == "3 studies."
    assert lines[0]["time"].endswith("Z")
    assert lines[1]["event"].startswith("UserWarning at <string>:")
    assert lines[2]["event"] == "It failed."
    assert lines[2]["error"].startswith("ValueError at <string>:")
    assert lines[3]["event"].startswith("KeyError at ")
    assert (lines[4]["event"], lines[4]["route"], lines[4]["status"]) == ("request", "/info/", 200)


def test_text_has_the_events_alone():
    text = said("text")
    assert " INFO 3 studies.\n" in text
    assert " ERROR It failed.\nValueError at <string>:" in text
    assert "request" not in text
    assert "Traceback" not in text


def test_a_level_says_less():
    assert [json.loads(line)["level"] for line in said("json", "error").splitlines()] == ["error", "error"]


def test_a_pseudonym_is_the_same_for_one_client_and_tells_nothing():
    assert pseudonym("Smith") == pseudonym("Smith") != pseudonym("Smyth")
    assert len(pseudonym("")) == 8


def test_a_request_that_nobody_answered_is_logged_with_the_status_that_its_client_gets(caplog):
    async def fails(scope, receive, send):
        raise KeyError("Doe^Jane")

    scope = {"type": "http", "method": "POST", "path": "/sign-in", "headers": []}
    with caplog.at_level(logging.INFO), pytest.raises(KeyError):
        own_loop.run(RequestLog(fails)(scope, None, None))
    assert caplog.records[-1].fields["status"] == 500
