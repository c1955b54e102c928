"""Looking without changing: a read-only server; and what the browser is allowed to do."""

from collections.abc import Iterator

import pytest
from serving import Server
from viewer import PLANES, hottest


@pytest.fixture
def read_only(server, viewer, phantom) -> Iterator[Server]:
    """A second server over the same studies and labels, that changes nothing."""
    browser = viewer().open("third").emptied()
    browser.show(hottest(phantom))
    browser.click(hottest(phantom))
    browser.push("save-final")
    other = Server(server.folder, model="none", labels="lesion,liver,spleen", read_only="yes")
    other.log = server.folder / "read-only.log"
    try:
        yield other.start()
    finally:
        other.stop()


def test_a_read_only_server_shows_labels_and_numbers_and_no_tools(viewer, read_only):
    browser = viewer(read_only).open("third", "review")
    (found,) = browser.objects()
    assert found["suv_max"] > 0
    assert len(browser.table()) == 1
    assert browser.said("read-only").startswith("Read only:")
    browser.page.click(".segpet-objects tr[data-number]")
    browser.painted()
    assert browser.colored(PLANES[0], found["color"])[0].any()
    for name in ("sign", "tool-click", "undo", "propose", "save-final"):
        assert not browser.page.query_selector(f"[data-test={name}]")
    browser.page.keyboard.press("p")
    assert browser.objects() == [found]


def test_a_pet_ct_is_shown_fused_and_f_shows_pet_alone(viewer):
    browser = viewer().open("downwards")

    def looks() -> list[tuple[str, bool]]:
        return browser.page.evaluate(
            """async plane => {
                const viewport = (await import('/segpet/viewer/ohif.js')).viewportOf(plane);
                return viewport.getAllVolumeIds().filter(id => !id.startsWith('segpet')).map(id => {
                    const { invert, colormap } = viewport.getProperties(id);
                    return [colormap?.name ?? '', Boolean(invert)];
                });
            }""",
            PLANES[0],
        )

    fused = looks()
    assert len(fused) == 2 and fused[1] == ["hot_iron", False]
    browser.page.keyboard.press("f")
    browser.painted()
    alone = looks()
    assert alone[1] == ["Grayscale", True]
    browser.page.keyboard.press("Space")
    assert looks() == alone
    browser.page.keyboard.press("f")
    browser.painted()
    assert looks() == fused


def test_the_page_may_load_nothing_from_elsewhere(viewer):
    browser = viewer()
    policy = browser.page.goto(browser.url).headers["content-security-policy"]
    rules = dict(rule.strip().partition(" ")[::2] for rule in policy.split(";"))
    assert "'unsafe-eval'" not in policy
    assert "'wasm-unsafe-eval'" in rules["script-src"] and "'sha256-" in rules["script-src"]
    assert "'unsafe-inline'" not in rules["script-src"]
    assert "blob:" in rules["worker-src"]
    assert not any(source.startswith(("http:", "https:", "*")) for source in policy.split())
