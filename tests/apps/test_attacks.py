"""What must not be possible: other files, other paths, other origins, huge bodies, and a look inside."""

import gzip
import json
import os
import shutil
import time

import nibabel
import numpy as np
import pytest
import requests

EVIL = "http://evil.example"


@pytest.fixture(scope="module", autouse=True)
def looked_into(server):
    """All studies have been looked into: from now on the server writes nothing of its own accord."""
    assert requests.get(f"{server.url}/dicom-web/studies").ok


def infer(server, study, /, **params):
    return requests.post(
        f"{server.url}/infer/suv_region", params={"image": study}, data={"params": json.dumps(params)}
    )


def test_no_path_of_a_client_is_opened(server, lesions):
    outside = server.folder / "outside.nii.gz"
    assert outside.is_file()
    before = server.files()
    for image in (str(outside), "../outside", "../outside.nii.gz", "/etc/passwd", "Doe_Jane.nii.gz"):
        assert infer(server, image, lesion=[lesions[0]]).status_code == 404
    assert server.files() == before


def test_parameters_do_not_overrule_the_request(server, lesions):
    outside = str(server.folder / "outside.nii.gz")
    reply = infer(
        server,
        "Doe_Jane",
        lesion=[lesions[0]],
        image=outside,
        model="no_model",
        device="cuda:9",
        study="somebody_else",
        session={"name": "x", "image": outside},
        file=outside,
        user="admin",
    )
    assert reply.status_code == 200
    assert not (server.state / "journal/somebody_else.jsonl").exists()


def test_files_are_not_taken_with_clicks(server):
    for field in ("file", "label"):
        reply = requests.post(
            f"{server.url}/infer/suv_region?image=Doe_Jane", files={field: ("x.nii.gz", b"x")}
        )
        assert reply.status_code == 422
        assert "/session/" in reply.json()["detail"]


def test_images_cannot_be_written_or_removed(server):
    before = server.files()
    attacks = [
        ("PUT", "/datastore/image?image=../../../evil"),
        ("PUT", "/datastore/?image=../../../evil"),
        ("PUT", "/datastore/image?image=Doe_Jane"),
        ("DELETE", "/datastore/image?id=Doe_Jane"),
        ("DELETE", "/datastore/?id=Doe_Jane"),
        ("DELETE", "/datastore/label?id=Doe_Jane&tag=final"),
    ]
    for method, path in attacks:
        reply = requests.request(method, server.url + path, files={"file": ("x.py", b"import os")})
        assert reply.status_code in (404, 405), (method, path)
    assert server.files() == before
    assert not list(server.folder.rglob("evil*"))


@pytest.mark.parametrize("tag", ["../../../tagpwn", "/tmp/tagpwn", "..", "unknown", "final/../../x"])
def test_a_tag_cannot_name_a_folder(server, tag):
    before = server.files()
    image = (server.studies / "Doe_Jane.nii.gz").read_bytes()
    reply = requests.put(
        f"{server.url}/datastore/label",
        params={"image": "Doe_Jane", "tag": tag},
        files={"label": ("a.nii.gz", image)},
    )
    assert reply.status_code == 422
    assert "tag" in reply.json()["detail"]
    assert (
        requests.get(f"{server.url}/datastore/label", params={"label": "Doe_Jane", "tag": tag}).status_code
        == 422
    )
    assert server.files() == before


@pytest.mark.parametrize("image", ["../../../evil", "nobody", "/etc/passwd", ""])
def test_a_label_of_no_study_is_not_written(server, image):
    before = server.files()
    reply = requests.put(
        f"{server.url}/datastore/label", params={"image": image}, files={"label": ("a.nii.gz", b"x")}
    )
    assert reply.status_code == 404
    assert server.files() == before


def test_a_label_that_unpacks_to_more_than_its_study_is_refused(server):
    """1 MB that says it is 2 GB of zeros: its header is enough to refuse it, in little time."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape((800, 800, 800))
    bomb = gzip.compress(header.binaryblock + bytes(4)) + gzip.compress(bytes(1 << 20)) * 512
    begun = time.monotonic()
    for tag in ("final", "draft"):
        reply = requests.put(
            f"{server.url}/datastore/label?image=second&tag={tag}", files={"label": ("a.nii.gz", bomb)}
        )
        assert reply.status_code == 422
        assert "800 x 800 x 800 voxels" in reply.json()["detail"]
    assert time.monotonic() - begun < 5
    assert not [path for path in server.files() if path.endswith("second.nii.gz") and "/labels/" in path]


def test_what_is_known_of_an_image_can_be_added_to_but_not_to_harm(server):
    url = f"{server.url}/datastore/image/info?image=second"
    assert requests.put(url, data={"info": json.dumps({"note": "large"})}).ok
    assert requests.get(url).json()["note"] == "large"
    for harm in ({"strategy": "x"}, {"strategy": {"random": 1}}, {"strategy": {"random": {"ts": "x"}}}):
        assert requests.put(url, data={"info": json.dumps(harm)}).status_code == 422
    assert requests.put(url, data={"info": "[]"}).status_code == 422
    assert requests.post(f"{server.url}/activelearning/random", json={}).ok


@pytest.mark.parametrize("name", ["x.py", "x.nii.gz.py", "../../x.sh", "x", "x.zip", "x.nhdr"])
def test_only_images_are_uploaded(server, name):
    before = server.files()
    for method, path, field in (
        ("PUT", "/session/", "files"),
        ("PUT", "/datastore/label?image=Doe_Jane", "label"),
    ):
        reply = requests.request(method, server.url + path, files={field: (name, b"x")})
        assert reply.status_code == 422
    assert server.files() == before


def test_an_upload_lands_in_a_folder_of_its_own_whatever_its_name(server):
    name = "../../../../studies/Doe_Jane.nii.gz"
    before = server.files()
    reply = requests.put(f"{server.url}/session/", files={"files": (name, b"no image")})
    session = reply.json()["session_id"]
    new = set(server.files()) - set(before)
    assert len(new) == 2
    assert all(path.startswith(f"{server.state}/uploads/{session}/") for path in new)
    assert "path" not in reply.json()["session_info"]
    assert requests.post(f"{server.url}/infer/suv_region?session_id={session}").status_code == 422
    assert requests.delete(f"{server.url}/session/{session}").ok
    assert server.files() == before


def test_archives_are_not_unpacked(server):
    for files in ([("files", ("a.nii", b"x")), ("files", ("b.nii", b"x"))], [("files", ("a.nii", b"x"))]):
        reply = requests.put(f"{server.url}/session/?uncompress=true", files=files)
        assert reply.status_code == 422


def test_a_session_id_leads_to_no_other_folder(server, lesions):
    planted = server.state / "planted"
    planted.mkdir()
    image = str(server.folder / "outside.nii.gz")
    (planted / "meta.info").write_text(json.dumps({"name": "x", "image": image, "expiry": 3600}))
    for session in ("../planted", str(planted)):
        reply = requests.post(
            f"{server.url}/infer/suv_region",
            params={"session_id": session},
            data={"params": json.dumps({"lesion": [lesions[0]]})},
        )
        assert reply.status_code == 404
    shutil.rmtree(planted)


@pytest.mark.parametrize("session", ["..%2F..%2Fstudies", "..%2F", "a%00b", "x" * 36])
def test_a_session_id_is_no_path(server, session):
    for method in ("GET", "DELETE"):
        assert requests.request(method, f"{server.url}/session/{session}").status_code in (404, 405)
    assert requests.post(f"{server.url}/infer/suv_region?session_id={session}").status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/reload"),
        ("GET", "/logs/"),
        ("GET", "/logs/gpu"),
        ("GET", "/proxy/dicom/..%2Fsystem"),
        ("POST", "/proxy/dicom/..%2Ftools%2Ffind"),
        ("PUT", "/model/segpet"),
        ("DELETE", "/model/segpet"),
        ("GET", "/model/segpet"),
        ("GET", "/datastore/dataset"),
        ("POST", "/infer/wsi/segpet"),
        ("POST", "/infer/wsi_v2/segpet"),
        ("GET", "/docs"),
        ("GET", "/static/..%2f..%2fconfig.py"),
        ("GET", "/ohif/..%2f..%2fconfig.py"),
    ],
)
def test_monai_labels_unsafe_routes_are_gone(server, method, path):
    assert requests.request(method, server.url + path, files={"file": ("x.pt", b"x")}).status_code in (
        404,
        405,
    )
    assert requests.get(f"{server.url}/info/").ok


def test_a_page_whose_name_leads_here_sees_nothing_and_changes_nothing(server, lesions):
    before = server.files()
    page = {"Host": f"evil.example:{server.port}", "Origin": f"http://evil.example:{server.port}"}
    for method, path in (
        ("GET", "/datastore/image?image=Doe_Jane"),
        ("GET", "/datastore/?output=all"),
        ("POST", "/infer/suv_region?image=Doe_Jane"),
        ("OPTIONS", "/datastore/label"),
    ):
        reply = requests.request(method, server.url + path, headers=page)
        assert reply.status_code == 403, (method, path)
        assert "does not go by that name" in reply.json()["detail"]
    assert server.files() == before
    own = {"Host": "segpet.example", "Origin": "https://segpet.example"}  # the option hosts, and a proxy
    assert requests.post(f"{server.url}/activelearning/random", json={}, headers=own).ok


@pytest.mark.parametrize(
    "info", ['{"note": NaN}', '{"note": 1e999}', r'{"note": "\ud800"}', r'{"\udcff": 1}']
)
def test_nothing_is_kept_that_could_not_be_told_again(server, info):
    image = (server.studies / "second.nii.gz").read_bytes()
    before = server.files()
    puts = [
        ("/datastore/image/info?image=second", {"info": info}, None),
        ("/datastore/label?image=second", {"params": info}, {"label": ("a.nii.gz", image)}),
    ]
    for path, data, files in puts:
        reply = requests.put(server.url + path, data=data, files=files)
        assert reply.status_code == 422, reply.text
        assert "finite numbers" in reply.json()["detail"]
    clicks = requests.post(f"{server.url}/infer/suv_region?image=second", data={"params": info})
    assert clicks.status_code == 422
    assert requests.get(f"{server.url}/datastore/?output=all").ok
    assert server.files() == before


def test_pages_of_other_origins_may_not_change_anything(server, lesions):
    before = server.files()
    own = server.url
    data = {"params": json.dumps({"lesion": [lesions[0]], "client_id": "origin"})}
    for origin, status in ((EVIL, 403), ("null", 403), (own, 200)):
        reply = requests.post(
            f"{server.url}/infer/suv_region?image=Doe_Jane", data=data, headers={"Origin": origin}
        )
        assert reply.status_code == status
        assert "access-control-allow-origin" not in reply.headers
        if status == 403:
            assert server.files() == before
    preflight = requests.options(
        f"{server.url}/datastore/label",
        headers={"Origin": EVIL, "Access-Control-Request-Method": "PUT"},
    )
    assert not preflight.ok
    assert "access-control-allow-origin" not in preflight.headers


def test_a_body_that_says_it_is_too_large_is_refused(server):
    reply = requests.post(
        f"{server.url}/infer/suv_region?image=Doe_Jane", headers={"Content-Length": str(1 << 40)}
    )
    assert reply.status_code == 413
    assert "too large" in reply.json()["detail"]


def test_a_body_that_turns_out_too_large_is_refused(server):
    def endless():
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.nii"\r\n\r\n'
        for _ in range(64):
            yield os.urandom(1 << 17)

    try:
        reply = requests.post(
            f"{server.url}/infer/suv_region?image=Doe_Jane",
            data=endless(),
            headers={"Content-Type": "multipart/form-data; boundary=b"},
        )
        assert reply.status_code == 413
    except requests.ConnectionError:
        pass  # hung up on while still sending
    assert requests.get(f"{server.url}/info/").ok


def test_the_log_names_no_study_and_no_click(server, lesions):
    assert infer(server, "Doe_Jane", lesion=[lesions[0]]).ok
    assert infer(server, "Doe_Jane", lesion=[[1, 2, 987654321]]).status_code == 422
    log = server.log.read_text()
    assert "Doe_Jane" not in log
    assert "987654321" not in log
    assert "Traceback" not in log


def test_what_is_kept_is_for_the_owner_alone(server):
    assert server.state.stat().st_mode & 0o077 == 0
