import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.store import StoreError
from lib.store.records import file_name, from_json, to_json

ANY_TEXT = st.text(st.characters(), min_size=1)  # surrogates too: an undecodable file name holds them


@given(ANY_TEXT)
def test_a_file_name_is_one_visible_path_component_that_fits_the_file_system(study):
    name = file_name(study)
    assert "/" not in name and "\0" not in name and name.isascii()
    assert not name.startswith(".")
    assert 0 < len(name) <= 200


@given(ANY_TEXT, ANY_TEXT)
def test_no_two_studies_share_a_file_name(one, other):
    assert (file_name(one) == file_name(other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a/b", "a%2Fb"),
        (".a", "%2Ea"),
        ("肝" * 100 + "1", "肝" * 100 + "2"),
        ("x" * 201, file_name("x" * 201)),
    ],
)
def test_look_alikes_have_different_file_names(one, other):
    assert file_name(one) != file_name(other)


def test_an_ordinary_name_stays_readable():
    assert file_name("STS_001.PET-1") == "STS_001.PET-1"


def test_a_study_without_a_name_is_refused():
    with pytest.raises(StoreError, match="not empty"):
        file_name("")


@given(st.dictionaries(st.text(st.characters()), st.integers() | st.text(st.characters()) | st.booleans()))
def test_a_record_comes_back_as_it_was_and_takes_one_line(record):
    text = to_json(record)
    assert from_json(text) == record
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, np.float32(1), b"x", {1, 2}])
def test_what_json_cannot_hold_is_refused(value):
    with pytest.raises(StoreError, match="cannot be kept as JSON"):
        to_json({"value": value})


@pytest.mark.parametrize("text", ["", "{", "[1]", "1", b"\xff\xfe{}", "null", f'{{"deep": {"[" * 100_000}'])
def test_anything_but_one_object_is_refused(text):
    with pytest.raises(StoreError, match="not"):
        from_json(text)
