"""A server that is killed in the middle of a session, and goes on."""

import contextlib
import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import requests
from serving import Server, parse_nrrd, save_image, sts_pet

from lib.pet import read_mask, read_volume

MODELS = ("suv_region", "segpet")


def infer(server, client, model, params):
    """The same form as OHIF's, with a client's name."""
    return requests.post(
        f"{server.url}/infer/{model}?image=only&output=image",
        data={"params": json.dumps({"client_id": client, **params})},
        timeout=60,
    )


def mask_of(reply):
    assert reply.ok, reply.text
    return parse_nrrd(reply.content)[1]


def steps(lesions):
    """Clicks as they come: more at each request, one a correction, one taken back at the end."""
    a, b, c = lesions[:3]
    beside = [a[0] + 1, a[1], a[2]]
    return [
        {"lesion": [a]},
        {"lesion": [a, b], "background": []},
        {"lesion": [a, b], "background": [beside]},
        {"lesion": [a, b], "background": [beside], "liver": [c]},
        {"lesion": [a], "background": [beside], "liver": [c]},
    ]


def test_a_killed_server_goes_on_to_the_same_mask(tmp_path: Path, weights, phantom, lesions):
    (tmp_path / "studies").mkdir()
    save_image(tmp_path / "studies/only.nii.gz", phantom.volume.array, phantom.volume.affine)
    server = Server(tmp_path, model=weights, labels="lesion,liver", unit="SUVbw")
    clicks = steps(lesions)
    try:
        server.start()
        whole = {model: [mask_of(infer(server, "whole", model, step)) for step in clicks] for model in MODELS}
        for masks in whole.values():
            assert len({mask.tobytes() for mask in masks}) > 2  # the steps do change it
        for model in MODELS:
            for step in clicks[:3]:
                last = infer(server, "cut", model, step)
        saved = requests.put(
            f"{server.url}/datastore/label?image=only",
            files={"label": ("mask.nrrd", last.content)},
            data={"params": json.dumps({"client_id": "cut"})},
        )
        assert saved.ok
        dying = [threading.Thread(target=_into_the_void, args=(server, model, clicks[3])) for model in MODELS]
        for thread in dying:
            thread.start()
        time.sleep(0.005)
        server.kill()
        for thread in dying:
            thread.join()
        (tmp_path / "state/results/result-left.nrrd").write_bytes(b"left behind")
        (tmp_path / "state/uploads/0-cut-off").mkdir()

        server.start()
        assert list((tmp_path / "state/results").iterdir()) == []
        assert list((tmp_path / "state/uploads").iterdir()) == []
        for model in MODELS:
            for number in (3, 4):
                again = mask_of(infer(server, "cut", model, clicks[number]))
                np.testing.assert_array_equal(again, whole[model][number])
        label = requests.get(f"{server.url}/datastore/label?label=only&tag=final")
        assert label.content == last.content
        kept = json.loads((tmp_path / "state/labels/only/1/objects.json").read_text())["objects"]
        assert {obj["label"] for obj in kept} == {"lesion"}
        assert MODELS[-1] in {obj["model"] for obj in kept}
        instances, _ = read_mask(tmp_path / "state/labels/only/1/instances.nii.gz")
        np.testing.assert_array_equal(instances > 0, mask_of(last) > 0)
        assert set(np.unique(instances)) == {0, *(obj["id"] for obj in kept)}

        # The only study has a label now: nothing is next, and that is no error.
        for _ in range(2):
            assert requests.post(f"{server.url}/activelearning/random", json={}).json() == {}
    finally:
        server.stop()


def test_a_server_killed_on_a_real_study_goes_on_to_the_same_mask(tmp_path: Path, weights):
    (tmp_path / "studies").mkdir()
    sts_pet(tmp_path / "studies", "STS_001")
    if not (image := tmp_path / "studies/STS_001.nii.gz").is_file():
        pytest.skip("no ../shared/data/sts-pet beside the repository")
    clicks = steps(peaks(read_volume(image).array))
    image.rename(tmp_path / "studies/only.nii.gz")
    server = Server(tmp_path, model=weights, labels="lesion,liver", unit="SUVbw")
    try:
        server.start()
        whole = [mask_of(infer(server, "whole", "segpet", step)) for step in clicks]
        assert len({mask.tobytes() for mask in whole}) > 2
        for step in clicks[:3]:
            infer(server, "cut", "segpet", step)
        dying = threading.Thread(target=_into_the_void, args=(server, "segpet", clicks[3]))
        dying.start()
        time.sleep(0.005)
        server.kill()
        dying.join()

        server.start()
        for number in (3, 4):
            last = infer(server, "cut", "segpet", clicks[number])
            np.testing.assert_array_equal(mask_of(last), whole[number])
        label = {"label": ("mask.nrrd", last.content)}
        who = {"params": json.dumps({"client_id": "cut"})}
        url = f"{server.url}/datastore/label?image=only"
        assert requests.put(url, files=label, data=who, timeout=60).ok
        server.kill()
        server.start()
        assert requests.get(f"{server.url}/datastore/label?label=only&tag=final").content == last.content
        version = tmp_path / "state/labels/only/1"
        kept = json.loads((version / "objects.json").read_text())["objects"]
        instances, _ = read_mask(version / "instances.nii.gz")
        np.testing.assert_array_equal(instances > 0, whole[4] > 0)
        assert {obj["id"] for obj in kept} == set(np.unique(instances)) - {0}
    finally:
        server.stop()


def peaks(values):
    """The hottest voxels, far from each other."""
    found, rest = [], np.nan_to_num(values)
    for _ in range(3):
        at = np.unravel_index(np.argmax(rest), rest.shape)
        found.append([int(place) for place in at])
        rest[tuple(slice(max(place - 20, 0), place + 20) for place in at)] = 0
    return found


def _into_the_void(server, model, step):
    with contextlib.suppress(requests.RequestException):
        infer(server, "cut", model, step)
