"""Learning in the browser: the curve, starting and stopping, which weights answer, the next study."""

import json
from collections.abc import Iterator

import pytest
from serving import Server
from small_network import small_seganypet

from lib.network import save_network
from lib.store import Models, StateFolder
from tests.learning.small_studies import write_studies

CURVE = [{"epoch": epoch, "loss": 1.0, "dice": {"1": 0.4 + 0.1 * epoch}} for epoch in range(4)]
CARD = {
    "mode": "decoder",
    "data": {"training": ["p0", "p1", "p2"], "validation": ["p3"]},
    "validation": {"before": {"p3": {"1": 0.4}}, "after": {"p3": {"1": 0.7}}},
}


@pytest.fixture(scope="module")
def learnt(tmp_path_factory) -> Iterator[Server]:
    """A server of a team that trained once: a version of weights, and what the training left behind."""
    folder = tmp_path_factory.mktemp("learning")
    write_studies(folder / "studies", 6, labelled=4)
    save_network(small_seganypet(1), folder / "small.safetensors")
    save_network(small_seganypet(2), folder / "tuned.safetensors")
    state = StateFolder(folder / "state")
    Models(state.folder("models")).add(folder / "tuned.safetensors", CARD)
    done = {"status": "done", "stage": "deciding", "curve": CURVE, "message": "Kept.", "version": 1}
    done["warnings"] = ["p3 was left out: nothing is outlined in it."]
    (state.folder("training") / "progress.json").write_text(json.dumps(done))
    server = Server(folder, model=folder / "small.safetensors", labels="lesion")
    try:
        yield server.start()
    finally:
        server.stop()


#: Whether a select is as wide as its longest choice.
IS_WHOLE = """(selector) => {
  const select = document.querySelector(selector);
  const copy = select.cloneNode(true);
  copy.style.cssText = 'position: absolute; max-width: none; width: max-content';
  select.parentNode.append(copy);
  const wanted = copy.offsetWidth;
  copy.remove();
  return select.offsetWidth >= wanted;
}"""


#: Whether a part of the panel is not scrolled out of it.
IN_SIGHT = """(selector) => {
  const { top, bottom } = document.querySelector(selector).getBoundingClientRect();
  const body = document.querySelector('.segpet-body').getBoundingClientRect();
  return top >= body.top && bottom <= body.bottom;
}"""


def text_of(browser, name: str, wanted: str) -> None:
    """Wait until a part of the panel says something."""
    part = browser.page.locator(f"[data-test={name}]")
    part.filter(has_text=wanted).wait_for()


def test_the_panel_shows_the_curve_starts_and_stops_a_training_and_lets_weights_answer(viewer, learnt):
    browser = viewer(learnt).open("p5")
    page = browser.page
    page.locator("[data-test=learn] > summary").click()
    text_of(browser, "training", "Done. Kept.")
    text_of(browser, "training-warning", "p3 was left out")
    assert page.get_attribute("[data-test=curve]", "data-epochs") == "3"
    assert "0.40 → 0.70" in browser.said("curve")
    text_of(browser, "answers", "small")

    page.click("[data-test=promote-segpet-1]")
    page.wait_for_selector("[data-test=answers][data-version='1']")
    assert browser.said("answers").startswith("version-1")
    assert page.get_attribute("tr[data-version='1']", "data-champion") == "true"
    page.click("[data-test=rollback-segpet]")
    page.wait_for_selector("[data-test=answers][data-version='0']")
    assert (browser.said("writes"), browser.said("accepted")[-2:]) == ("impression", " 0")
    assert page.is_disabled("[data-test=train-impression]")  # nothing was accepted yet

    page.click("[data-test=train-start]")
    page.wait_for_selector("[data-test=progress]")
    page.wait_for_selector("[data-test=training][data-status=running]")
    held = []
    page.route("**/segpet/training/stop", lambda route: held.append(route))
    page.click("[data-test=train-stop]")
    text_of(browser, "train-stop", "Stopping")  # an epoch may take a while to end
    assert page.is_disabled("[data-test=train-stop]")
    held[0].continue_()
    page.wait_for_selector("[data-test=training]:not([data-status=running])")
    assert browser.said("training").count("Stopped") == 1
    page.wait_for_selector("[data-test=train-start]")
    for name in ("mode", "labels"):
        assert page.evaluate(IS_WHOLE, f"[data-test=train-{name}]")
    with page.expect_response("**/seen"):  # else nobody is sent here for three minutes
        page.evaluate("import('/segpet/viewer/session.js').then(session => session.leave())")


def test_the_chosen_strategy_brings_the_next_study_and_stays_chosen(viewer, learnt):
    browser = viewer(learnt).open("p4")
    page = browser.page
    page.select_option("[data-test=strategy]", "mixed")
    with page.expect_request("**/segpet/next") as asked:
        page.click("[data-test=next]")
    assert asked.value.post_data_json["strategy"] == "mixed"
    page.wait_for_url(lambda url: browser.study("p5")["study_uid"] in url)
    browser.loaded()
    assert page.input_value("[data-test=strategy]") == "mixed"


def test_next_study_works_before_a_strategy_was_ever_chosen(viewer, learnt):
    browser = viewer(learnt).open("p4")
    answers = []

    def stay(route):
        answers.append(route.fetch())
        route.fulfill(json={"study": None, "open_elsewhere": 0})

    browser.page.route("**/segpet/next", stay)
    browser.page.click("[data-test=next]")
    browser.page.wait_for_selector("text=No study without a final label is left.")
    assert answers[0].ok


def test_in_chinese_the_part_about_learning_is_chinese(viewer, learnt):
    browser = viewer(learnt, locale="zh-CN").open("p5")
    browser.page.locator("[data-test=learn] > summary").click()
    for part, wanted in (("learn", "从标注学习"), ("train-start", "训练"), ("promote-segpet-1", "启用")):
        text_of(browser, part, wanted)
    browser.page.wait_for_function(IN_SIGHT, arg="[data-test=train-start]")
