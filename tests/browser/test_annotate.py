"""Annotating in the browser, as a person does it: real viewer, real server, Debian's Chromium."""

import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import nibabel
import numpy as np
import pytest
import requests
from serving import ROOT
from viewer import PLANES, hottest

from tests.system_faults import full_disk


def of_real_pet(server) -> list[float]:
    """Return the point of the hottest voxel of the tumour of STS_001; a skip where the data is absent."""
    image = ROOT.parent / "shared/data/sts-pet/STS_001/PET_image.nii.gz"
    if not image.is_file():
        pytest.skip("no ../shared/data/sts-pet beside the repository")
    read = nibabel.load(image)
    tumour = nibabel.load(image.with_name("PET_mask.nii.gz")).get_fdata() > 0
    values = np.where(tumour, read.get_fdata(), -1)
    x, y, z = (read.affine @ [*np.unravel_index(np.argmax(values), values.shape), 1])[:3]
    return [-x, -y, z]


def saved_label(server, study: str) -> nibabel.Nifti1Image:
    """Return the final label of a study."""
    return nibabel.load(server.studies / f"labels/final/{study}.nii.gz")


def check_planes(viewer, label: nibabel.Nifti1Image, found: dict) -> None:
    """Check pixel by pixel that each plane shows the label where it is, and nowhere else.

    Only pixels well inside of a voxel count: at its border the nearest one may be another in another program.
    Nor do those below the mark of the click.
    """
    mask = np.asarray(label.dataobj) == 1
    to_index = np.linalg.inv(label.affine)
    for plane in PLANES:
        colored, points = viewer.colored(plane, found["color"])
        pixel = np.linalg.norm(points[0, 1] - points[0, 0])
        index = (points * [-1, -1, 1]) @ to_index[:3, :3].T + to_index[:3, 3]
        voxel = np.rint(index).astype(int)
        clear = (np.abs(index - voxel) < 0.3).all(axis=2)
        clear &= ((voxel >= 0) & (voxel < mask.shape)).all(axis=2)
        clear &= np.linalg.norm(points - found["clicks"][0]["point"], axis=2) > 9 * pixel
        shown, expected = colored[clear], mask[tuple(voxel[clear].T)]
        assert expected.sum() > 20, f"{plane} shows too little of the object to be compared"
        # A letter of the overlay may cover a few pixels.
        assert shown[expected].mean() > 0.95, f"{plane} lacks the mask where it is"
        assert shown[~expected].mean() < 0.002, f"{plane} shows the mask where it is not"


def test_the_work_list_opens_a_pet_study_in_our_mode(viewer):
    browser = viewer()
    browser.page.goto(browser.url)
    browser.page.locator("tbody tr").filter(has_text="straight").click()
    browser.page.get_by_role("button", name="SegPET").first.click()
    browser.loaded()
    assert browser.page.url.startswith(f"{browser.url}/segpet?StudyInstanceUIDs=")


@pytest.mark.parametrize("study", ["straight", "odd", "downwards", "STS_001"])
def test_one_click_is_seen_in_three_planes_where_it_lies(viewer, server, phantom, odd, study):
    points = {"straight": phantom, "downwards": phantom, "odd": odd}
    point = hottest(points[study]) if study in points else of_real_pet(server)
    browser = viewer().open(study)
    browser.show(point)
    browser.click(point)
    (found,) = browser.objects()
    assert found["voxels"] > 0
    browser.push("save-final")
    browser.show(found["hottest"])  # the middle of a voxel, so that no plane lies between two
    check_planes(browser, saved_label(server, study), found)
    clicked = np.array(found["clicks"][0]["point"])
    size = np.array(browser.state()["study"]["spacing"]).max()
    assert np.linalg.norm(clicked - point) < size


def test_a_negative_click_shrinks_undo_brings_back_and_redo_takes_again(viewer, phantom):
    browser = viewer().open("second").emptied()
    point = hottest(phantom)
    browser.show(point)
    browser.page.keyboard.press("v")  # on to a fixed SUV, which a click beside the lesion can cut
    browser.click(point)
    before = browser.objects()[0]["voxels"]
    aside = [point[0] + 8, point[1], point[2]]
    browser.page.keyboard.press("x")
    assert browser.said("sign").startswith("−")
    browser.click(aside)
    assert [click["positive"] for click in browser.objects()[0]["clicks"]] == [True, False]
    after = browser.objects()[0]["voxels"]
    assert after < before
    assert browser.press("Control+z").objects()[0]["voxels"] == before
    assert browser.press("Control+Shift+z").objects()[0]["voxels"] == after
    browser.press("Control+z").press("Control+z")
    assert browser.objects() == []
    assert not browser.colored(PLANES[0], [213, 94, 0])[0].any()


def test_what_was_painted_stays_under_the_next_click_and_numbers_are_those_of_quantify(
    viewer, server, phantom
):
    browser = viewer().open("third")
    point = hottest(phantom)
    browser.show(point)
    browser.click(point)
    before = browser.objects()[0]
    browser.page.keyboard.press("b")
    browser.stroke([point[0], point[1] - 30, point[2]], [point[0] + 10, point[1] - 30, point[2]])
    painted = browser.objects()[0]
    assert painted["edited"] and painted["voxels"] > before["voxels"]
    browser.page.keyboard.press("c")
    browser.click([point[0], point[1] + 8, point[2]])
    clicked = browser.objects()[0]
    assert len(clicked["clicks"]) == 2 and clicked["edited"]
    assert clicked["voxels"] >= painted["voxels"]
    browser.push("save-final")

    mask = server.studies / "labels/final/third.nii.gz"
    command = [sys.executable, "-m", "scripts", "quantify", str(server.studies / "third.nii.gz"), str(mask)]
    told = subprocess.run(
        [*command, "--json", "--instances", "values"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    (lesion,) = json.loads(told.stdout)["lesions"]
    (row,) = browser.table()
    for key in ("suv_max", "suv_peak", "mtv_ml", "tlg_g"):
        assert row[key] == pytest.approx(lesion[key], rel=1e-6), key


def test_a_stroke_without_an_object_begins_one_and_the_eraser_takes_from_it(viewer, phantom):
    browser = viewer().open("second").emptied()
    x, y, z = hottest(phantom)
    browser.show([x, y, z])
    browser.page.click("[data-test=label-spleen]")
    browser.page.keyboard.press("b")
    revision = browser.state()["head"]["revision"]
    browser.stroke([x - 30, y, z], [x + 30, y, z], held=500)
    (painted,) = browser.objects()
    # One step: neither was the button's press sent as a stroke, nor half of the stroke.
    assert browser.state()["head"]["revision"] == revision + 1
    assert (painted["label"], painted["edited"], painted["clicks"]) == ("spleen", True, [])
    browser.page.keyboard.press("e")
    browser.stroke([x + 10, y, z], [x + 30, y, z])
    (erased,) = browser.objects()
    assert 0 < erased["voxels"] < painted["voxels"]
    assert browser.press("Control+z").objects()[0]["voxels"] == painted["voxels"]

    color = browser.state()["study"]["labels"][1]["color"]
    browser.page.click("[data-test=label-liver]")
    browser.page.keyboard.press("b")
    browser.page.mouse.move(*browser.place([x - 30, y - 30, z], PLANES[0]))
    browser.page.mouse.down()
    browser.page.mouse.move(*browser.place([x + 30, y - 30, z], PLANES[0]), steps=5)
    browser.painted()
    assert browser.colored(PLANES[0], color)[0].sum() > 50  # before anything is sent
    browser._answered(browser.page.mouse.up)
    assert browser.objects()[1]["color"] == color


def test_a_session_is_there_again_after_a_reload_and_the_next_study_opens(viewer, phantom):
    browser = viewer().open("second").emptied()
    browser.show(hottest(phantom, 2))
    browser.click(hottest(phantom, 2))
    browser.press("Enter")
    browser.press("Control+s")
    assert "draft" in browser.said("saved")
    left = browser.objects()
    browser.page.reload()
    browser.loaded()
    assert browser.objects() == left
    assert left[0]["status"] == "accepted"
    browser.show(left[0]["centroid"])
    assert browser.colored(PLANES[0], left[0]["color"])[0].any()

    title = browser.state()["study"]["title"]
    browser.page.keyboard.press("g")
    browser.page.wait_for_function(
        "title => document.querySelector('.segpet-study h2')?.innerText && "
        "document.querySelector('.segpet-study h2').innerText !== title",
        arg=title,
    )
    browser.loaded()
    assert browser.state()["study"]["title"] != title


def test_two_browsers_on_one_study_know_of_each_other_and_neither_loses_a_label(viewer, phantom):
    first, second = viewer().open("fourth"), viewer()
    second.open("fourth")
    assert first.state()["client"] in second.page.inner_text(".segpet-study")
    for browser, lesion in ((first, 2), (second, 3)):
        browser.show(hottest(phantom, lesion))
        browser.click(hottest(phantom, lesion))
    first.push("save-submitted")
    second.push("save-submitted")
    assert second.page.inner_text("[role=alert]").startswith("Somebody else has saved")
    version = second.study("fourth")["version"]
    second._answered(lambda: second.page.get_by_text("Save mine as the newer version").click())
    assert second.study("fourth")["version"] == version + 1


def test_the_table_renames_relabels_compares_merges_accepts_and_deletes(viewer, phantom):
    browser = viewer().open("second").emptied()
    for lesion in (1, 2, 3):
        browser.page.keyboard.press("n")
        browser.show(hottest(phantom, lesion))
        browser.click(hottest(phantom, lesion))
    one, two, three = (found["number"] for found in browser.objects())
    total = browser.state()["head"]["patient"]["tmtv_ml"]

    browser.page.click(f"tr[data-number='{one}']")
    browser.page.keyboard.press("r")
    browser.page.fill(".segpet-objects input", "the big one")
    browser.press("Enter")
    assert browser.page.inner_text(f"tr[data-number='{one}'] .segpet-name") == "the big one"
    browser.page.keyboard.press("r")
    browser.page.fill(".segpet-objects input", "another")
    browser.page.keyboard.press("Escape")
    assert browser.page.inner_text(f"tr[data-number='{one}'] .segpet-name") == "the big one"

    browser.press("s")
    assert "Dice 1.00" in browser.said("comparison")  # the object's own method is suv_region's default
    browser.page.keyboard.press("s")

    browser.page.keyboard.press("m")
    browser.page.click(f"tr[data-number='{two}']")
    browser.page.keyboard.press("m")
    browser.press("Shift+M")
    assert [found["number"] for found in browser.objects()] == [one, three]
    assert browser.state()["head"]["patient"]["tmtv_ml"] == pytest.approx(total)

    browser.page.click(f"tr[data-number='{three}']")
    browser._answered(lambda: browser.page.select_option(".segpet-row-actions select", "liver"))
    assert browser.objects()[1]["label"] == "liver"
    assert browser.state()["head"]["patient"]["count"] == 1
    browser.push("accept-all")
    assert {found["status"] for found in browser.objects()} == {"accepted"}
    browser.press("Delete")
    assert [found["number"] for found in browser.objects()] == [one]
    for _ in range(2):
        browser.press("Control+z")
    assert [found["status"] for found in browser.objects()] == ["draft", "draft"]


def test_a_first_pass_proposes_and_a_click_takes_a_proposal_up(viewer, phantom):
    browser = viewer().open("third").emptied()
    x, y, z = hottest(phantom)
    browser.show([x, y, z])
    browser.page.keyboard.press("b")
    browser.press("p")
    proposed = browser.objects()
    assert proposed and {found["status"] for found in proposed} == {"proposed"}
    browser.stroke([x, y - 30, z], [x + 10, y - 30, z])
    assert len(browser.objects()) == len(proposed) + 1  # a stroke belongs to none of them
    browser.page.click(f"tr[data-number='{proposed[0]['number']}']")
    browser.painted()
    browser.press("Enter")
    assert browser.objects()[0]["status"] == "accepted"


def test_a_label_is_made_final_without_proposals_that_nobody_took_up_once_that_is_confirmed(viewer):
    browser = viewer().open("third").emptied()
    browser.press("p")
    first, *rest = browser.objects()
    browser.page.click(f"tr[data-number='{first['number']}']")
    browser.painted()
    browser.press("Enter")
    assert f"Not counted: {len(rest)} proposed" in browser.said("beside")
    assert browser.page.inner_text("[data-test=totals] dd").strip() == "1"
    before = browser.study("third")["version"]
    browser.push("save-final")
    assert f": {len(rest)}." in browser.said("unseen") and browser.study("third")["version"] == before
    browser.page.click("[data-test=save-without]")
    browser.page.wait_for_selector("text=Saved: final")
    assert browser.said("saved").count("final") == 1
    assert browser.study("third")["version"] > before
    assert [found["number"] for found in browser.objects()] == [first["number"]]


def test_two_tabs_of_one_annotator_cannot_overwrite_each_other(viewer, phantom):
    browser = viewer().open("fourth").emptied()
    browser.show(hottest(phantom))
    browser.click(hottest(phantom))
    # What another tab of this browser would send.
    status = browser.page.evaluate(
        """async () => {
            const { links } = await import('/segpet/viewer/requests.js');
            const { state } = await import('/segpet/viewer/state.js');
            const body = JSON.stringify({ revision: state.head.revision });
            const headers = { 'Content-Type': 'application/json' };
            return (await fetch(`/segpet/${links.path}/undo`, { method: 'POST', headers, body })).status;
        }"""
    )
    assert status == 200
    browser.press("Enter")
    assert browser.page.inner_text("[role=alert]").startswith("This session went on elsewhere")
    assert browser.objects() == []
    browser.click(hottest(phantom))
    assert len(browser.objects()) == 1


def test_the_panel_speaks_chinese_and_lists_its_keys(viewer):
    browser = viewer(locale="zh-CN").open("second")
    assert "正向" in browser.said("sign")
    browser.page.keyboard.press("?")
    assert "新目标" in browser.said("help")
    missing = browser.page.evaluate(
        """async () => {
            const { table } = await import('/segpet/viewer/texts.js');
            return Object.entries(table).filter(([, [en, zh]]) => !en || !zh).map(([key]) => key);
        }"""
    )
    assert missing == []


def test_errors_are_a_sentence_in_the_panel(viewer, phantom):
    browser = viewer().open("second").emptied()
    browser.page.keyboard.press("x")
    browser.show(hottest(phantom))
    browser.click(hottest(phantom))
    assert browser.page.inner_text("[role=alert]").startswith("An object begins with a positive click.")
    assert browser.state()["waiting"] == []


def test_a_click_that_a_full_disk_refuses_stays_and_is_sent_again(viewer, phantom, server):
    browser = viewer().open("fourth").emptied()
    first, second = hottest(phantom), hottest(phantom, 2)
    with full_disk(0, server.pid):
        browser.show(first)
        browser.click(first)
        browser.page.keyboard.press("n")
        browser.show(second)
        browser.click(second)
        assert browser.page.inner_text("[role=alert]").startswith("The server's disk is full. Nothing is")
        assert (len(browser.state()["waiting"]), browser.objects()) == (2, [])
        browser.push("send-again")
        assert browser.said("unsent").startswith("Clicks that are not taken yet: 2.")
    browser.page.click("[data-test=send-again]")
    browser.page.wait_for_function("() => !document.querySelector('[data-test=unsent]')")
    browser.page.wait_for_function("() => document.querySelector('.segpet-panel').dataset.running === ''")
    assert browser.state()["waiting"] == []
    assert sum(len(found["clicks"]) for found in browser.objects()) == 2


def test_a_server_that_is_away_or_busy_loses_nothing(viewer, phantom, server):
    browser = viewer().open("third").emptied()
    browser.show(hottest(phantom))
    browser.click(hottest(phantom))
    before = browser.objects()
    browser.page.context.set_offline(True)
    browser.press("Control+z")
    assert browser.page.inner_text("[role=alert]").startswith("The server does not answer")
    browser.page.context.set_offline(False)
    assert browser.objects() == before
    browser.press("Control+z")
    assert browser.objects() == []

    refused, answered = threading.Event(), threading.Event()
    browser.page.on("response", lambda reply: reply.status == 429 and refused.set())
    params = {"params": json.dumps({"client_id": browser.state()["client"]})}

    def keep_the_queue_full():
        while not (refused.is_set() or answered.is_set()):
            requests.post(f"{server.url}/infer/segpet_auto?image=third&output=json", data=params, timeout=60)

    with ThreadPoolExecutor(12) as crowd:
        try:
            for _ in range(12):
                crowd.submit(keep_the_queue_full)
            time.sleep(1)
            for _ in range(10):  # a click may find the moment in which one of the crowd has just left
                browser.click(hottest(phantom))
                assert len(browser.objects()) == 1  # asked for again, without a second click
                if refused.is_set():
                    break
                browser.press("Control+z")
        finally:
            answered.set()
    assert refused.is_set()
    assert browser.state()["error"] is None
