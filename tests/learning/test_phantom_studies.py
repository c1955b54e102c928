"""Phantoms that are kept on disk: those of another state of SegPET are drawn anew."""

import pytest

from lib.learning import bodies, phantom_studies
from lib.learning.bodies import make_training_phantoms
from lib.learning.phantom_studies import PhantomStudy


@pytest.fixture
def drawn(monkeypatch):
    """Seeds of the phantoms that were drawn: coarse ones, which is faster."""
    seeds = []
    make_phantom = bodies.make_phantom

    def coarse(seed, _shape, _spacing, tracer, lesions, largest_mm):
        seeds.append(seed)
        return make_phantom(seed, (56, 44, 115), (8.0, 8.0, 8.0), tracer, lesions=lesions)

    monkeypatch.setattr(bodies, "make_phantom", coarse)
    return seeds


def test_phantoms_to_train_on_are_drawn_once_and_anew_where_their_code_changed(tmp_path, drawn, monkeypatch):
    first = make_training_phantoms(1, 8.0, tmp_path)
    again = make_training_phantoms(1, 8.0, tmp_path)
    assert (first[0].image == again[0].image).all() and drawn == [0]
    monkeypatch.setattr(bodies, "phantoms_state", lambda: "another")
    make_training_phantoms(1, 8.0, tmp_path)
    assert drawn == [0, 0]


def test_what_was_kept_of_a_phantom_study_is_not_taken_after_such_a_change(monkeypatch):
    study = PhantomStudy("FDG", 5000)
    before = study.stamp()
    assert PhantomStudy("FDG", 5000).stamp() == before != PhantomStudy("FDG", 5001).stamp()
    monkeypatch.setattr(phantom_studies, "phantoms_state", lambda: "another")
    assert study.stamp() != before
