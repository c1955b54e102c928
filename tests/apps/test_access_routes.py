"""Every route of the app stands in the table of roles, and the gate holds each request against it."""

import pytest
from fastapi import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from apps.segpet.access.access import Access
from apps.segpet.access.gate import Gate
from apps.segpet.access.table import ROUTES, STATUSES
from apps.segpet.access.tokens import Tokens
from apps.segpet.access.users import Role
from apps.segpet.dicomweb.proxy import PACS, proxy_router
from apps.segpet.studies import TAGS
from lib.store.labels import STATUSES as LABEL_STATUSES

KEYS = {role: f"{role.word}-token-0123456789" for role in Role if role is not Role.NOBODY}


@pytest.fixture(scope="module")
def routes():
    """All routes of the app, and those to a PACS that may take the place of the folder's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MONAI_LABEL_RELOAD_APP_LIB", "false")  # the import sets it, for good
        from apps.segpet import server
    assert len(server.routes) > 60
    return [*server.routes, *proxy_router(PACS("http://127.0.0.1:1/dicom-web")).routes]


@pytest.fixture(scope="module")
def gate(routes):
    async def behind(scope, receive, send):
        user = scope["user"]
        await Response(f"{user.name} {user.role.word}")(scope, receive, send)

    tokens = Tokens({f"SEGPET_TOKEN_{role.name}": key for role, key in KEYS.items()})
    return TestClient(Gate(behind, Access(tokens), routes))


def rows(routes):
    """Method and path of each route."""
    return sorted({(method, route.path) for route in routes for method in route.methods})


def ask(gate, method, path, role=None):
    headers = {"Authorization": f"Bearer {KEYS[role]}"} if role else {}
    concrete = path.replace("{path:path}", "studies/1.2/series").replace("{", "").replace("}", "")
    return gate.request(method, concrete, headers=headers).status_code


def test_every_route_has_a_row_and_every_row_a_route(routes):
    assert set(rows(routes)) == set(ROUTES)


def test_every_status_of_a_label_has_a_role():
    assert set(STATUSES) == set(TAGS) == {*LABEL_STATUSES, "original"}


def test_every_route_is_refused_without_a_token_but_those_that_tell_nothing(gate, routes):
    answered = [row for row in rows(routes) if ask(gate, *row) != 401]
    assert answered == [
        ("GET", "/auth/"), ("GET", "/health"), ("GET", "/ready"), ("HEAD", "/health"), ("HEAD", "/ready"),
        ("POST", "/auth/token"), ("POST", "/sign-in"),
    ]  # fmt: skip


@pytest.mark.parametrize("role", KEYS)
def test_every_route_is_refused_to_a_smaller_role_and_open_to_a_greater_one(gate, routes, role):
    for row in rows(routes):
        assert ask(gate, *row, role) == (200 if role >= ROUTES[row] else 403), row


@pytest.mark.parametrize(
    "path", ["/", "/segpet", "/segpet/viewer/mode.js", "/app-config.js", "/nothing", "//"]
)
def test_viewer_and_unknown_paths_are_refused_without_a_token(gate, path):
    assert ask(gate, "GET", path) == 401
    assert ask(gate, "GET", path, Role.ANNOTATOR) == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/train/segpet"),
        ("POST", "/train/seg%70et"),
        ("POST", "/train/x%0ay"),
        ("DELETE", "/train/"),
        ("POST", "/segpet/weights/promote"),
        ("POST", "/segpet/%77eights/promote"),
    ],
)
def test_another_spelling_of_a_path_leads_past_no_role(gate, method, path):
    assert ask(gate, method, path, Role.REVIEWER) == 403


def test_a_route_without_a_row_is_for_admins(routes):
    async def behind(scope, receive, send):
        await Response()(scope, receive, send)

    new = Route("/brand-new", lambda request: Response(), methods=["POST"])
    tokens = Tokens({f"SEGPET_TOKEN_{role.name}": key for role, key in KEYS.items()})
    gate = TestClient(Gate(behind, Access(tokens), [new]))
    assert [ask(gate, "POST", "/brand-new", role) for role in KEYS] == [403, 403, 200]


def test_without_tokens_only_this_machine_comes_in(routes):
    access = Access(Tokens({}))
    for address in ("127.0.0.1", "::1", "10.0.0.7", "", None):
        scope = {"type": "http", "headers": [], "path": "/", "scheme": "http", "server": (address, 8000)}
        if address in ("127.0.0.1", "::1"):
            assert access.user(Request(scope)).role is Role.ADMIN
        else:
            with pytest.raises(HTTPException, match="401"):
                access.user(Request(scope))
