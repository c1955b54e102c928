"""The viewer: fetched by npm as it was pinned, and served with what a browser needs and nothing else."""

import base64
import gzip
import hashlib
import http.client
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import requests
from serving import ROOT, Server, save_image

from apps.segpet import viewer_package
from apps.segpet.viewer_package import ViewerError, check_viewer, fetch_viewer, kept_files
from lib.report.findings import site_text

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(scope="module")
def viewer(tmp_path_factory) -> Path:
    """The viewer, fetched by the real npm."""
    if shutil.which("npm") is None:
        pytest.skip("npm is missing: apt-get install npm")
    said = []
    try:
        folder = fetch_viewer(said.append, tmp_path_factory.mktemp("viewer") / "ohif-3.13.2")
    except ViewerError as error:
        if "offline?" not in str(error):
            raise
        pytest.skip(str(error))
    assert len(said) == 1 and "50 MB" in said[0]
    return folder


@pytest.fixture(scope="module")
def own_server(tmp_path_factory, viewer):
    """A server with one study, and the viewer."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "studies").mkdir()
    save_image(folder / "studies/one.nii.gz", np.ones((4, 5, 6), np.float32), np.eye(4))
    server = Server(folder, model="none")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGPET_VIEWER", str(viewer.parent))
        try:
            yield server.start()
        finally:
            server.stop()


def npm_that(tmp_path, monkeypatch, script):
    """Put a program called npm in front of the real one."""
    npm = tmp_path / "bin/npm"
    npm.parent.mkdir()
    npm.write_text(f"#!/bin/sh\n{script}\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}:/usr/bin:/bin")


def test_what_npm_fetches_is_trimmed_compressed_and_as_it_was_pinned(viewer):
    check_viewer(viewer)
    names = dict(kept_files(viewer))
    assert {"index.html", "app.bundle.css", "LICENSE", "init-service-worker.js"} <= set(names)
    assert not [name for name in names if name.startswith(("ort/", "dicom-microscopy", "customizations"))]
    assert not {"google.js", "sw.js", "silent-refresh.html", "app-config.js"} & set(names)
    assert not [name for name in names if name.endswith(".map")]
    assert sum(path.stat().st_size for path in names.values()) < 15e6
    assert [path.name for path in viewer.parent.iterdir() if not path.name.startswith(".lock")] == [
        viewer.name
    ]


def test_a_viewer_that_is_there_is_not_fetched_again(viewer, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert fetch_viewer(pytest.fail, viewer) == viewer


def test_the_real_npm_refuses_another_package_than_the_pinned_one(viewer, tmp_path, monkeypatch):
    pin = tmp_path / "pin"
    shutil.copytree(viewer_package._PIN, pin)
    lock = (pin / "package-lock.json").read_text()
    (pin / "package-lock.json").write_text(re.sub("sha512-.{8}", "sha512-AAAAAAAA", lock))
    monkeypatch.setattr(viewer_package, "_PIN", pin)
    with pytest.raises(ViewerError, match="another package than the pinned viewer"):
        fetch_viewer(str, tmp_path / "viewer/ohif")
    assert not [path for path in (tmp_path / "viewer").iterdir() if path.name != ".lock"]


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("echo 'npm error code EAI_AGAIN' >&2; exit 1", r"npm says EAI_AGAIN; offline\?"),
        ("echo 'npm ERR! code E404' >&2; exit 1", "npm says E404"),
        ("exit 3", "nothing of use"),
        ("exit 0", "another package than the pinned viewer"),
        (
            "mkdir -p node_modules/@ohif/app/dist; cd node_modules/@ohif/app; touch LICENSE dist/index.html",
            "damaged",
        ),
    ],
)
def test_what_goes_wrong_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch, script, sentence):
    npm_that(tmp_path, monkeypatch, script)
    folder = tmp_path / "viewer/ohif"
    stale = tmp_path / "viewer/.part-of-a-killed-fetch"
    stale.mkdir(parents=True)
    with pytest.raises(ViewerError, match=sentence) as told:
        fetch_viewer(str, folder)
    assert "\n" not in str(told.value)
    assert [path.name for path in folder.parent.iterdir()] == [".lock"]


def test_without_npm_one_sentence_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ViewerError, match="install npm, or copy"):
        fetch_viewer(pytest.fail, tmp_path / "viewer")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path, monkeypatch):
    npm_that(tmp_path, monkeypatch, "exit 0")
    (tmp_path / "file").touch()
    with pytest.raises(ViewerError, match="cannot be kept in"):
        fetch_viewer(str, tmp_path / "file/viewer")


def test_a_changed_file_is_noticed(viewer, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(viewer, copy)
    check_viewer(copy)
    bundle = next(copy.glob("app.bundle.*.js.gz"))
    bundle.write_bytes(gzip.compress(gzip.decompress(bundle.read_bytes()) + b"\nfetch('//evil.example')"))
    with pytest.raises(ViewerError, match="damaged or changed"):
        check_viewer(copy)
    bundle.write_bytes(b"no gzip")
    with pytest.raises(ViewerError, match="damaged or changed"):
        check_viewer(copy)


def test_the_page_runs_its_own_scripts_and_reaches_no_other_origin(own_server):
    reply = requests.get(own_server.url)
    assert reply.headers["Content-Type"].startswith("text/html")
    policy = dict(part.strip().split(" ", 1) for part in reply.headers["Content-Security-Policy"].split(";"))
    inline = re.findall(r"<script>(.*?)</script>", reply.text, re.DOTALL)
    assert len(inline) == 2
    for script in inline:
        assert (
            f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
            in policy["script-src"]
        )
    assert "'wasm-unsafe-eval'" in policy["script-src"]
    assert "'unsafe-inline'" not in policy["script-src"] and "'unsafe-eval'" not in policy["script-src"]
    assert policy["connect-src"] == policy["default-src"] == "'self'"
    assert policy["worker-src"] == "'self' blob:"
    assert policy["object-src"] == policy["base-uri"] == "'none'"
    assert "http" not in reply.headers["Content-Security-Policy"]


def test_no_script_or_style_of_the_page_is_of_another_origin(own_server):
    page = requests.get(own_server.url).text
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", page)
    config = requests.get(f"{own_server.url}/app-config.js").text
    assert "//" not in re.sub(r"^\s*(//|/\*\*).*$", "", config, flags=re.MULTILINE)
    for name in re.findall(r"'(/segpet/viewer/[\w./-]+)'", config):
        assert requests.get(own_server.url + name).ok, name


def test_every_reply_has_the_headers_that_protect(own_server):
    for path in ("/", "/info/", "/dicom-web/studies", "/nothing", "/app-config.js", "/datastore/?output=x"):
        headers = requests.get(own_server.url + path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "frame-ancestors" in headers["Content-Security-Policy"]
    for path in ("/info/", "/dicom-web/studies"):
        assert requests.get(own_server.url + path).headers["Cache-Control"] == "no-store"
    refused = requests.get(own_server.url, headers={"Host": "evil.example"})
    assert (refused.status_code, refused.headers["X-Content-Type-Options"]) == (403, "nosniff")


def test_files_have_their_types_and_are_kept_by_the_browser_as_they_should(own_server, viewer):
    seen = set()
    for name, path in kept_files(viewer):
        reply = requests.head(f"{own_server.url}/{name}", headers={"Accept-Encoding": "gzip"})
        assert reply.status_code == 200, name
        kind = reply.headers["Content-Type"].split(";")[0]
        seen.add((Path(name).suffix, kind))
        assert (reply.headers.get("Content-Encoding") == "gzip") == (path.suffix == ".gz")
        assert int(reply.headers["Content-Length"]) == path.stat().st_size
        for_ever = re.search(r"[0-9a-f]{16}\.(js|wasm|woff2)$", name) is not None
        assert ("immutable" in reply.headers["Cache-Control"]) == for_ever, name
    assert {(".wasm", "application/wasm"), (".js", "text/javascript"), (".css", "text/css")} <= seen


def test_a_file_is_the_same_compressed_or_not_and_not_sent_twice(own_server):
    url = f"{own_server.url}/app.bundle.css"
    plain, packed = (requests.get(url, headers={"Accept-Encoding": kind}) for kind in ("identity", "gzip"))
    assert "Content-Encoding" not in plain.headers and packed.headers["Content-Encoding"] == "gzip"
    assert plain.content == packed.content
    again = requests.get(url, headers={"If-None-Match": plain.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["/", "/segpet", "/segpet/", "/viewer", "/segmentation/dicomweb", "/tmtv"])
def test_a_browser_gets_the_page_at_ohifs_own_addresses(own_server, path):
    page = requests.get(own_server.url).content
    reply = requests.get(own_server.url + path, params={"StudyInstanceUIDs": "1.2.3"}, headers=HTML)
    assert (reply.status_code, reply.content) == (200, page)


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/nothing.js",
            "/a/b/c",
            "/index.php",
            "/.env",
            "/.git/config",
            "/logs/",
            "/model/x",
            "/static/ohif",
        ),
        *("/docs", "/redoc", "/segpet/nothing", "/segpet/viewer/nothing.js", "/infer/a/b"),
        *(
            "/dicom-web",
            "/dicom-web/nothing",
            "/datastore/nothing",
            "/proxy/dicom/x",
            "/ort/x.wasm",
            "/google.js",
        ),
    ],
)
def test_any_other_unknown_path_is_a_404(own_server, path):
    reply = requests.get(own_server.url + path, headers=HTML)
    assert reply.status_code == 404, reply.text[:200]
    assert reply.json()["detail"]


def test_a_program_gets_no_page_for_an_unknown_path(own_server):
    assert requests.get(f"{own_server.url}/viewer", headers={"Accept": "application/json"}).status_code == 404
    assert requests.get(f"{own_server.url}/viewer").status_code == 404
    for method in ("POST", "PUT", "DELETE"):
        assert requests.request(method, f"{own_server.url}/viewer", headers=HTML).status_code == 404
        assert requests.request(method, own_server.url, headers=HTML).status_code == 404


def test_the_api_answers_a_browser_too(own_server):
    assert requests.get(f"{own_server.url}/info/", headers=HTML).json()["name"] == "SegPET"
    assert requests.get(f"{own_server.url}/info", headers=HTML).json()["name"] == "SegPET"
    assert requests.get(f"{own_server.url}/dicom-web/studies", headers=HTML).json()


def test_our_modules_are_served_as_modules_and_asked_for_anew(own_server):
    folder = ROOT / "apps/segpet/viewer"
    for path in folder.rglob("*.js"):
        reply = requests.get(f"{own_server.url}/segpet/viewer/{path.relative_to(folder).as_posix()}")
        assert reply.content == path.read_bytes()
        assert reply.headers["Content-Type"].startswith("text/javascript")
        assert reply.headers["Cache-Control"] == "no-cache" and reply.headers["ETag"]


@pytest.mark.parametrize(
    "path",
    [
        *("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc%2fpasswd", "//etc/passwd"),
        *("/assets/../index.html", "/index.html%00.js", "/assets/%2e%2e%2findex.html", "/index.html.gz"),
        *("/segpet/viewer/../server.py", "/segpet/viewer/%2e%2e/server.py", "/segpet/viewer/..%2fserver.py"),
        *("/segpet/viewer//etc/passwd", "/segpet/viewer/%00", "/segpet/viewer/", "/segpet/viewer/.hidden.js"),
        *("/C:%5cwindows%5cwin.ini", "/%ff%fe", "/" + "a" * 30_000, "/segpet/viewer/" + "a/" * 9000),
    ],
)
def test_a_path_is_looked_up_and_never_opened(own_server, path):
    connection = http.client.HTTPConnection("127.0.0.1", own_server.port, timeout=10)
    connection.request("GET", path, headers={"Accept": "*/*"})
    reply = connection.getresponse()
    body = reply.read()
    connection.close()
    assert reply.status in (400, 404), path
    assert b"root:" not in body and b"import os" not in body


def test_without_a_viewer_the_api_works_and_the_page_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGPET_VIEWER", str(tmp_path / "none"))
    (tmp_path / "studies").mkdir()
    server = Server(tmp_path, model="none")
    try:
        server.start()
        reply = requests.get(server.url, headers=HTML)
        assert reply.status_code == 503
        assert "start `segpet serve` once where npm and a network are" in reply.text
        assert reply.text.count("\n") == 1
        assert requests.get(f"{server.url}/dicom-web/studies").json() == []
        assert requests.get(f"{server.url}/app.bundle.css").status_code == 404
    finally:
        server.stop()


def test_serve_says_where_the_viewer_is(own_server, viewer, tmp_path):
    (tmp_path / "studies").mkdir()
    command = [
        sys.executable,
        "-m",
        "scripts",
        "serve",
        "--studies",
        str(tmp_path / "studies"),
        "--model",
        "none",
    ]
    command += ["--port", str(Server(tmp_path).port)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        said = process.stdout.readline()
        process.terminate()
        process.wait(30)
    assert said == f"Viewer: http://127.0.0.1:{command[-1]}/ (open it in a browser)\n"


def test_the_chinese_panel_calls_organs_as_the_findings_do():
    texts = (ROOT / "apps/segpet/viewer/texts.js").read_text(encoding="utf-8")
    named = dict(re.findall(r"'label\.(\w+)': \['[^']*', '([^']*)'\]", texts))
    assert named.pop("lesion") == "病灶" and len(named) > 10
    assert named == {organ: site_text({"organ": organ}, "zh") for organ in named}
