"""Sessions that were begun under labels which the server does not have any more."""

import numpy as np
import pytest

from infer_tasks import changes
from infer_tasks.annotated import Method, Snapshot
from infer_tasks.annotations import AnnotationKey, Annotations
from infer_tasks.sessions import SessionKey, Sessions
from lib.interaction import Click, Engine, Prompts, RegionGrower, class_map, propose_seeds
from lib.interaction.segmenter import Stopwatch
from lib.pet import Volume
from lib.store import Journal

HOT = (12, 12, 12)
BEFORE = ("background", "lesion", "node")
TOLD = "Its label was node, which is none here."


@pytest.fixture(scope="module")
def volume():
    values = np.full((30, 30, 30), 0.5, np.float32)
    values[10:15, 10:15, 10:15] = 8
    return Volume(values, np.diag([4.0, 4.0, 4.0, 1.0]), "SUVbw")


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal")


@pytest.mark.parametrize(("labels", "label"), [(("lesion",), "lesion"), (("liver", "spleen"), "liver")])
def test_a_panel_s_session_opens_with_a_label_in_use_and_says_so(journal, volume, labels, label):
    key = AnnotationKey("study", "reader", volume.digest)
    reader = changes.Reader(volume, Engine(RegionGrower()), Method("suv_region"), Stopwatch())

    def opened(annotations):
        return annotations.open(key, volume, lambda: (Snapshot(), None))

    def clicked(now, _):
        return changes.begin(now, reader, "node", Click(HOT, True)), ()

    before = Annotations(journal, BEFORE)
    opened(before)
    before.change(key, volume, 1, "click", clicked)
    item = opened(Annotations(journal, ("background", *labels))).now[1]
    assert (item.object.label, item.object.name, item.warnings) == (label, "node", (TOLD,))
    assert opened(Annotations(journal, BEFORE)).now[1].object.label == "node"  # the journal is as it was


def test_a_viewer_s_proposals_go_on_under_a_label_in_use_and_say_so(journal, volume):
    key, engine, labels = SessionKey("study", "suv_region"), Engine(RegionGrower()), ("background", "lesion")
    Sessions(journal, BEFORE).propose(key, engine, volume, "node", propose_seeds(volume))
    sessions = Sessions(journal, labels)
    update = sessions.update(key, engine, volume, Prompts())
    assert class_map(volume.shape, update.objects, update.masks, labels).max() == 1
    assert update.warnings == (f"Object 1: {TOLD}",)
    (told,) = sessions.objects_of("study", "", volume.digest)
    assert told.object.label == "lesion" and told.mask is not None
