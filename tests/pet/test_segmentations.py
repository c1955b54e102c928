"""DICOM SEG on a volume's grid, whatever it leaves out."""

import numpy as np
import pydicom
import pytest
from dicom_seg import segmentation

from lib.pet import Volume
from lib.pet.organs import read_organ_map
from lib.pet.segmentations import only_segmentation, segment_masks


def without_spacing(path):
    seg = pydicom.dcmread(path)
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.pop("SpacingBetweenSlices", None)
    seg.save_as(path)
    return measures


@pytest.mark.parametrize("planes", [(7,), (0, 11), (2, 5, 11), (2, 4), (1, 2, 9)])
def test_planes_that_are_left_out_are_empty_where_no_spacing_is_told(tmp_path, planes):
    labels, affine = segmentation(tmp_path, planes, kidney=())
    without_spacing(tmp_path / "seg.dcm")
    volume = Volume(np.zeros(labels.shape, np.float32), affine, "SUVbw")
    masks = segment_masks(only_segmentation(tmp_path / "seg.dcm"), volume)
    assert np.array_equal(masks["Liver"].to_grid(labels.shape), labels == 1)
    assert np.array_equal(read_organ_map(tmp_path, volume).labels, labels)


@pytest.mark.parametrize("keyword", ["PixelMeasuresSequence", "PlaneOrientationSequence"])
def test_what_each_frame_says_for_itself_is_read(tmp_path, keyword):
    labels, affine = segmentation(tmp_path, range(12), kidney=())
    path = tmp_path / "seg.dcm"
    without_spacing(path)
    seg = pydicom.dcmread(path)
    own = seg.SharedFunctionalGroupsSequence[0].pop(keyword)
    for frame in seg.PerFrameFunctionalGroupsSequence:
        frame.add(own)
    seg.save_as(path)
    volume = Volume(np.zeros(labels.shape, np.float32), affine, "SUVbw")
    masks = segment_masks(only_segmentation(path), volume)
    assert np.array_equal(masks["Liver"].to_grid(labels.shape), labels == 1)


def test_planes_evenly_spaced_tell_the_spacing_though_they_are_thinner(tmp_path):
    labels, affine = segmentation(tmp_path, range(12), kidney=())
    path = tmp_path / "seg.dcm"
    without_spacing(path)
    seg = pydicom.dcmread(path)
    seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness = 2.0
    seg.save_as(path)
    volume = Volume(np.zeros(labels.shape, np.float32), affine, "SUVbw")
    masks = segment_masks(only_segmentation(path), volume)
    assert np.array_equal(masks["Liver"].to_grid(labels.shape), labels == 1)
