"""A server with users: who comes in, what each may do, and under whose name."""

import json
import re
import shutil
import time
from urllib.parse import quote

import pytest
import requests
from guarded import SECRET, TOKENS, USERS, bearer
from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelClientException
from panel_client import PanelClient, RefusedError, lps
from playwright.sync_api import sync_playwright

from apps.segpet.access.users import Role
from lib.store import Audit

CHROMIUM = "/usr/bin/chromium"
PAGE = {"Accept": "text/html"}


def browser(server, role):
    """A browser that was signed in by the form."""
    session = requests.Session()
    reply = session.post(f"{server.url}/sign-in", data={"token": TOKENS[role]}, allow_redirects=False)
    assert reply.status_code == 303
    return session


def panel(server, monkeypatch, role, study="Doe_Jane"):
    """The panel of a user in a browser."""
    session = browser(server, role)
    for method in ("get", "put", "post", "patch", "delete"):
        monkeypatch.setattr(f"panel_client.requests.{method}", getattr(session, method))
    return PanelClient(server.url, study, session.get(f"{server.url}/segpet/me").json()["name"])


def test_no_path_of_the_running_server_answers_without_a_token(guarded):
    paths = requests.get(f"{guarded.url}/openapi.json", headers=bearer(Role.ANNOTATOR)).json()["paths"]
    assert len(paths) > 40
    answered = []
    for path, methods in [*paths.items(), ("/", {"get": 0}), ("/segpet/viewer/mode.js", {"get": 0})]:
        for method in methods:
            url = guarded.url + re.sub(r"\{\w+(:path)?\}", "1.2", path)
            for headers in (
                {},
                {"Authorization": "Basic YWRhbTphZGFt"},
                {"Cookie": f"segpet-{guarded.port}=x"},
            ):
                if requests.request(method, url, headers=headers).status_code != 401:
                    answered.append(f"{method} {path}")
    assert set(answered) == {"get /health", "get /ready", "get /auth/", "post /auth/token", "post /sign-in"}


def test_a_browser_is_asked_for_a_token_and_goes_on_to_where_it_wanted(guarded):
    asked = requests.get(f"{guarded.url}/segpet?StudyInstanceUIDs=1.2", headers=PAGE)
    assert asked.status_code == 401
    assert "form-action 'self'" in asked.headers["Content-Security-Policy"]
    onward = re.search(r'name="onward" type="hidden" value="([^"]*)"', asked.text)[1]
    assert onward == "/segpet?StudyInstanceUIDs=1.2"
    reply = requests.post(
        f"{guarded.url}/sign-in",
        data={"token": TOKENS[Role.ANNOTATOR], "onward": onward},
        allow_redirects=False,
    )
    assert (reply.status_code, reply.headers["Location"]) == (303, onward)
    cookie = reply.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKENS[Role.ANNOTATOR] not in cookie
    assert "登录" in requests.get(f"{guarded.url}/", headers={**PAGE, "Accept-Language": "zh-CN"}).text


@pytest.mark.parametrize(
    "onward", ["//evil.example/", "https://evil.example", "/\\evil.example", "\\\\evil.example"]
)
def test_signing_in_leads_to_no_other_server(guarded, onward):
    data = {"token": TOKENS[Role.ANNOTATOR], "onward": onward}
    reply = requests.post(f"{guarded.url}/sign-in", data=data, allow_redirects=False)
    assert re.match(r"/[^/\\]", reply.headers["Location"])
    link = f"{guarded.url}//evil.example/?token={TOKENS[Role.ANNOTATOR]}"
    reply = requests.get(link, headers=PAGE, allow_redirects=False)
    assert reply.headers["Location"] == "/evil.example/"


def test_a_token_in_the_address_signs_in_and_leaves_the_address(guarded):
    link = f"{guarded.url}/segpet?token={TOKENS[Role.ADMIN]}&StudyInstanceUIDs=1.2"
    session = requests.Session()
    reply = session.get(link, headers=PAGE, allow_redirects=False)
    assert (reply.status_code, reply.headers["Location"]) == (303, "/segpet?StudyInstanceUIDs=1.2")
    assert session.get(f"{guarded.url}/segpet/me").json() == {"name": "adam", "role": "admin"}


def test_a_link_of_another_site_signs_nobody_in(guarded):
    link = f"{guarded.url}/?token={TOKENS[Role.ADMIN]}"
    reply = requests.get(link, headers={**PAGE, "Sec-Fetch-Site": "cross-site"}, allow_redirects=False)
    assert "Set-Cookie" not in reply.headers
    assert "Location" not in reply.headers
    assert TOKENS[Role.ADMIN] not in reply.headers["Refresh"]
    evil = {"Origin": "http://evil.example"}
    reply = requests.post(f"{guarded.url}/sign-in", data={"token": TOKENS[Role.ADMIN]}, headers=evil)
    assert reply.status_code == 403


def test_who_signs_out_is_out_and_others_are_not(guarded):
    session, other = browser(guarded, Role.ANNOTATOR), browser(guarded, Role.ANNOTATOR)
    kept = dict(session.cookies)
    assert session.get(f"{guarded.url}/info/").ok
    session.post(f"{guarded.url}/sign-out", allow_redirects=False)
    assert not session.cookies
    assert requests.get(f"{guarded.url}/info/", cookies=kept).status_code == 401
    assert other.get(f"{guarded.url}/info/").ok


def test_an_annotator_submits_and_a_reviewer_makes_it_final(guarded, monkeypatch, phantom, lesions):
    point = lps(phantom.volume.affine, lesions[0])
    ann = panel(guarded, monkeypatch, Role.ANNOTATOR).open()
    ann.click(point)
    for status in ("reviewed", "final"):
        with pytest.raises(RefusedError, match="needs the role reviewer; ann is signed in as annotator"):
            ann.save(status)
    assert ann.save("submitted")["author"] == "ann"
    asked = {"json": {"client": "ann"}, "headers": bearer(Role.ANNOTATOR)}
    proposed = {
        requests.post(f"{guarded.url}/segpet/next", **asked).json()["study"]["title"] for _ in range(8)
    }
    assert proposed == {"second"}, "what waits for a reviewer is not proposed again"
    rita = panel(guarded, monkeypatch, Role.REVIEWER).open()
    saved = rita.save("final", replace=True)
    assert (saved["status"], saved["author"]) == ("final", "rita@ward.example")


def test_nobody_works_under_the_name_of_somebody_else(guarded, monkeypatch, phantom, lesions):
    ann = panel(guarded, monkeypatch, Role.ANNOTATOR, "second").open()
    other = f"{ann.study_url}/sessions/adam"
    for method, path in (
        ("put", ""),
        ("get", ""),
        ("post", "/seen"),
        ("delete", "/seen"),
        ("post", "/label"),
    ):
        reply = requests.request(method, other + path, json={}, headers=bearer(Role.ANNOTATOR))
        assert reply.status_code == 403, reply.text
    clicks = {"lesion": [lesions[0]], "client_id": "adam"}
    reply = requests.post(
        f"{guarded.url}/infer/suv_region?image=second", data={"params": json.dumps(clicks)},
        headers=bearer(Role.ANNOTATOR),
    )  # fmt: skip
    assert reply.ok
    journal = (guarded.state / "journal/second.jsonl").read_text()
    assert '"client":"ann"' in journal
    assert '"adam"' not in journal


def test_a_label_of_slicer_is_final_only_by_a_reviewer(guarded, lesions, tmp_path):
    path = {}
    for user in USERS[:2]:
        client = MONAILabelClient(guarded.url, tmpdir=str(tmp_path), client_id="slicer")
        client.update_auth({"token_type": "Bearer", "access_token": TOKENS[user.role]})
        mask, _ = client.infer("suv_region", "second", {"lesion": [lesions[0]]})
        client.save_label("second", mask)
        path[user.name] = mask
    tags = requests.get(f"{guarded.url}/datastore/?output=all", headers=bearer(Role.ANNOTATOR)).json()
    assert set(tags["objects"]["second"]["labels"]) >= {"submitted", "final"}
    with pytest.raises(MONAILabelClientException, match="needs the role reviewer"):
        client = MONAILabelClient(guarded.url, tmpdir=str(tmp_path))
        client.update_auth({"token_type": "Bearer", "access_token": TOKENS[Role.ANNOTATOR]})
        client.save_label("second", path["ann"], tag="final")
    saves = {"params": json.dumps({"lesion": [lesions[0]], "save_label": True, "label_tag": "final"})}
    url = f"{guarded.url}/infer/suv_region?image=second"
    assert requests.post(url, data=saves, headers=bearer(Role.ANNOTATOR)).status_code == 403


def test_monai_labels_client_signs_in(guarded, tmp_path):
    client = MONAILabelClient(guarded.url, tmpdir=str(tmp_path))
    assert client.auth_enabled()
    assert not client.auth_valid_token()
    with pytest.raises(MONAILabelClientException, match="401"):
        client.auth_token("ann", "not-ann's-token")
    client.update_auth(client.auth_token("ann", TOKENS[Role.ANNOTATOR]))
    assert client.auth_valid_token()
    assert client.info()["name"] == "SegPET"


def test_a_withdrawn_token_and_its_cookie_are_out_at_once(guarded):
    session = browser(guarded, Role.REVIEWER)
    file = guarded.folder / "users.txt"
    lines = file.read_text()
    try:
        file.write_text(lines.replace("rita", "#rita"))
        assert _becomes(401, lambda: session.get(f"{guarded.url}/info/"))
        assert requests.get(f"{guarded.url}/info/", headers=bearer(Role.REVIEWER)).status_code == 401
        assert requests.get(f"{guarded.url}/info/", headers=bearer(Role.ADMIN)).ok
        file.write_text("no line of a tokens file\n")
        assert _becomes(401, lambda: requests.get(f"{guarded.url}/info/", headers=bearer(Role.ADMIN)))
    finally:
        file.write_text(lines)
    assert _becomes(200, lambda: session.get(f"{guarded.url}/info/"))


def test_who_guesses_has_to_wait_longer_and_longer(guarded):
    statuses = [
        requests.get(f"{guarded.url}/info/", headers={"Authorization": f"Bearer guess-{at}"}).status_code
        for at in range(8)
    ]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    right = requests.get(f"{guarded.url}/info/", headers=bearer(Role.ADMIN))
    assert right.status_code == 429  # else waiting would not keep a guess from coming true
    assert int(right.headers["Retry-After"]) >= 1
    assert "try again in" in requests.get(f"{guarded.url}/?token=guess", headers=PAGE).text
    assert _becomes(200, lambda: requests.get(f"{guarded.url}/info/", headers=bearer(Role.ADMIN)))


def test_no_token_is_in_the_log_or_in_a_file(guarded):
    texts = [guarded.log.read_text(), (guarded.folder / "users.txt").read_text()]
    texts += [path.read_text(errors="replace") for path in guarded.state.rglob("*.json*")]
    assert not any(secret in text for secret in (*TOKENS.values(), SECRET) for text in texts)


def _becomes(status, ask):
    """Whether a reply has a status within some seconds."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if ask().status_code == status:
            return True
        time.sleep(0.3)
    return False


def test_the_audit_log_says_who_did_what_and_names_no_study(guarded, lesions, phantom, monkeypatch):
    rita = panel(guarded, monkeypatch, Role.REVIEWER, "second").open()
    if not rita.objects:
        rita.click(lps(phantom.volume.affine, lesions[0]))
    version = rita.save("final", replace=True)["version"]
    audit = Audit(guarded.state / "audit")
    requests.post(f"{guarded.url}/train/segpet", json={}, headers=bearer(Role.ANNOTATOR))
    requests.get(f"{guarded.url}/info/", headers={"Authorization": "Bearer nobody's"})
    records = list(audit.read())
    saves = [one for one in records if one["event"] == "save" and one["study"] == audit.pseudonym("second")]
    assert (saves[-1]["user"], saves[-1]["status"]) == ("rita@ward.example", "final")
    assert saves[-1]["version"] == version
    assert records[-1]["event"] == "sign-in refused"
    assert records[-1]["address"] == "127.0.0.1"
    assert {"event": "sign-in", "user": "rita@ward.example"}.items() <= next(
        one for one in reversed(records) if one["event"] == "sign-in"
    ).items()
    text = "".join(path.read_text() for path in audit.folder.iterdir())
    assert not any(name in text for name in ("Doe", "second", *TOKENS.values()))


def test_a_real_browser_signs_in_by_form_link_and_other_sites(guarded):
    """Chromium: the form, a link that is opened, links of another site."""
    if shutil.which(CHROMIUM) is None:
        pytest.skip("apt-get install chromium")
    me, token = f"{guarded.url}/segpet/me", TOKENS[Role.ANNOTATOR]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(locale="zh-CN")
        page = context.new_page()
        page.goto(me)
        assert page.title() == "登录 SegPET"
        page.fill("#token", "nobody's")
        page.click("button")
        page.set_default_timeout(10_000)
        assert page.inner_text("[role=alert]") == "没有用户使用此令牌。"
        page.fill("#token", token)
        page.click("button")
        assert json.loads(page.inner_text("body")) == {"name": "ann", "role": "annotator"}
        assert page.url == me
        assert page.evaluate("document.cookie") == ""
        links = f"<a href='{me}'>in</a> <a href='{guarded.url}/?token={token}'>as ann</a>"
        page.route(
            "http://elsewhere.example/",
            lambda route: route.fulfill(content_type="text/html", body=links),
        )
        page.goto("http://elsewhere.example/")
        page.click("text=in")
        page.wait_for_selector("text=annotator")
        context.clear_cookies()
        page.goto("http://elsewhere.example/")
        page.click("text=as ann")
        page.wait_for_selector("#token")
        assert not context.cookies()
        page.goto(f"{me}?token={token}")
        assert page.url == me
        context.request.post(f"{guarded.url}/sign-out")
        page.goto(me)
        page.wait_for_selector("#token")
        browser.close()


def test_a_user_of_the_single_sign_on_works_under_any_name_that_comes_in(guarded, monkeypatch):
    heads = []
    for name in (r"HOSP\jane|Jürgen+o'x@h.example", "हिन्दी"):
        session = requests.Session()
        session.headers.update({"X-SegPET-User": name.encode(), "X-SegPET-Secret": SECRET})
        for method in ("get", "put", "post", "patch", "delete"):
            monkeypatch.setattr(f"panel_client.requests.{method}", getattr(session, method))
        assert session.get(f"{guarded.url}/segpet/me").json()["name"] == name
        heads.append(PanelClient(guarded.url, "second", quote(name, safe="")).open().head)
    assert r"HOSP\jane|Jürgen+o'x@h.example" in heads[1]["others"]
