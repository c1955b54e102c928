"""The table of objects: its order."""

from viewer import hottest


def test_the_table_is_sorted_by_a_column_and_goes_back_to_the_numbers(viewer, phantom):
    browser = viewer().open("third").emptied()
    for lesion in (2, 1, 3):
        browser.page.keyboard.press("n")
        browser.show(hottest(phantom, lesion))
        browser.click(hottest(phantom, lesion))

    def shown():
        rows = browser.page.query_selector_all(".segpet-objects tr[data-number]")
        return [int(row.get_attribute("data-number")) for row in rows]

    numbers = [found["number"] for found in browser.objects()]
    by_uptake = [found["number"] for found in sorted(browser.objects(), key=lambda found: found["suv_max"])]
    assert shown() == numbers != by_uptake
    for wanted in (by_uptake[::-1], by_uptake, by_uptake[::-1]):
        browser.page.click("[data-test=sort-suv_max]")
        browser.painted()
        assert shown() == wanted
    assert browser.page.get_attribute("th[aria-sort=descending] button", "data-test") == "sort-suv_max"
    browser.page.click(f"tr[data-number='{by_uptake[0]}']")  # a row is chosen where it stands
    assert browser.state()["selected"] == by_uptake[0]
    browser.page.click("[data-test=sort-suv_max]")
    browser.page.keyboard.press(".")
    assert browser.state()["selected"] == by_uptake[1]  # the next one is the next in the table
    browser.page.click("[data-test=sort-number]")
    browser.painted()
    assert shown() == numbers
