"""An annotation session: every change can be undone, and comes back after a restart as it was."""

import threading
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infer_tasks import changes
from infer_tasks.annotated import Method, Snapshot
from infer_tasks.annotations import AnnotationKey, Annotations, Saved, SessionMovedError
from infer_tasks.requests import RequestError
from lib.interaction import Click, Engine, RegionGrower
from lib.interaction.segmenter import Stopwatch
from lib.pet import Volume
from lib.pet.organ_map import OrganMap
from lib.pet.tracers import tracer_named
from lib.store import Journal, StoreError

LABELS = ("background", "lesion", "liver")
A, B = (10, 10, 10), (10, 10, 30)
METHOD = Method("suv_region", "percent", 41.0)


@pytest.fixture(scope="module")
def volume():
    """Two hot balls, 80 mm apart, on a warm background."""
    values = np.ones((20, 22, 40), dtype=np.float32)
    i, j, k = np.indices(values.shape)
    for centre in (A, B):
        values += 8 * np.exp(-((i - centre[0]) ** 2 + (j - centre[1]) ** 2 + (k - centre[2]) ** 2) / 6)
    return Volume(values, np.diag([4.0, 4.0, 4.0, 1.0]), "SUVbw")


class Panel:
    """A panel that shows what it was sent, as a browser does."""

    def __init__(self, annotations, volume, client="reader"):
        self.annotations, self.volume = annotations, volume
        self.key = AnnotationKey("study", client, volume.digest)
        self.image = np.zeros(volume.shape[::-1], np.uint8)
        self.engine = Engine(RegionGrower())

    def take(self, view):
        if view.complete:
            self.image[:] = 0
        for k, content in view.slices.items():
            self.image[k] = content
        self.view = view
        return self

    def open(self, begun=lambda: (Snapshot(), None)):
        return self.take(self.annotations.open(self.key, self.volume, begun))

    def change(self, what, change):
        revision = self.view.revision
        return self.take(self.annotations.change(self.key, self.volume, revision, what, change))

    def reader(self, engine=None):
        return changes.Reader(self.volume, engine or self.engine, METHOD, Stopwatch())

    def click(self, index, number=None, positive=True, label="lesion", engine=None):
        reader, click = self.reader(engine), Click(index, positive)

        def made(now, _):
            if number is None:
                return changes.begin(now, reader, label, click), ()
            return changes.click_in(now, reader, number, click), ()

        return self.change("click", made)

    def brush(self, image, label=None):
        slices = {k: image[k] for k in range(len(image)) if (image[k] != self.image[k]).any()}
        shape = self.volume.shape
        return self.change(
            "brush",
            lambda now, scene: (changes.brush(now, scene, shape, slices, label, LABELS, METHOD), ()),
        )

    def undo(self):
        return self.take(self.annotations.undo(self.key, self.volume, self.view.revision))

    def redo(self):
        return self.take(self.annotations.redo(self.key, self.volume, self.view.revision))


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal")


@pytest.fixture
def panel(journal, volume):
    return Panel(Annotations(journal, LABELS), volume).open()


def reloaded(journal, volume):
    return Panel(Annotations(journal, LABELS), volume).open()


def test_each_click_that_names_no_object_begins_one_and_the_changed_slices_show_it(panel):
    panel.click(A)
    assert (panel.view.changed, panel.view.revision) == ((1,), 2)
    panel.click(B)
    assert set(np.unique(panel.image)) == {0, 1, 2}
    assert panel.image[A[::-1]] == 1 and panel.image[B[::-1]] == 2
    assert all(k > 20 for k in panel.view.slices)  # nothing of the first object is sent again


def test_everything_can_be_undone_and_redone(panel):
    seen = [panel.image.copy()]
    for step in (lambda: panel.click(A), lambda: panel.click((0, 0, 10), 1, False), lambda: panel.click(B)):
        step()
        seen.append(panel.image.copy())
    for image in reversed(seen[:-1]):
        np.testing.assert_array_equal(panel.undo().image, image)
    assert not panel.view.can_undo
    with pytest.raises(SessionMovedError, match="nothing to undo"):
        panel.undo()
    for image in seen[1:]:
        np.testing.assert_array_equal(panel.redo().image, image)
    assert not panel.view.can_redo
    panel.undo().click((10, 12, 30))
    assert not panel.view.can_redo


def test_a_session_comes_back_after_a_restart_without_an_engine(panel, journal, volume):
    panel.click(A).click(B).click((9, 10, 30), 2)
    panel.undo()
    again = reloaded(journal, volume)
    np.testing.assert_array_equal(again.image, panel.image)
    assert again.view.now == panel.view.now
    assert (again.view.revision, again.view.can_redo) == (panel.view.revision, True)
    np.testing.assert_array_equal(again.redo().image, panel.redo().image)
    while panel.view.can_undo:
        np.testing.assert_array_equal(again.undo().image, panel.undo().image)


def test_after_a_restart_a_click_gives_what_it_would_have_given(panel, journal, volume):
    panel.click(A).click((8, 10, 10), 1, False)
    again = reloaded(journal, volume)
    again.click((12, 10, 10), 1)
    panel.annotations = again.annotations  # the session has moved on
    fresh = Panel(Annotations(Journal(journal.folder.parent / "other"), LABELS), volume).open()
    fresh.click(A).click((8, 10, 10), 1, False).click((12, 10, 10), 1)
    np.testing.assert_array_equal(again.image, fresh.image)


def test_a_change_of_what_is_no_longer_shown_is_refused(panel):
    other_tab = Panel(panel.annotations, panel.volume).open()
    other_tab.click(A)
    with pytest.raises(SessionMovedError, match="moved on"):
        panel.click(B)
    assert panel.open().image.any()


def test_what_fails_changes_nothing(panel, journal):
    panel.click(A)
    before, lines = panel.image.copy(), len(journal.read("study"))
    for wrong in (
        lambda: panel.click(B, 7),
        lambda: panel.click(A, 1),
        lambda: panel.click(A, 1, False),
        lambda: panel.click(B, positive=False),
    ):
        with pytest.raises(RequestError):
            wrong()
    np.testing.assert_array_equal(panel.open().image, before)
    assert (panel.view.revision, len(journal.read("study"))) == (2, lines)


def test_a_brush_stroke_stays_under_later_clicks(panel):
    panel.click(A)
    image = panel.image.copy()
    image[10, 10, 15:19] = 1
    image[10, 10, 10] = 0
    panel.brush(image)
    np.testing.assert_array_equal(panel.image, image)
    panel.click((10, 11, 10), 1)
    assert (panel.image[10, 10, 15:19] == 1).all()
    assert panel.image[10, 10, 10] == 0
    panel.click((17, 10, 10), 1, False)
    assert not (panel.image[10, 10, 17:19] == 1).any()
    np.testing.assert_array_equal(panel.undo().undo().image, image)


def test_a_brush_over_another_object_takes_it_from_that_one(panel):
    panel.click(A, label="liver").click(B)
    image = panel.image.copy()
    image[image == 2] = 1  # a liver does not win over a lesion, but the annotator does
    image[:, 0, 0] = 9
    with pytest.raises(RequestError, match="which label"):
        panel.brush(image)
    panel.brush(image, label="liver")
    np.testing.assert_array_equal(panel.image, image)
    assert panel.view.now.items[9].object.label == "liver"
    assert not panel.view.now.items[2].mask.crop.any()


def test_noise_is_not_taken_for_a_stroke(panel):
    image = np.zeros_like(panel.image)
    image.flat[:65] = range(1, 66)
    with pytest.raises(RequestError, match="At most 64 objects"):
        panel.brush(image, label="lesion")
    assert not panel.view.now.items


def test_objects_that_are_merged_are_one(panel):
    panel.click(A).click(B)
    both = panel.image > 0
    panel.change("merge", lambda now, _: (changes.merge(now, 1, [2]), ()))
    assert set(panel.view.now.items) == {1}
    np.testing.assert_array_equal(panel.image == 1, both)
    panel.click((12, 10, 10), 1)
    assert panel.image[B[::-1]] == 1
    with pytest.raises(RequestError):
        panel.change("merge", lambda now, _: (changes.merge(now, 1, [1]), ()))


def test_a_click_after_other_weights_keeps_what_was_shown(panel, volume, journal):
    panel.click(A)
    shown = panel.image.copy()
    other = Engine(RegionGrower("percent", 80.0))
    panel.click((0, 0, 0), 1, False, engine=other)
    np.testing.assert_array_equal(panel.image, shown)
    assert panel.view.now.items[1].weights == other.segmenter.digest
    assert panel.view.now.items[1].object.paints


def test_another_method_answers_the_same_clicks(panel):
    panel.click(A)
    large = np.count_nonzero(panel.image)
    reader = replace(panel.reader(), engine=Engine(RegionGrower("percent", 80.0)))
    panel.change("method", lambda now, _: (changes.answer_anew(now, reader, 1), ()))
    assert 0 < np.count_nonzero(panel.image) < large


def test_proposals_leave_what_is_there_alone(panel):
    panel.click(A)
    first = panel.view.now.items[1]

    def proposed(now, _):
        return changes.propose(now, panel.reader(), "lesion")

    panel.change("proposals", proposed)
    assert panel.view.now.items[1] == first
    assert {item.object.status for number, item in panel.view.now.items.items() if number > 1} == {"proposed"}
    assert panel.image[B[::-1]] > 1
    count = len(panel.view.now.items)
    assert len(panel.change("proposals", proposed).view.now.items) == count


def test_proposals_leave_out_what_an_organ_map_says_is_normal(panel, monkeypatch):
    monkeypatch.setattr(changes, "tracer_of", lambda _: tracer_named("FDG"))
    brain = np.zeros(panel.volume.shape, np.uint16)
    brain[:, :, :20] = 1
    organs = OrganMap(brain, {1: "brain"}, panel.volume.affine)
    panel.change("proposals", lambda now, _: changes.propose(now, panel.reader(), "lesion", organs))
    assert panel.image[B[::-1]] and not panel.image[A[::-1]]


def test_numbers_go_on_after_a_delete_and_back_after_an_undo(panel):
    panel.click(A).change("delete", lambda now, _: (now.without([1]), ()))
    assert not panel.image.any()
    assert panel.click(B).view.changed == (2,)
    assert panel.undo().click(A).view.changed == (2,)


def test_a_session_begins_with_a_label_once(journal, volume):
    source = Panel(Annotations(journal, LABELS), volume, "other").open().click(A)
    saved = Saved(3, "final", 3, source.view.now.items)
    panel = Panel(source.annotations, volume).open(lambda: (source.view.now, saved))
    np.testing.assert_array_equal(panel.image, source.image)
    assert not panel.view.can_undo
    panel.click(B)
    again = reloaded(journal, volume)
    assert again.view.saved == saved
    np.testing.assert_array_equal(again.image, panel.image)


def test_a_save_is_remembered(panel, journal, volume):
    panel.click(A)
    revision = panel.view.revision
    saved = panel.annotations.save(panel.key, revision, lambda now, *_: Saved(1, "draft", 0, now.items))
    assert panel.open().view.saved == saved
    again = reloaded(journal, volume)
    assert (again.view.saved, again.view.revision) == (saved, revision)
    with pytest.raises(SessionMovedError):
        panel.annotations.save(panel.key, revision - 1, lambda *_: pytest.fail("saved"))


def test_a_session_that_nobody_opened_is_not_there(journal, volume):
    panel = Panel(Annotations(journal, LABELS), volume)
    assert not panel.annotations.exists(panel.key)
    with pytest.raises(RequestError, match="not open"):
        panel.annotations.view(panel.key, volume)


def test_clients_and_images_are_kept_apart(panel, volume):
    panel.click(A)
    other = Panel(panel.annotations, volume, "other").open()
    assert not other.image.any()
    brighter = Volume(volume.array * 2, volume.affine, "SUVbw")
    assert not Panel(panel.annotations, brighter).open().image.any()


def test_a_damaged_line_is_told_and_loses_nothing(panel, journal, volume):
    panel.click(A)
    path = journal.folder / "study.jsonl"
    good = path.read_text()
    path.write_text(good.replace('"bits":"', '"bits":"!'))
    annotations = Annotations(journal, LABELS)
    for _ in range(2):
        with pytest.raises(StoreError, match="cannot be read"):
            Panel(annotations, volume).open()
    path.write_text(good)
    np.testing.assert_array_equal(Panel(annotations, volume).open().image, panel.image)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("click"), st.integers(0, 3), st.tuples(*[st.integers(2, 17)] * 3), st.booleans()),
        st.tuples(
            st.just("brush"), st.integers(0, 4), st.tuples(*[st.integers(0, 15)] * 3), st.integers(1, 6)
        ),
        st.tuples(st.just("merge"), st.integers(1, 3), st.integers(1, 3)),
        st.tuples(st.just("delete"), st.integers(1, 3)),
        st.sampled_from([("undo",), ("redo",), ("restart",), ("organ", 1), ("organ", 2)]),
    ),
    max_size=12,
)


def taken(panel, what, *told):
    """Do what a step says, where it can be done."""
    match what:
        case "click":
            panel.click(told[1], told[0] or None, told[2])
        case "brush":
            image = panel.image.copy()
            (i, j, k), size = told[1], told[2]
            image[k : k + size, j : j + size, i : i + size] = told[0]
            panel.brush(image, label="lesion")
        case "merge":
            panel.change("merge", lambda now, _: (changes.merge(now, told[0], [told[1]]), ()))
        case "delete":
            panel.change("delete", lambda now, _: (now.without([now[told[0]].number]), ()))
        case "organ":
            panel.change("object", lambda now, _: (now.having(now[told[0]].with_object(label="liver")), ()))
        case "undo":
            panel.undo()
        case "redo":
            panel.redo()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_whatever_is_done_the_panel_shows_what_the_session_holds(tmp_path_factory, volume, steps):
    journal = Journal(tmp_path_factory.mktemp("any") / "journal")
    panel = Panel(Annotations(journal, LABELS), volume).open()
    for step in steps:
        if step[0] == "restart":
            panel.annotations = Annotations(journal, LABELS)
        else:
            with suppress(RequestError, SessionMovedError):
                taken(panel, *step)
        shown = panel.image.copy()
        np.testing.assert_array_equal(panel.open().image, shown)
    shown, undone = panel.image.copy(), 0
    while panel.view.can_undo:
        panel.undo()
        undone += 1
    assert not panel.image.any()
    for _ in range(undone):
        panel.redo()
    np.testing.assert_array_equal(panel.image, shown)


def test_of_two_changes_at_once_one_is_made_and_the_other_told(panel):
    told = []

    def click(index):
        other = Panel(panel.annotations, panel.volume)
        other.view = panel.view
        try:
            told.append(other.click(index).view.revision)
        except SessionMovedError:
            told.append("moved on")

    threads = [threading.Thread(target=click, args=(index,)) for index in (A, B)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told, key=str) == [2, "moved on"]
    assert len(panel.open().view.now.items) == 1
