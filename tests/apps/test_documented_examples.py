"""The curl lines of docs/api.md do what it says there, at a real server and in their order."""

import json
import re
import shlex
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
from serving import ROOT, Server, save_image

from lib.pet import make_phantom, write_mask
from scripts.demo import PATIENTS

EXAMPLE = re.compile(r"^    # -> (\d+) ?(.*)\n    curl (.*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def own_server(tmp_path_factory, weights):
    """A server with the demo's first patient, in whose lesion the examples click."""
    folder = tmp_path_factory.mktemp("documented")
    (folder / "studies").mkdir()
    name, seed, tracer = PATIENTS[0]
    image = make_phantom(seed, tracer=tracer).volume
    save_image(folder / f"studies/{name}.nii.gz", image.array, image.affine)
    server = Server(folder, model=weights, unit="SUVbw")
    try:
        yield server.start()
    finally:
        server.stop()


def send(arguments, url, folder):
    """Do what curl does with these arguments; files are in a folder. Returns the reply."""
    method, form, files, headers = "GET", {}, {}, {}
    body, output, address = None, None, ""
    words = iter(arguments)
    for word in words:
        match word:
            case "-X":
                method = next(words)
            case "-F":
                field, _, value = next(words).partition("=")
                if value.startswith("@"):
                    files[field] = (value[1:], (folder / value[1:]).read_bytes())
                else:
                    form[field] = (None, value)
            case "-H":
                key, _, value = next(words).partition(": ")
                headers[key] = value
            case "-d":
                body = next(words)
            case "-o":
                output = folder / next(words)
            case _:
                assert not word.startswith("-"), word
                address = word
    parts = urlsplit(address)
    assert parts.netloc == "127.0.0.1:8000", address
    target = f"{url}{parts.path}?{parts.query}"
    fields = {**form, **files} or None  # as multipart/form-data, like curl's -F
    reply = requests.request(method, target, files=fields, data=body, headers=headers, timeout=60)
    if output:
        output.write_bytes(reply.content)
    return reply


def test_every_documented_request_is_answered_as_documented(own_server, tmp_path):
    examples = EXAMPLE.findall((ROOT / "docs/api.md").read_text())
    assert len(examples) > 15
    session = ""
    for status, keys, line in examples:
        reply = send(shlex.split(line.replace("$SESSION", session)), own_server.url, tmp_path)
        assert reply.status_code == int(status), (line, reply.text[:300])
        if keys:
            told = reply.json()
            assert set(keys.split(", ")) <= set(told), (line, sorted(told))
            session = told.get("session_id", session)
            assert status != "200" or not told.get("warnings") or "segpet_auto" in line, told["warnings"]


def test_every_route_is_documented(own_server):
    schema = requests.get(f"{own_server.url}/openapi.json", timeout=10).json()
    routes = {(path, method) for path, methods in schema["paths"].items() for method in methods}
    text = "".join((ROOT / "docs" / name).read_text() for name in ("api.md", "viewer-api.md", "viewer.md"))
    missing = [path for path, _ in routes if re.split(r"[{]", path)[0].rstrip("/") not in text]
    assert missing == []


def test_an_earlier_version_is_listed_and_restored_as_documented(own_server, tmp_path):
    """As docs/labels.md says."""
    url = f"{own_server.url}/datastore/label?image=phantom-1&tag=final"
    volume = make_phantom(PATIENTS[0][1], tracer=PATIENTS[0][2]).volume
    versions = own_server.state / "labels/phantom-1"
    saved = []
    for names in ([{"name": "lesion", "idx": 2}], []):
        write_mask(tmp_path / "mask.nii.gz", np.full(volume.shape, 2, np.uint8), volume.affine)
        saved.append((tmp_path / "mask.nii.gz").read_bytes())
        params = {"params": json.dumps({"label_info": names})}
        assert requests.put(url, params, files={"label": ("mask.nii.gz", saved[-1])}, timeout=60).ok
    earlier = max(int(path.parent.name) for path in versions.glob("*/version.json")) - 1
    (line,) = re.findall(r"    curl (-X PUT .*\\\n.*)\n", (ROOT / "docs/labels.md").read_text())
    line = (
        line.replace("\\\n", "")
        .replace("patient-7", "phantom-1")
        .replace("/data/.segpet/pet/", f"{own_server.state}/")
    )
    line = line.replace("/2/", f"/{earlier}/").replace('"version": 2', f'"version": {earlier}')
    reply = send(shlex.split(line), own_server.url, tmp_path)
    assert reply.ok, reply.text
    before, after = (
        json.loads((versions / str(at) / "objects.json").read_text()) for at in (earlier, earlier + 2)
    )
    assert after == before and before["objects"][0]["label"] == "lesion"
    assert json.loads((versions / "current.json").read_text())["number"] == earlier + 2
