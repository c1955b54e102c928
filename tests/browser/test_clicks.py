"""What a click means and what is seen of it, however quickly keys follow."""

import io

import numpy as np
import pytest
from PIL import Image
from viewer import PLANES, hottest


def test_a_click_is_taken_when_pressed_and_keys_come_after_it(viewer, phantom):
    browser = viewer().open("second").emptied()
    page, point = browser.page, hottest(phantom)
    browser.show(point)
    page.keyboard.press("v")

    def place(aside: float) -> tuple[float, float]:
        return browser.place([point[0] + aside, point[1], point[2]], PLANES[0])

    def click(aside: float, *keys: str) -> None:
        browser._answered(lambda: (page.mouse.click(*place(aside)), *map(page.keyboard.press, keys)))

    click(0, "x", "2")  # neither the sign nor the label is that of the click
    (found,) = browser.objects()
    assert (found["label"], found["clicks"][0]["positive"]) == ("lesion", True)
    assert browser.state()["selected"] is None
    page.click(f".segpet-objects tr[data-number='{found['number']}']")
    click(8, "Control+z")
    assert browser.objects() == [found]
    click(8, "Enter")
    (found,) = browser.objects()
    assert (len(found["clicks"]), found["status"]) == (2, "accepted")

    def double_click() -> None:
        page.mouse.click(*place(0))
        page.mouse.move(*place(16))
        page.mouse.down(click_count=2)
        page.mouse.up(click_count=2)

    browser._answered(double_click)
    assert [len(found["clicks"]) for found in browser.objects()] == [2, 2]
    assert browser.place(point, PLANES[2])  # no plane fills the screen


def test_a_click_means_what_was_chosen_when_it_was_made(viewer, phantom):
    browser = viewer().open("second").emptied()
    page, (x, y, z) = browser.page, hottest(phantom)
    browser.show([x, y, z])

    def click(aside: float, *keys: str) -> None:
        for key in keys:
            page.keyboard.press(key)
        page.mouse.click(*browser.place([x + aside, y, z], PLANES[0]))

    def clicks() -> list[int]:
        return [len(found["clicks"]) for found in browser.objects()]

    # At once: two of one object, one of another; and a third object is chosen to begin.
    browser._answered(lambda: (click(0), click(8), click(16, "n"), page.keyboard.press("n")))
    assert (clicks(), browser.state()["selected"]) == ([2, 1], None)
    # The first is accepted before it is answered, and the other begins the next object.
    browser._answered(lambda: (click(24), page.keyboard.press("Enter"), click(-8)))
    assert [found["status"] for found in browser.objects()] == ["draft", "draft", "accepted", "draft"]

    page.context.set_offline(True)
    browser._answered(lambda: (click(-16, "n"), click(32, "n")))
    assert (len(browser.state()["waiting"]), len(clicks())) == (2, 4)
    page.context.set_offline(False)
    browser.push("send-again")
    assert clicks() == [2, 1, 1, 1, 1, 1]
    assert browser.state()["selected"] == browser.objects()[-1]["number"]


def test_an_object_whose_method_is_not_here_says_what_to_press(viewer, phantom):
    browser = viewer().open("third").emptied()
    x, y, z = hottest(phantom)
    browser.show([x, y, z])
    browser.click([x, y, z])
    # As of a server that had weights.
    browser.page.evaluate(
        """async () => {
            const { change, state } = await import('/segpet/viewer/state.js');
            const objects = state.head.objects.map(one => ({ ...one, method: 'segpet', threshold: null }));
            change({ head: { ...state.head, objects } });
        }"""
    )

    def lit() -> list[str]:
        return browser.page.locator("[data-test^=method-][aria-pressed=true]").evaluate_all(
            "buttons => buttons.map(button => button.dataset.test)"
        )

    browser.painted()
    assert lit() == ["method-segpet"]
    browser.click([x + 8, y, z])
    assert "Press V:" in browser.page.inner_text("[role=alert]")
    browser.press("v")
    browser.click([x + 8, y, z])
    (found,) = browser.objects()
    assert (found["method"], found["threshold"], len(found["clicks"])) == ("suv_region", "percent", 2)
    browser.page.keyboard.press("n")
    browser.painted()
    assert lit() == ["method-percent"]


def test_hidden_masks_come_back_with_a_click_and_a_comparison_is_an_outline(viewer, phantom):
    browser = viewer().open("third").emptied()
    browser.show(hottest(phantom))
    browser.page.keyboard.press("h")
    browser.click(hottest(phantom))
    (found,) = browser.objects()
    browser.show(found["centroid"])
    assert browser.colored(PLANES[0], found["color"])[0].any()

    browser.press("s")
    near = np.linalg.norm(browser.colored(PLANES[0], found["color"])[1] - found["centroid"], axis=2) < 40
    for color in (found["color"], [34, 211, 238]):  # the mask is seen below the outline
        assert browser.colored(PLANES[0], color)[0][near].sum() > 50


def test_a_reset_goes_back_to_the_window_of_the_tracer(viewer):
    browser = viewer().open("second")
    windows = browser.page.get_by_text("SUV 0 – 6")
    windows.nth(2).wait_for()  # in the corner of each plane

    def look(plane: str) -> dict:
        return browser.page.evaluate(
            """async plane => {
                const viewport = (await import('/segpet/viewer/ohif.js')).viewportOf(plane);
                const { voiRange, invert, slabThickness } = viewport.getProperties();
                return { voiRange, invert, slabThickness };
            }""",
            plane,
        )

    def brightness(box: dict) -> float:
        browser.painted()
        return np.asarray(Image.open(io.BytesIO(browser.page.screenshot(clip=box)))).mean()

    for plane, key in ((PLANES[1], "w"), ("segpet-mip", "i")):
        box = browser.page.locator(f"[data-viewportid={plane}]").bounding_box()
        before, bright = look(plane), brightness(box)
        assert before["invert"] and before["voiRange"] == {"lower": 0, "upper": 6}
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        browser.page.keyboard.press(key)
        browser.page.mouse.move(*middle)
        browser.page.mouse.down()
        browser.page.mouse.move(middle[0] + 40, middle[1] + 40, steps=5)
        browser.page.mouse.up()
        if key == "i":
            browser.page.keyboard.press(key)
        assert look(plane) != before
        assert windows.count() == (2 if key == "w" else 3)
        browser.page.keyboard.press("Space")
        assert look(plane) == before
        assert brightness(box) == pytest.approx(bright, abs=5)
