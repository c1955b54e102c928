"""Labels of enhanced (multi-frame) PET as DICOM: they lie where they were drawn."""

import shutil
import subprocess

import numpy as np
import pydicom
import pytest
from dicom_series import write_enhanced

from lib.export.documents import Annotation, ExportedObject, make_documents
from lib.pet import Crop, choose, find_series, read_volume
from lib.pet.lesion_table import lesion_table
from lib.pet.outlines import read_outlines

SHAPE = (5, 6, 7)
TIMES = 3


def descending(k, dataset):
    """Stores the frames from the top down."""
    groups = list(dataset.PerFrameFunctionalGroupsSequence)
    dataset.PerFrameFunctionalGroupsSequence = groups[::-1]
    dataset.PixelData = dataset.pixel_array[::-1].tobytes()


def planes_of_each_frame(k, dataset):
    """Tells spacing and orientation frame by frame, as some scanners do."""
    shared = dataset.SharedFunctionalGroupsSequence[0]
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        frame.PixelMeasuresSequence = shared.PixelMeasuresSequence
        frame.PlaneOrientationSequence = shared.PlaneOrientationSequence
    del shared.PixelMeasuresSequence, shared.PlaneOrientationSequence


def annotated(folder, times=1, edit=None):
    """Return a label of two objects that overlap on an enhanced PET whose last time is read."""
    stored = np.random.default_rng(1).integers(100, 900, (*SHAPE, times)).astype(np.uint16)
    write_enhanced(folder / "a.dcm", stored, edit=edit)
    volume = read_volume(folder)
    series, frame, _ = choose(find_series(folder))
    objects = []
    for number, box in enumerate([np.s_[1:4, 1:3, 1:3], np.s_[2:5, 2:5, 2:4]], start=1):
        grid = np.zeros(SHAPE, bool)
        grid[box] = True
        objects.append(ExportedObject(number, "lesion", f"2.25.{number}", Crop.from_grid(grid), "MANUAL"))
    return Annotation(
        [pydicom.dcmread(folder / "a.dcm", stop_before_pixels=True)],
        volume,
        objects,
        lesion_table(volume, {one.id: one.mask for one in objects}),
        1,
        "",
        "1.0",
        series.suv.factors["SUVbw"],
        frames=[one.index for one in series.frames[frame]],
    )


@pytest.mark.parametrize("times", [1, TIMES])
@pytest.mark.parametrize("edit", [None, descending, planes_of_each_frame])
def test_a_seg_lies_where_it_was_drawn_in_whatever_order_frames_are_stored(tmp_path, edit, times):
    label = annotated(tmp_path, times, edit)
    segmentation = make_documents(label).segmentation
    segmentation.save_as(tmp_path / "seg.dcm")
    outlines = read_outlines(tmp_path / "seg.dcm", label.volume)
    assert all(one.mask.equals(obj.mask) for one, obj in zip(outlines, label.objects, strict=True))
    stored = pydicom.dcmread(tmp_path / "a.dcm").PerFrameFunctionalGroupsSequence
    for group in pydicom.dcmread(tmp_path / "seg.dcm").PerFrameFunctionalGroupsSequence:
        named = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber
        source = stored[named - 1]
        place = group.PlanePositionSequence[0].ImagePositionPatient
        assert place == source.PlanePositionSequence[0].ImagePositionPatient
        assert source.FrameContentSequence[0].TemporalPositionIndex == times


def test_the_report_of_a_multi_frame_pet_refers_to_it(tmp_path):
    label = annotated(tmp_path)
    report = make_documents(label).report
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    instances = [one for series in study.ReferencedSeriesSequence for one in series.ReferencedSOPSequence]
    named = {one.ReferencedSOPInstanceUID for one in instances}
    assert label.sources[0].SOPInstanceUID in named


def test_the_standard_s_checker_finds_no_error_of_ours_with_multi_frame_pet(tmp_path):
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed: apt-get install dicom3tools")
    for name, dataset in vars(make_documents(annotated(tmp_path, TIMES))).items():
        if dataset is not None:
            dataset.save_as(tmp_path / f"{name}.dcm")
            checked = subprocess.run(
                ["dciodvfy", tmp_path / f"{name}.dcm"], capture_output=True, text=True, check=False
            )
            errors = [line for line in checked.stderr.splitlines() if line.startswith(("Error", "Abort"))]
            assert errors == [], name
