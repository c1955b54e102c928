"""The server driven by the exact forms that MONAI Label's OHIF plugin sends."""

import json
import threading
import time

import numpy as np
import requests
from requests.adapters import HTTPAdapter
from serving import parse_nrrd, save_image

OPTIONS = {
    "result_extension": ".nrrd",
    "result_dtype": "uint8",
    "result_compress": False,
    "restore_label_idx": False,
}


def infer(server, model, study, params):
    """POST a multipart form with the field params, as constructFormData of its MonaiLabelClient.js does."""
    return requests.post(
        f"{server.url}/infer/{model}?image={study}&output=image",
        files={"params": (None, json.dumps({**params, **OPTIONS}))},
    )


def test_a_point_gives_raw_uint8_in_the_order_of_the_source(server, lesions, phantom):
    reply = infer(server, "suv_region", "Doe_Jane", {"background": [], "lesion": [lesions[0]]})
    assert reply.status_code == 200
    fields, mask = parse_nrrd(reply.content)
    assert mask.shape == phantom.volume.shape
    assert mask[tuple(lesions[0])] == 1
    assert set(np.unique(mask)) == {0, 1}
    origin = [float(at) for at in fields["space origin"].strip("()").split(",")]
    np.testing.assert_allclose(origin, phantom.volume.affine[:3, 3] * [-1, -1, 1])


def test_a_deepgrow_point_needs_no_label(server, lesions):
    reply = infer(server, "segpet_click", "Doe_Jane", {"foreground": [lesions[0]], "background": []})
    assert reply.status_code == 200
    assert set(np.unique(parse_nrrd(reply.content)[1])) <= {0, 1}


class From(HTTPAdapter):
    """Connects from an address of this machine."""

    def __init__(self, address):
        self._address = address
        super().__init__()

    def init_poolmanager(self, *args, **options):
        super().init_poolmanager(*args, source_address=(self._address, 0), **options)


def test_browsers_that_send_no_name_do_not_undo_each_other(server, lesions):
    def uid(address):
        browser = requests.Session()
        browser.mount("http://", From(address))
        reply = browser.post(
            f"{server.url}/infer/suv_region?image=second&output=json",
            files={"params": (None, json.dumps({"lesion": [lesions[0]], **OPTIONS}))},
        )
        return reply.json()["objects"][0]["uid"]

    first, second = uid("127.0.0.2"), uid("127.0.0.3")
    assert first != second
    assert uid("127.0.0.2") == first


def test_keys_of_former_labels_are_left_out(server, lesions):
    params = {"background": [], "lesion": [lesions[0]], "former_label": [[1, 2, 3]]}
    reply = infer(server, "suv_region", "Doe_Jane", params)
    assert reply.status_code == 200
    assert parse_nrrd(reply.content)[1].any()


def test_the_reply_is_deleted_once_it_is_sent(server, lesions):
    assert infer(server, "suv_region", "Doe_Jane", {"lesion": [lesions[0]]}).ok
    assert list((server.state / "results").iterdir()) == []


def test_the_json_output_is_the_parameters_alone(server, lesions):
    reply = requests.post(
        f"{server.url}/infer/suv_region?image=Doe_Jane&output=json",
        data={"params": json.dumps({"lesion": [lesions[0]]})},
    )
    assert reply.json()["objects"][0]["label"] == "lesion"


def test_next_sample_and_training_state_are_asked_as_the_panel_does(server):
    assert requests.post(f"{server.url}/activelearning/random", json={}).json()["id"]
    assert requests.get(f"{server.url}/train/?check_if_running=true").status_code == 404  # nothing runs


def test_info_answers_while_a_cold_first_click_runs(server):
    grid = np.diag([3.0, 3, 3, 1])
    noise = np.random.default_rng(3).random((240, 240, 360), dtype=np.float32)  # a second to decompress
    save_image(server.folder / "large.nii.gz", noise, grid)
    save_image(server.studies / "large.nii.gz", noise[:8, :8, :8], grid)
    while infer(server, "segpet", "large", {}).status_code == 404:
        time.sleep(0.1)  # until the file watcher has seen it
    (server.folder / "large.nii.gz").replace(server.studies / "large.nii.gz")
    begun, ended, answered = time.perf_counter(), [], []

    def click():
        assert infer(server, "segpet", "large", {"lesion": [[120, 120, 180]]}).status_code == 200
        ended.append(time.perf_counter())

    clicking = threading.Thread(target=click)
    clicking.start()
    while clicking.is_alive():
        asked = time.perf_counter()
        assert requests.get(f"{server.url}/info/").ok
        answered.append((asked, time.perf_counter()))
    clicking.join()
    (server.studies / "large.nii.gz").unlink()
    # Were the event loop blocked, what is asked early would be answered late, and nothing in between.
    quarter = (ended[0] - begun) / 4
    assert [1 for asked, told in answered if asked > begun + quarter and told < ended[0] - quarter]
