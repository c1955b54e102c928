"""The report in the browser, with the bundled model: findings, a streamed impression, marks, accepting."""

import re

import requests
from panel_client import PanelClient
from viewer import hottest

#: Keeps what is seen of the impression, as often as the page is drawn.
GROWTH = """() => {
  window.grown = new Set();
  const look = () => {
    window.grown.add(document.querySelector('[data-test=impression]').value);
    requestAnimationFrame(look);
  };
  look();
}"""


def test_findings_become_an_impression_with_marks_that_is_accepted(viewer, server, phantom):
    browser = viewer().open("fourth").emptied()
    page = browser.page
    browser.show(hottest(phantom))
    browser.click(hottest(phantom))
    browser.push("save-final")
    page.locator("[data-test=report] > summary").click()
    page.wait_for_function("() => document.querySelector('[data-test=findings]').value.includes('SUVmax')")
    findings = page.input_value("[data-test=findings]")

    page.evaluate(GROWTH)
    page.click("[data-test=report-write]")
    page.wait_for_function(
        "() => document.querySelector('.segpet-marked').dataset.busy === 'false'"
        " && document.querySelector('[data-test=impression]').value.length > 0"
    )
    drafted = page.input_value("[data-test=impression]")
    grown = page.evaluate("() => [...window.grown]")
    assert len(grown) > 1 and all(drafted.startswith(text) for text in grown)  # what came was the beginning
    for number in (r"SUVmax [\d.]+", r"TMTV [\d.]+ ml"):
        assert re.search(number, findings).group() in drafted
    url = f"{server.url}/segpet/studies/{browser.study('fourth')['id']}/impression"
    body = {"text": drafted, "findings": findings, "language": "en"}
    found = requests.post(f"{url}/check", json=body, timeout=30).json()
    assert page.locator("mark[data-test=mark]").count() == len(found["marks"])

    page.fill("[data-test=impression]", f"{drafted} Metastasis in the left kidney, SUVmax 77.7.")
    page.wait_for_selector("[data-test=mark] >> text=77.7")
    assert "77.7" in browser.said("reasons")
    mark = page.locator("[data-test=mark] >> text=77.7").bounding_box()
    text = page.locator("[data-test=impression]").bounding_box()
    assert text["y"] <= mark["y"] <= text["y"] + text["height"] and text["x"] <= mark["x"]  # in its place
    layers = page.evaluate(
        "() => [...document.querySelectorAll('.segpet-marked > .segpet-text')]"
        ".map(part => part.getBoundingClientRect())"
    )
    assert layers[0] == layers[1]  # marks lie below what they mark, line by line
    page.reload()
    browser.loaded()
    page.locator("[data-test=report] > summary").click()
    page.wait_for_selector("[data-test=mark] >> text=77.7")
    assert page.input_value("[data-test=impression]").endswith("SUVmax 77.7.")  # nobody has accepted it yet
    page.fill("[data-test=findings]", f"{findings}Dictated.")
    page.click("[data-test=report-accept]")
    page.wait_for_selector("[data-test=report-accepted]")

    accepted = requests.get(url, timeout=30).json()["accepted"]
    assert (accepted["drafted"], accepted["model"]) == (drafted, "impression")
    assert accepted["impression"].endswith("77.7.") and accepted["findings"].endswith("Dictated.")
    page.reload()
    browser.loaded()
    page.locator("[data-test=report] > summary").click()
    page.wait_for_function(
        "() => document.querySelector('[data-test=impression]').value.endsWith('SUVmax 77.7.')"
    )
    assert page.input_value("[data-test=findings]").endswith("Dictated.")

    # The label is saved anew: its findings are to be taken first, and what was written stays.
    other = PanelClient(server.url, "fourth", "other").open()
    for number in list(other.objects):
        other.delete(number)
    other.save("final", replace=True)
    page.click("[data-test=report-accept]")
    page.wait_for_selector("text=saved anew")
    page.click("[data-test=report-refresh]")
    page.wait_for_function("() => !document.querySelector('[data-test=findings]').value.includes('SUVmax')")
    assert page.input_value("[data-test=impression]").endswith("SUVmax 77.7.")
    page.click("[data-test=report-accept]")
    page.wait_for_selector("[data-test=report-accepted]")
    assert requests.get(url, timeout=30).json()["accepted"]["label"] == accepted["label"] + 1


def opened(browser):
    """Open the report, and wait for its findings."""
    browser.page.locator("[data-test=report] > summary").click()
    browser.page.wait_for_function("() => document.querySelector('[data-test=findings]').value !== ''")
    return browser.page


def reads(page, name: str, wanted: str) -> None:
    """Wait until a box of the report holds a text."""
    page.wait_for_function(
        "([name, wanted]) => document.querySelector(`[data-test=${name}]`).value === wanted",
        arg=[name, wanted],
    )


def labelled(server, title: str, point: list[float]) -> None:
    """Save a study's final label of one lesion."""
    client = PanelClient(server.url, title, "writer").open()
    for one in client.head["objects"]:
        client.delete(one["number"])
    client.click(point).save("final", replace=True)


def test_a_server_that_is_away_or_busy_leaves_a_report_as_it_was(viewer, server, phantom):
    labelled(server, "second", hottest(phantom))
    browser = viewer().open("second")
    page = opened(browser)
    findings = page.input_value("[data-test=findings]")
    page.fill("[data-test=impression]", "Mine.")
    # Not the whole page offline: slices that are still on their way would fail.
    page.route("**/impression**", lambda route: route.abort("internetdisconnected"))
    for button in ("report-write", "report-refresh"):
        page.click(f"[data-test={button}]")
        page.wait_for_selector("text=does not answer")
        page.wait_for_selector(".segpet-marked[data-busy=false]")
        assert page.input_value("[data-test=impression]") == "Mine."
        assert page.input_value("[data-test=findings]") == findings
        page.click(".segpet-message button")
    page.select_option("[data-test=report-language]", "zh")
    page.wait_for_selector("text=does not answer")
    assert page.input_value("[data-test=report-language]") == "en"
    page.unroute("**/impression**")
    page.route("**/stream", lambda route: route.fulfill(status=429, json={"detail": "Eight are before you."}))
    page.click("[data-test=report-write]")
    page.wait_for_selector("text=Eight are before you.")
    page.wait_for_selector(".segpet-marked[data-busy=false]")
    assert page.input_value("[data-test=impression]") == "Mine."
    broken = '{"text": "Hyper"}\n{"error": "Out of memory."}\n'
    page.unroute("**/stream")
    page.route("**/stream", lambda route: route.fulfill(body=broken, content_type="application/x-ndjson"))
    page.click("[data-test=report-write]")
    page.wait_for_selector("text=Out of memory.")
    reads(page, "impression", "Mine.")
    page.click("[data-test=report-refresh]")
    page.wait_for_selector(".segpet-message", state="detached")  # what went well takes the sentence away


def test_what_was_typed_in_a_report_comes_back_in_its_language_and_study(viewer, server, phantom):
    for title in ("second", "third"):
        labelled(server, title, hottest(phantom))
    browser = viewer().open("second")
    page = opened(browser)
    typed = f"{page.input_value('[data-test=findings]')}Dictated."
    page.fill("[data-test=findings]", typed)
    page.select_option("[data-test=report-language]", "zh")
    page.wait_for_function("() => document.querySelector('[data-test=findings]').value.includes('病灶')")
    assert page.input_value("[data-test=impression]") == ""
    page.fill("[data-test=impression]", "肝转移。")
    page.select_option("[data-test=report-language]", "en")
    reads(page, "findings", typed)
    assert page.input_value("[data-test=impression]") == ""
    page = opened(browser.open("third"))
    assert "Dictated." not in page.input_value("[data-test=findings]")
    page.fill("[data-test=impression]", "Another patient.")
    page = opened(browser.open("second"))
    reads(page, "findings", typed)
    page.select_option("[data-test=report-language]", "zh")
    reads(page, "impression", "肝转移。")
    page.click("[data-test=report-accept]")
    page.wait_for_selector("[data-test=report-accepted]")
    kept = page.evaluate("() => Object.keys(sessionStorage).filter(key => key.startsWith('segpet.report'))")
    studies = [browser.study(title)["id"] for title in ("second", "third")]
    assert sorted(key.split(" ")[2:] for key in kept) == sorted([study, "en"] for study in studies)


def test_a_report_of_an_earlier_label_says_so_and_what_that_held_is_marked(viewer, phantom):
    browser = viewer().open("third").emptied()
    page = browser.page
    for lesion in (1, 2):
        page.keyboard.press("n")
        browser.show(hottest(phantom, lesion))
        browser.click(hottest(phantom, lesion))
    browser.push("save-final")
    gone = f"{browser.objects()[0]['suv_max']:.1f}"
    opened(browser)
    with page.expect_response("**/check") as checked:
        page.fill("[data-test=impression]", f"Hypermetabolic lesion, SUVmax {gone}.")
    assert checked.value.json()["marks"] == []
    page.click("tr[data-number]")
    browser.press("Delete")
    browser.push("save-final")
    page.wait_for_selector("[data-test=report-stale]")
    page.wait_for_selector(f"[data-test=mark] >> text={gone}")
    for button in ("write", "copy", "accept"):
        assert page.is_disabled(f"[data-test=report-{button}]")
    page.click("[data-test=report-refresh]")
    page.wait_for_selector("[data-test=report-stale]", state="detached")
    assert page.is_enabled("[data-test=report-copy]")
    assert browser.said("report-numbers").endswith(f" 1 = {browser.objects()[0]['number']}")
    assert page.locator("[data-test=report-unsaved]").count() == 0
    page.evaluate(
        "import('/segpet/viewer/state.js')"
        ".then(({ change, state }) => change({ head: { ...state.head, saved: null } }))"
    )
    page.wait_for_selector("[data-test=report-unsaved] >> text=no saved label")
