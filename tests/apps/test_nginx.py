"""The nginx configuration of docs/security.md, in a real nginx: TLS, single sign-on, and nothing past it."""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest
import requests
from certificates import certificate
from guarded import SECRET, TOKENS
from serving import ROOT, Server

from apps.segpet.access.users import Role
from lib.store import Audit

DOCUMENTED = re.compile(r"^    # segpet\.conf\n((?:    .*\n|\n)+)", re.MULTILINE)
#: In the place of oauth2-proxy: whoever brings the cookie is its user.
SIGN_ON = """
server {
    listen 127.0.0.1:SIGN_ON_PORT;
    location /oauth2/auth {
        if ($cookie_sso = "") { return 401; }
        add_header X-Auth-Request-User $cookie_sso always;
        add_header X-Auth-Request-Groups $cookie_groups always;
        return 202;
    }
    location /oauth2/start { return 302 https://sign-on.example/; }
}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def configuration(folder: Path, segpet: int, port: int) -> str:
    """The documented configuration with this test's ports and files."""
    (text,) = DOCUMENTED.findall((ROOT / "docs/security.md").read_text())
    crt, key = certificate(folder, "nginx")
    sign_on = free_port()
    changes = {
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "listen 80;": f"listen 127.0.0.1:{free_port()};",
        "segpet.hospital.example": "localhost",
        "/etc/ssl/segpet.crt": crt,
        "/etc/ssl/segpet.key": key,
        "127.0.0.1:8000": f"127.0.0.1:{segpet}",
        "127.0.0.1:4180": f"127.0.0.1:{sign_on}",
        "the secret of SEGPET_PROXY_SECRET": SECRET,
    }
    for documented, here in changes.items():
        assert documented in text, documented
        text = text.replace(documented, here)
    return text + SIGN_ON.replace("SIGN_ON_PORT", str(sign_on))


@pytest.fixture(scope="module")
def proxied(guarded, tmp_path_factory) -> Iterator[tuple[Server, requests.Session]]:
    """A server behind nginx, and a browser that knows nginx's certificate; `browser.root` is its address."""
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        pytest.skip("apt-get install nginx-light")
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    places = "".join(
        f"{kind}_temp_path {folder}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off; {places}\n{configuration(folder, guarded.port, port)}\n}}\n"
    )
    process = subprocess.Popen([nginx, "-p", str(folder), "-c", str(folder / "nginx.conf")])
    browser = requests.Session()
    browser.verify, browser.trust_env = str(folder / "nginx.crt"), False
    browser.root = f"https://localhost:{port}"
    try:
        _wait_for(port)
        yield guarded, browser
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port):
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError("nginx did not start")


def signed_on(browser, user, groups=""):
    return browser.get(
        f"{browser.root}/segpet/me", cookies={"sso": user, "groups": groups}, allow_redirects=False
    )


def test_a_browser_that_has_not_signed_on_is_led_to_do_so(proxied):
    _, browser = proxied
    reply = browser.get(f"{browser.root}/segpet?StudyInstanceUIDs=1.2", allow_redirects=False)
    assert reply.status_code == 302
    assert reply.headers["Location"] == "https://sign-on.example/"


@pytest.mark.parametrize(
    ("groups", "role"),
    [("", "annotator"), ("staff", "annotator"), ("segpet-reviewers", "reviewer"), ("segpet-admins", "admin"),
     ("not-segpet-admins", "annotator"), ("staff,segpet-admins", "admin")],
)  # fmt: skip
def test_who_has_signed_on_is_a_user_with_the_role_of_a_group(proxied, groups, role):
    _, browser = proxied
    assert signed_on(browser, "rita@ward.example", groups).json() == {
        "name": "rita@ward.example",
        "role": role,
    }


def test_a_user_saves_under_the_name_of_the_sign_on(proxied):
    server, browser = proxied
    mask = {"label": ("mask.nii", _mask(server))}
    cookies = {"sso": "rita@ward.example", "groups": "segpet-reviewers"}
    own = {"Origin": browser.root}
    url = f"{browser.root}/datastore/label?image=second"
    assert browser.put(url, files=mask, cookies=cookies, headers=own).ok
    *_, last = Audit(server.state / "audit").read()
    assert {"event": "save", "user": "rita@ward.example", "status": "final"}.items() <= last.items()


@pytest.mark.parametrize("origin", ["https://evil.example", "https://localhost", "null", "without TLS"])
def test_pages_of_other_origins_change_nothing_through_the_proxy(proxied, origin):
    _, browser = proxied
    headers = {"Origin": browser.root.replace("https", "http") if origin == "without TLS" else origin}
    url = f"{browser.root}/segpet/next"
    reply = browser.post(url, json={"client": "rita"}, cookies={"sso": "rita"}, headers=headers)
    assert reply.status_code == 403
    assert "other origins" in reply.json()["detail"]


def test_what_a_client_says_of_itself_is_not_taken_for_the_proxys_word(proxied):
    server, browser = proxied
    lies = {
        "X-SegPET-User": "adam", "X-SegPET-Role": "admin", "X-Forwarded-For": "10.9.9.9",
        "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http",
    }  # fmt: skip
    reply = browser.get(f"{browser.root}/segpet/me", headers=lies, cookies={"sso": "rita"})
    assert reply.json() == {"name": "rita", "role": "annotator"}
    del lies["X-Forwarded-Host"]
    for secret in ({}, {"X-SegPET-Secret": "a-guess"}, {"X-SegPET-Secret": ""}):
        assert requests.get(f"{server.url}/segpet/me", headers={**lies, **secret}).status_code == 401
    assert browser.get(f"{browser.root}/oauth2/auth", cookies={"sso": "adam"}).status_code == 404


def test_the_address_of_who_guesses_is_the_one_that_the_proxy_saw(proxied):
    server, _ = proxied
    guess = {"Authorization": "Bearer guess", "X-Forwarded-For": "10.1.1.1, 10.2.2.2"}
    assert requests.get(f"{server.url}/info/", headers=guess).status_code == 401
    *_, last = Audit(server.state / "audit").read()
    assert (last["event"], last["address"]) == ("sign-in refused", "10.2.2.2")


def test_a_cookie_behind_tls_is_for_tls_alone(proxied):
    server, _ = proxied
    told = {"X-Forwarded-Proto": "https", "Origin": f"https://127.0.0.1:{server.port}"}
    reply = requests.post(
        f"{server.url}/sign-in", data={"token": TOKENS[Role.ANNOTATOR]}, headers=told, allow_redirects=False
    )
    assert reply.headers["Set-Cookie"].startswith("__Host-segpet-")
    assert "Secure" in reply.headers["Set-Cookie"]


def _mask(server):
    image = nibabel.load(server.studies / "second.nii.gz")
    return nibabel.Nifti1Image(np.zeros(image.shape, np.uint8), image.affine).to_bytes()
