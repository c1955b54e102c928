"""What a reverse proxy says of its user, before an app that tells who came in."""

import json
import logging

import pytest
from guarded import SECRET

from apps.segpet.access.proxy import Forwarded, read_proxy
from apps.segpet.access.users import User, is_name
from tests import own_loop

PROXY = read_proxy({"proxy": "10.0.0.5"}, {"SEGPET_PROXY_SECRET": SECRET})


def through(name, role=None, secret=SECRET):
    """The user that comes in through the proxy, None where nobody does; or what it is told."""
    users, sent = [], []

    async def behind(scope, receive, send):
        users.append(scope.get("segpet.proxied"))

    async def send(message):
        sent.append(message)

    said = {"user": name, "role": role, "secret": secret}
    headers = [(f"x-segpet-{one}".encode(), text.encode()) for one, text in said.items() if text]
    scope = {"type": "http", "client": ("10.0.0.5", 1), "headers": headers}
    own_loop.run(Forwarded(behind, PROXY)(scope, None, send))
    return users[0] if users else (sent[0]["status"], json.loads(sent[1]["body"])["detail"])


@pytest.mark.parametrize(
    "name",
    [
        "HOSP\\jane",
        "auth0|5f7c",
        "Jürgen",
        "jane+x@h.example",
        "o'brien@h.example",
        "王芳",
        "กิตติ",
        "हिन्दी",
        "x" * 64,
    ],
)
def test_names_as_hospitals_give_them_come_in(name):
    assert through(name) == User(name, through("ann").role)


def test_a_role_may_be_capitalized():
    assert through("ann", "Admin").role.word == "admin"


@pytest.mark.parametrize(
    "name",
    ["two words", "a/b", "#x", "=x", "a,b", "x" * 65, "a\u202eb", "a\u200bb", "a\u00a0b", "a^b", "\ufffd"],
)
def test_a_name_that_cannot_be_one_is_refused_and_logged_without_it(name, caplog):
    assert not is_name(name)
    with caplog.at_level(logging.WARNING):
        status, sentence = through(name)
    assert status == 403
    assert "name that cannot be a user's" in sentence
    assert caplog.messages == [sentence]
    assert through(name, secret="another") is None, "who is not the proxy learns nothing"


def test_a_role_that_is_none_is_refused():
    assert through("ann", "chief") == (
        403, "The single sign-on gives a role that is none of annotator, reviewer, admin."
    )  # fmt: skip
    assert through(None) is None
