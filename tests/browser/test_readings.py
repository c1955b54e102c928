"""A reviewer sees in the browser how two readers agree, and takes one of the readings."""

import re

from panel_client import PanelClient
from viewer import hottest


def test_a_reviewer_compares_two_readings_and_takes_one(viewer, server, phantom):
    first, second = hottest(phantom, 1), hottest(phantom, 2)
    anna, bert = (PanelClient(server.url, "read twice", name).open() for name in ("anna", "bert"))
    anna.click(first)
    anna.click(second).save("submitted", replace=True)
    bert.click(first).save("submitted", replace=True)

    browser = viewer().open("read twice")
    browser.page.click("[data-test=readings] > summary")
    readings = browser.page.locator("[data-test=readings]")
    readings.get_by_text("lesions seen by both").wait_for()
    said = readings.inner_text()
    assert "1 lesions seen by both (Dice 1.00), 1 by anna alone, 0 by bert alone" in said
    assert re.search(r"TMTV −\d+\.\d ml \(bert − anna\)", said)  # whose is how much less
    readings.get_by_role("button", name="Take").first.click()
    browser.page.wait_for_function("() => document.querySelector('.segpet-panel').dataset.running === ''")
    browser.page.wait_for_function(
        "async () => (await import('/segpet/viewer/state.js')).state.head.objects.length === 2"
    )
