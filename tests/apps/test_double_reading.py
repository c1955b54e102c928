"""Two readers label one study without seeing each other's lesions; a reviewer compares and decides."""

import json

import pytest
import requests
from panel_client import PanelClient, RefusedError
from typer.testing import CliRunner

from scripts.__main__ import app
from scripts.faulting.run import UNREAD


@pytest.fixture(scope="module")
def read(run):
    """Two readings of a study: the first two lesions, and the second and third."""
    points = run.points[UNREAD]
    panels = []
    for name, own in (("anna", points[:2]), ("bert", points[1:3])):
        panel = PanelClient(run.server.url, UNREAD, name).open()
        begun = dict(panel.objects)
        for point in own:
            panel.click(point)
        panels.append((panel, begun, panel.save("submitted")))
    return run.server, panels


def agreement(server, panel):
    return requests.get(f"{panel.study_url}/agreement", timeout=30).json()


def test_the_second_reader_begins_with_nothing_and_neither_is_asked_to_look_at_the_other_s(read):
    _, panels = read
    assert [begun for _, begun, _ in panels] == [{}, {}]
    assert [(saved["status"], saved["author"]) for *_, saved in panels] == [
        ("submitted", "anna"),
        ("submitted", "bert"),
    ]


def test_agreement_is_told_lesion_by_lesion(read):
    server, panels = read
    told = agreement(server, panels[0][0])
    assert [one["author"] for one in told["readings"]] == ["anna", "bert"]
    (pair,) = told["pairs"]
    assert (pair["readers"], pair["only"]) == (["anna", "bert"], [[1], [2]])
    (matched,) = pair["matched"]
    assert (matched["first"], matched["second"], matched["dice"], pair["f1"]) == (2, 1, 1.0, 0.5)
    volumes = [sum(one["volume_ml"] for one in panel.objects.values()) for panel, *_ in panels]
    assert pair["tmtv_ml"] == pytest.approx(volumes, rel=1e-3)
    assert pair["tmtv_difference_ml"] == pytest.approx(volumes[1] - volumes[0], rel=1e-3)


def test_the_command_tells_the_same(read):
    server, panels = read
    asked = ["agreement", str(server.studies), "--state", str(server.state)]
    done = CliRunner().invoke(app, [*asked, "--json"])
    (one,) = [one for one in json.loads(done.stdout) if one["study"] == UNREAD]
    one.pop("study")
    assert one == agreement(server, panels[0][0])["pairs"][0]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0 and "anna, bert" in done.stdout and "Over" in done.stdout


def test_a_reviewer_takes_a_reading_and_makes_it_final(read):
    server, panels = read
    (anna, _, first), (_, _, second) = panels
    reviewer = PanelClient(server.url, UNREAD, "rita").open()
    assert len(reviewer.objects) == 2  # both have read: whoever comes now sees the label that counts
    with pytest.raises(RefusedError, match="404 This study has no version 99"):
        reviewer.post("restore", version=99)
    reviewer.post("restore", version=first["version"])
    assert reviewer.grid.tolist() == anna.grid.tolist() and reviewer.grid.any()
    final = reviewer.save("final")
    assert (final["status"], final["author"]) == ("final", "rita")
    assert final["version"] > second["version"]
    # A label that was made of a reading is none itself.
    assert [one["author"] for one in agreement(server, anna)["readings"]] == ["anna", "bert"]
    late = PanelClient(server.url, UNREAD, "late").open()
    assert len(late.objects) == 2


def test_a_study_that_nobody_read_twice_has_no_agreement(read):
    server, _ = read
    other = PanelClient(server.url, "patient-5", "anna")
    assert agreement(server, other) == {"readings": [], "pairs": []}
