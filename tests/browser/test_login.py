"""The viewer on a server that wants tokens: from the token to the panel, and what a role may do there."""

from collections.abc import Iterator

import pytest
import requests
from conftest import save_study
from guarded import TOKENS, USERS, bearer
from serving import Server
from small_network import small_seganypet

from apps.segpet.access.tokens import line_of
from apps.segpet.access.users import Role
from lib.network import save_network
from lib.store import Models, StateFolder

CARD = {"mode": "decoder", "data": {"training": ["one"], "validation": ["one"]}, "validation": {}}


@pytest.fixture
def team(tmp_path, phantom) -> Iterator[Server]:
    """A server with a version of weights, for users."""
    (tmp_path / "studies").mkdir()
    save_study(tmp_path / "studies/one", phantom.volume.array, phantom.volume.affine)
    save_network(small_seganypet(1), tmp_path / "tuned.safetensors")
    Models(StateFolder(tmp_path / "state").folder("models")).add(tmp_path / "tuned.safetensors", CARD)
    users = tmp_path / "users.txt"
    users.write_text("".join(line_of(one, TOKENS[one.role]) for one in USERS))
    users.chmod(0o600)
    server = Server(tmp_path, model="none", labels="lesion", tokens=users)
    server.headers = bearer(Role.ADMIN)
    try:
        yield server.start()
    finally:
        server.stop()


def test_a_token_leads_to_the_panel_and_an_annotator_neither_trains_nor_promotes(viewer, team):
    browser = viewer(team)
    page, asked = browser.page, browser.page.context.request
    browser.page.goto(f"{team.url}/segpet/me?token={TOKENS[Role.ANNOTATOR]}")
    assert "token" not in page.url
    listed = requests.get(f"{team.url}/segpet/studies", headers=bearer(Role.ANNOTATOR), timeout=30).json()
    page.goto(f"{team.url}/segpet?StudyInstanceUIDs={listed['studies'][0]['study_uid']}")
    browser.loaded()
    assert browser.state()["client"] == "ann"
    for route, body in (("weights/promote", {"version": 1}), ("weights/rollback", {}), ("training", {})):
        assert asked.post(f"{team.url}/segpet/{route}", data=body).status == 403

    page.locator("[data-test=learn] > summary").click()
    page.wait_for_selector("tr[data-version='1']")
    assert page.locator("[data-test=promote-segpet-1]").count() == 0
    page.evaluate("async () => (await import('/segpet/viewer/state.js')).change({ role: 'admin' })")
    page.wait_for_selector("[data-test=promote-segpet-1]")
    asked.post(f"{team.url}/sign-out")
    assert asked.get(f"{team.url}/segpet/me").status == 401
