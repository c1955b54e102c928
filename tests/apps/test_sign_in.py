"""Sign-ins by themselves: how long who guesses has to wait, and when a session is over."""

import pytest
from clock import Clock
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.testclient import TestClient

from apps.segpet.access.access import Access
from apps.segpet.access.attempts import Attempts
from apps.segpet.access.gate import Gate
from apps.segpet.access.sessions import LASTS, Sessions
from apps.segpet.access.tokens import Tokens, digest_of

TOKEN = "reviewer-token-0123456789"


@pytest.fixture
def clock():
    return Clock(1000.0)


def fail(attempts, address, times):
    for _ in range(times):
        attempts.failed(address)
    return attempts.wait(address)


def test_from_the_fifth_failure_the_wait_doubles_up_to_five_minutes(clock):
    attempts = Attempts(clock)
    assert fail(attempts, "10.0.0.7", 4) == 0
    assert [fail(attempts, "10.0.0.7", 1) for _ in range(10)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert attempts.wait("10.0.0.8") == 0
    clock.now += 299
    assert attempts.wait("10.0.0.7") == 1
    clock.now += 1
    assert attempts.wait("10.0.0.7") == 0


def test_failures_are_forgotten_after_a_success_and_after_a_quarter_of_an_hour(clock):
    attempts = Attempts(clock)
    fail(attempts, "10.0.0.7", 6)
    attempts.succeeded("10.0.0.7")
    assert fail(attempts, "10.0.0.7", 4) == 0
    clock.now += 901
    assert fail(attempts, "10.0.0.7", 4) == 0


def test_the_addresses_of_one_network_of_ipv6_count_as_one(clock):
    attempts = Attempts(clock)
    for last in range(6):
        attempts.failed(f"2001:db8::{last}")
    assert attempts.wait("2001:db8::ffff") > 0
    assert attempts.wait("2001:db8:0:1::1") == 0


def test_a_session_ends_after_a_working_day_and_is_known_by_its_digest_alone(clock):
    sessions = Sessions(clock)
    cookie = sessions.begin(digest_of(TOKEN))
    assert cookie not in str(vars(sessions))
    clock.now += LASTS - 1
    assert sessions.token(cookie) == digest_of(TOKEN)
    clock.now += 1
    assert sessions.token(cookie) is None
    assert sessions.token("another") is None


def test_many_sessions_put_the_oldest_out(clock):
    sessions = Sessions(clock)
    cookies = [sessions.begin(digest_of(f"{TOKEN}{number}")) for number in range(1001)]
    assert sessions.token(cookies[0]) is None
    assert sessions.token(cookies[-1]) is not None


def test_who_signs_in_again_and_again_puts_nobody_else_out(clock):
    sessions = Sessions(clock)
    other = sessions.begin(digest_of("another token, of somebody else"))
    cookies = [sessions.begin(digest_of(TOKEN)) for _ in range(1001)]
    assert sessions.token(other) is not None
    assert [sessions.token(cookie) is None for cookie in cookies] == [True] * 951 + [False] * 50


def test_a_browser_may_ask_without_a_token_whether_a_listed_origin_may_ask_with_one():
    async def behind(scope, receive, send):
        await Response(scope["user"].name)(scope, receive, send)

    gate = Gate(behind, Access(Tokens({"SEGPET_TOKEN_REVIEWER": TOKEN})), [])
    listed = CORSMiddleware(gate, allow_origins=["https://viewer.example"], allow_headers=["*"])
    client = TestClient(listed)
    asks = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    for origin, status in (("https://viewer.example", 200), ("https://evil.example", 400)):
        assert client.options("/info/", headers={"Origin": origin, **asks}).status_code == status
    headers = {"Origin": "https://viewer.example", "Authorization": f"Bearer {TOKEN}"}
    assert client.get("/info/", headers=headers).text == "reviewer"
    assert TestClient(gate).options("/info/", headers={"Origin": "https://evil.example"}).status_code == 401
