"""Keys in the panel: on a focused control, and of an input method."""

from viewer import hottest


def test_enter_and_space_work_the_control_that_has_the_focus(viewer, phantom):
    browser = viewer().open("odd").emptied()
    page = browser.page
    browser.show(hottest(phantom))
    browser.click(hottest(phantom))
    browser.press("Enter")
    page.click("tr[data-number]")
    for part, key in (("report", "Enter"), ("learn", "Space")):
        page.focus(f"[data-test={part}] > summary")
        page.keyboard.press(key)
        page.wait_for_selector(f"[data-test={part}][open]")
    assert browser.objects()[0]["status"] == "accepted"
    positive = browser.state()["positive"]
    page.focus("[data-test=sign]")
    page.keyboard.press("Space")
    assert browser.state()["positive"] is not positive
    page.click("[data-test=report] > summary")  # the mouse leaves Enter to the object
    browser.press("Enter")
    assert browser.objects()[0]["status"] == "draft"
    assert not page.evaluate("() => document.querySelector('[data-test=report]').open")


def test_enter_that_ends_an_input_methods_composition_ends_no_renaming(viewer, phantom):
    browser = viewer().open("odd").emptied()
    page = browser.page
    browser.show(hottest(phantom))
    browser.click(hottest(phantom))
    page.click("tr[data-number]")
    page.keyboard.press("r")
    page.wait_for_selector(".segpet-objects .segpet-input")
    devtools = page.context.new_cdp_session(page)
    devtools.send("Input.imeSetComposition", {"text": "you fei", "selectionStart": 7, "selectionEnd": 7})
    enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
    devtools.send("Input.dispatchKeyEvent", {"type": "keyDown", **enter})
    devtools.send("Input.insertText", {"text": "右肺"})
    page.evaluate("async () => (await import('/segpet/viewer/state.js')).change({})")  # a reply comes
    page.wait_for_timeout(50)
    assert page.input_value(".segpet-objects .segpet-input") == "右肺"
    page.keyboard.press("Enter")
    page.wait_for_selector("tr[data-number] >> text=右肺")
    assert [one["name"] for one in browser.objects()] == ["右肺"]
