"""The panel on small screens: nothing lies over anything else, and saving stays in sight."""

from itertools import pairwise

import pytest

#: Where a part of the panel is seen: [top, bottom], or null where something else lies over its middle.
SEEN = """(selector) => {
  const part = document.querySelector(selector);
  const { left, right, top, bottom } = part.getBoundingClientRect();
  const upper = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
  return part.contains(upper) && bottom <= innerHeight ? [top, bottom] : null;
}"""


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (1280, 720), (900, 600)])
def test_on_a_small_screen_no_part_of_the_panel_lies_over_another_and_saving_stays_in_sight(
    viewer, width, height
):
    browser = viewer(viewport={"width": width, "height": height}).open("third").emptied()
    page = browser.page
    browser.press("p")
    page.evaluate(
        "async () => (await import('/segpet/viewer/state.js')).change({ error: 'It failed. '.repeat(40) })"
    )
    for part in ("learn", "report"):
        page.locator(f"[data-test={part}] > summary").click()
    page.wait_for_selector("[data-test=answers]")
    boxes = page.evaluate(
        "() => [...document.querySelectorAll('.segpet-body > *')].map(part => part.getBoundingClientRect())"
        ".map(({ top, bottom }) => [top, bottom])"
    )
    assert all(one[1] <= other[0] for one, other in pairwise(boxes))
    for name in ("save-draft", "save-submitted", "save-final", "next"):
        assert page.evaluate(SEEN, f"[data-test={name}]"), name
    # Whatever is open, the chosen object's row and what can be done with it are seen.
    number = browser.objects()[-1]["number"]
    page.keyboard.press(",")
    for status in ("proposed", "accepted"):
        assert browser.objects()[-1]["status"] == status
        for name in ("accept", "rename", "remove"):
            assert page.evaluate(SEEN, f".segpet-row-actions [data-test={name}]"), (status, name)
        assert page.evaluate(SEEN, f"tr[data-number='{number}'] .segpet-dot")
        accept = "(await import('/segpet/viewer/actions.js')).edit(number, { status: 'accepted' })"
        page.evaluate(f"async number => {accept}", number)
        browser.painted()
