"""The report in the browser: findings of the label, a streamed impression, marks, accepting."""

from collections.abc import Iterator

import pytest
from serving import Server
from viewer import hottest

from lib.report.demo_model import make_model, make_tokenizer, save_demo_model
from lib.report.synthetic_pairs import pairs


@pytest.fixture
def writing(tmp_path, server) -> Iterator[Server]:
    """A second server over the same studies, with a language model of random weights."""
    tokenizer = make_tokenizer(
        text for pair in pairs(50, "A", 1) for text in (pair.findings, pair.impression)
    )
    (tmp_path / "noise").mkdir()
    save_demo_model(make_model(tokenizer), tokenizer, tmp_path / "noise")
    other = Server(server.folder, model="none", labels="lesion,liver,spleen", impression=tmp_path / "noise")
    other.state, other.log = tmp_path / "state", tmp_path / "server.log"
    other._command += ["--conf", "state", str(tmp_path / "state")]
    try:
        yield other.start()
    finally:
        other.stop()


def test_findings_become_an_impression_with_marks_that_is_accepted(viewer, writing, phantom):
    browser = viewer(writing).open("fourth").emptied()
    page = browser.page
    browser.show(hottest(phantom))
    browser.click(hottest(phantom))
    browser.push("save-final")
    page.locator("[data-test=report] > summary").click()
    page.wait_for_function("() => document.querySelector('[data-test=findings]').value.includes('SUVmax')")

    page.click("[data-test=report-write]")
    page.wait_for_function(
        "() => document.querySelector('.segpet-marked').dataset.busy === 'false'"
        " && document.querySelector('[data-test=impression]').value.length > 0"
    )

    page.fill("[data-test=impression]", "Metastasis in the left kidney, SUVmax 77.7.")
    page.wait_for_selector("[data-test=mark] >> text=77.7")
    assert "77.7" in browser.said("reasons")
    page.fill("[data-test=findings]", "One lesion, dictated.")
    page.click("[data-test=report-accept]")
    page.wait_for_selector("[data-test=report-accepted]")

    page.reload()
    browser.loaded()
    page.locator("[data-test=report] > summary").click()
    page.wait_for_function(
        "() => document.querySelector('[data-test=impression]').value.startsWith('Metastasis in the left')"
    )
    assert page.input_value("[data-test=findings]") == "One lesion, dictated."
