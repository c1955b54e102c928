import os
import struct
import tracemalloc
import zlib

import numpy as np
import pydicom
import pytest
from dicom_series import UID_PREFIX, scan_header, write_enhanced, write_series
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEGLSLossless,
    RTStructureSetStorage,
)

from lib.pet import VolumeError, read_volume

INJECTION = (0x0054, 0x0016)
ITEM, ITEM_END, END = (struct.pack("<HHL", 0xFFFE, element, 0) for element in (0xE000, 0xE00D, 0xE0DD))
OPEN_ITEM = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
PIXELS = b"\xe0\x7f\x10\x00OW"


@pytest.fixture
def stored():
    return np.random.default_rng(6).integers(0, 30_000, (5, 6, 4)).astype(np.int16)


@pytest.fixture
def folder(stored, tmp_path):
    """Hold a good series."""
    write_series(tmp_path / "series", stored, edit=scan_header())
    return tmp_path / "series"


def as_structures(k, dataset):
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = RTStructureSetStorage
    del dataset.PixelData


def one_of(folder):
    return sorted(folder.iterdir())[1]


def element(tag, vr, content, length=None):
    """Return an explicit little endian element with a 32-bit length, which may lie."""
    length = len(content) if length is None else length
    return struct.pack("<HH2sHL", *tag, vr, 0, length) + content


def put_before_pixels(path, content):
    whole = path.read_bytes()
    at = whole.index(PIXELS)
    path.write_bytes(whole[:at] + content + whole[at:])


def outcome(folder):
    """Read a folder with little memory; returns the volume, or the sentence of its refusal."""
    tracemalloc.start()
    try:
        return read_volume(folder)
    except VolumeError as error:
        assert str(error).endswith(".")
        assert UID_PREFIX not in str(error)
        return str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 300e6


def nested(depth, defined):
    """Return a sequence in a sequence in a sequence."""
    content = b""
    for _ in range(depth):
        if defined:
            item = struct.pack("<HHL", 0xFFFE, 0xE000, len(content)) + content
            content = element(INJECTION, b"SQ", item)
        else:
            content = element(INJECTION, b"SQ", OPEN_ITEM + content + ITEM_END + END, 0xFFFFFFFF)
    return content


@pytest.mark.parametrize("defined", [True, False])
def test_deep_sequences_are_refused_or_passed_over(folder, defined):
    put_before_pixels(one_of(folder), nested(3000, defined))
    assert outcome(folder) is not None


@pytest.mark.parametrize("tag", [(0x0010, 0x0010), (0x0054, 0x0016), (0x7FDF, 0x0001), (0x0028, 0x0030)])
@pytest.mark.parametrize("vr", [b"UN", b"OB", b"UT", b"SQ"])
@pytest.mark.parametrize("length", [0xFFFFFFFE, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_declared_length_beyond_the_file_is_refused(folder, tag, vr, length):
    put_before_pixels(one_of(folder), element(tag, vr, b"1\\2", length))
    assert "DICOM file of the folder" in outcome(folder)


def test_half_a_million_empty_elements_are_refused(folder):
    put_before_pixels(one_of(folder), struct.pack("<HH2sH", 0x0009, 0x1099, b"LO", 0) * 500_000)
    with pytest.raises(VolumeError, match="more elements"):
        read_volume(folder)


def test_a_file_of_another_kind_may_have_as_many_elements_as_it_likes(folder, stored, tmp_path):
    (path,) = write_series(tmp_path / "series", stored[:, :, :1], edit=as_structures)
    with path.open("ab") as file:
        file.write(struct.pack("<HH2sH", 0x3006, 0x0099, b"LO", 0) * 500_000)
    assert outcome(folder).shape == stored.shape


@pytest.mark.parametrize(("tag", "length"), [(INJECTION, None), ((0x0040, 0x0275), 0xFFFFFFFF)])
def test_many_empty_items_are_refused(folder, tag, length):
    put_before_pixels(one_of(folder), element(tag, b"SQ", ITEM * 150_000 + (END if length else b""), length))
    with pytest.raises(VolumeError, match="more elements"):
        read_volume(folder)


@pytest.mark.parametrize("tag", [(0x0028, 0x0030), (0x0018, 0x1242), (0x0028, 0x0051)])
def test_a_million_values_of_one_element_are_refused_or_passed_over(folder, tag):
    put_before_pixels(one_of(folder), element(tag, b"UN", b"1\\" * 1_000_000))
    assert outcome(folder) is not None


@pytest.mark.parametrize("compressed", [False, True])
def test_an_image_that_claims_more_pixels_than_its_file_could_hold_is_refused(stored, tmp_path, compressed):
    def edit(k, dataset):
        dataset.Rows = dataset.Columns = 65_535
        if compressed:
            dataset.file_meta.TransferSyntaxUID = JPEGLSLossless
            dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xf7" + bytes(40)])
            dataset["PixelData"].is_undefined_length = True

    write_series(tmp_path, stored, edit=edit)
    assert "claim to hold" in outcome(tmp_path)


def test_an_enhanced_image_of_billions_of_frames_is_refused(stored, tmp_path):
    write_enhanced(
        tmp_path / "a", stored, edit=lambda k, dataset: setattr(dataset, "NumberOfFrames", 2**31 - 1)
    )
    assert "damaged" in outcome(tmp_path)


def test_a_deflated_file_is_refused_before_it_grows(folder):
    path = one_of(folder)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path)
    whole = path.read_bytes()
    packer = zlib.compressobj(wbits=-15)
    bomb = packer.compress(bytes(300 << 20)) + packer.flush()
    path.write_bytes(whole[: 200 + whole[200:].find(b"\x00\x00\x00") + 300] + bomb)
    assert "deflated" in outcome(folder)


def test_a_pipe_and_a_loop_of_links_are_passed_over(folder, stored):
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "gone").symlink_to(folder / "nowhere")
    assert outcome(folder).shape == stored.shape


def test_another_kind_of_file_may_end_without_pixels(folder, stored, tmp_path):
    write_series(tmp_path / "series", stored[:, :, :1], edit=as_structures)
    assert outcome(folder).shape == stored.shape


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Return a good series' folder, one of its files, and what that holds."""
    folder = tmp_path_factory.mktemp("good")
    stored = np.random.default_rng(6).integers(0, 30_000, (5, 6, 4)).astype(np.int16)
    path = write_series(folder, stored, edit=scan_header())[1]
    return folder, path, path.read_bytes()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_damage_to_a_file_is_read_or_refused_with_a_sentence(good, data):
    folder, path, whole = good
    damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)) | st.just(len(whole)))])
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, max(0, len(damaged) - 1)))
        damaged[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=6))
    path.write_bytes(damaged)
    outcome(folder)
