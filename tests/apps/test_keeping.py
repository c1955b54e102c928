"""What is accepted is kept, what is only proposed is no lesion, and whose label is replaced is asked."""

import numpy as np
import pytest
from panel_client import PanelClient, RefusedError
from serving import Server, save_studies


@pytest.fixture(scope="module")
def server(tmp_path_factory, phantom):
    """A server of our own, without weights: these tests save labels. Every study is the same phantom."""
    folder = tmp_path_factory.mktemp("keeping")
    save_studies(folder, ("accepted", "raced", "drafted", "proposed", "unseen"), phantom.volume)
    server = Server(folder, model="none", unit="SUVbw", labels="lesion")
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def panel(server, request):
    return PanelClient(server.url, "accepted", request.node.name[:64]).open()


def test_an_accepted_object_keeps_its_voxels_against_a_click_in_it_which_is_told(panel, places):
    mine = panel.click(places[0]).patch(1, status="accepted").grid
    panel.click(places[0])
    np.testing.assert_array_equal(panel.grid, mine)
    assert panel.objects[1]["status"] == "accepted" and panel.head["patient"]["count"] == 1
    assert panel.objects[2]["covered"] and panel.objects[2]["voxels"] == 0
    inside, covered, *_ = panel.head["warnings"]
    assert inside.startswith("The click is in object 1, which is accepted")
    assert covered.startswith("Object 2 is covered")
    with pytest.raises(RefusedError, match="422 Object 2 has no voxel that is seen"):
        panel.patch(2, status="accepted")
    assert panel.post("accept").objects[2]["status"] == "draft"
    panel.patch(1, status="draft")
    assert (panel.grid == 2).any() and panel.head["warnings"][0].startswith("Object 1 is covered")
    assert panel.objects[1]["covered"] and panel.head["patient"]["count"] == 1


def test_what_is_seen_is_what_is_accepted(panel, places, lesions):
    """Else accepting the upper one of two would take from the lower one, or the other way round."""
    panel.click(places[0])
    mine = panel.grid
    uid = panel.study["instances"][lesions[0][2]]
    upper = np.where(panel.image[uid] == 1, 2, 0).astype(np.uint8)
    panel.brush({uid: upper}, label="lesion").patch(1, status="accepted").patch(2, status="accepted")
    assert (panel.grid == 2).any() and ((panel.grid > 0) == (mine > 0)).all()
    shown = panel.grid
    panel.patch(1, status="draft").patch(1, status="accepted").delete(2)
    np.testing.assert_array_equal(panel.grid, np.where(shown == 1, 1, 0))


def test_a_draft_beside_a_final_label_says_that_the_final_one_counts_as_the_next_frame_does(server, places):
    panel = PanelClient(server.url, "drafted", "reader").open().click(places[0])
    final = panel.save("final")
    draft = panel.click(places[1]).save("draft")
    assert (draft["status"], draft["version"]) == ("draft", final["version"] + 1)
    assert draft["counts"] == panel.reload().head["saved"]
    assert (draft["counts"]["version"], draft["counts"]["unchanged"]) == (final["version"], False)


@pytest.mark.parametrize(("theirs", "mine"), [("submitted", "final"), ("final", "submitted")])
def test_whoever_saves_after_somebody_else_is_asked_however_far_either_label_is(server, places, theirs, mine):
    def panel(name):
        return PanelClient(server.url, "raced", f"{theirs}-{name}").open()

    panel("before").click(places[0]).save("final", replace=True)
    late, quick = panel("late"), panel("quick")
    quick.click(places[1]).save(theirs)
    late.click(places[2])
    with pytest.raises(RefusedError, match=rf"409 {theirs}-quick has saved a label \({theirs}\)"):
        late.save(mine)
    late.save(mine, replace=True)
    late.click(places[1]).save(mine)  # its own are no news to it
    panel("after").click(places[1]).save(mine)  # nor is what was there when it began


def test_proposals_are_no_lesions_of_the_totals_until_somebody_takes_them_up(server):
    panel = PanelClient(server.url, "proposed", "totals").open().post("proposals")
    first, *rest = panel.objects
    assert panel.head["patient"]["count"] == 0 and panel.head["patient"]["tmtv_ml"] == 0
    assert panel.head["patient"]["proposed"] == len(panel.objects) > 1
    panel.patch(first, status="accepted")
    assert panel.head["patient"]["tmtv_ml"] == panel.objects[first]["mtv_ml"] > 0
    assert (panel.head["patient"]["count"], panel.head["patient"]["proposed"]) == (1, len(rest))


def test_only_a_draft_is_saved_with_proposals_that_nobody_looked_at(server):
    panel = PanelClient(server.url, "unseen", "reader").open().post("proposals")
    count = len(panel.objects)
    assert panel.save("draft")["status"] == "draft"
    for status in ("submitted", "reviewed", "final"):
        with pytest.raises(RefusedError, match=f"422 Nobody has looked at {count} of the proposals"):
            panel.save(status)
    panel.patch(1, status="accepted").post("reject")
    assert set(panel.objects) == {1}
    assert panel.save("final")["status"] == "final"
    assert len(panel.post("undo").objects) == count
