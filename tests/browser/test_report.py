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
    PanelClient(server.url, "fourth", "other").open().delete(1).save("final", replace=True)
    page.click("[data-test=report-accept]")
    page.wait_for_selector("text=saved anew")
    page.click("[data-test=report-refresh]")
    page.wait_for_function("() => !document.querySelector('[data-test=findings]').value.includes('SUVmax')")
    assert page.input_value("[data-test=impression]").endswith("SUVmax 77.7.")
    page.click("[data-test=report-accept]")
    page.wait_for_selector("[data-test=report-accepted]")
    assert requests.get(url, timeout=30).json()["accepted"]["label"] == accepted["label"] + 1
