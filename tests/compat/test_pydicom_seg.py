import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK
from dicom_series import write_series
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from pydicom.sr.codedict import codes

SPACING, ORIGIN = (4.0, 5.0, 3.0), (-10.0, -20.0, -30.0)
ORIENTATIONS = {
    "axial": (1, 0, 0, 0, 1, 0),
    "prone": (-1, 0, 0, 0, -1, 0),
    "oblique": (0.8, 0.6, 0, -0.48, 0.64, 0.6),
    "coronal": (1, 0, 0, 0, 0, -1),
}


@pytest.fixture
def pydicom_seg(stand_in):
    return stand_in("pydicom_seg")


@pytest.fixture
def write_seg(tmp_path):
    """A function that writes a SEG of a class map [i, j, k] (or one mask a segment, [i, j, k, segment])."""

    def complete(_, dataset):
        for name in (
            "PatientBirthDate",
            "PatientSex",
            "StudyID",
            "StudyDate",
            "StudyTime",
            "AccessionNumber",
        ):
            setattr(dataset, name, "")

    def write(mask, kind="BINARY", orientation=ORIENTATIONS["axial"], backwards=False, **options):
        grid = np.zeros(mask.shape[:3], np.int16)
        paths = write_series(
            tmp_path / "series", grid, spacing=SPACING, origin=ORIGIN, orientation=orientation, edit=complete
        )
        sources = [pydicom.dcmread(path) for path in paths]
        frames = np.moveaxis(mask, (2, 1, 0), (0, 1, 2))
        if backwards:
            sources, frames = sources[::-1], frames[::-1]
        segments = mask.shape[3] if mask.ndim == 4 else max(int(mask.max()), 1)
        algorithm = highdicom.AlgorithmIdentificationSequence("test", codes.DCM.ArtificialIntelligence, "1")
        descriptions = [
            SegmentDescription(
                number,
                f"lesion {number}",
                codes.SCT.MorphologicallyAbnormalStructure,
                codes.SCT.Lesion,
                SegmentAlgorithmTypeValues.SEMIAUTOMATIC,
                algorithm,
            )
            for number in range(1, segments + 1)
        ]
        seg = Segmentation(
            sources,
            frames,
            SegmentationTypeValues(kind),
            descriptions,
            highdicom.UID(),
            1,
            highdicom.UID(),
            1,
            "SegPET",
            "test",
            "1",
            "1",
            **options,
        )
        path = tmp_path / "seg.dcm"
        seg.save_as(path)
        return path

    return write


def class_map(labels=3):
    """A class map [i, j, k] in which every slice differs and no axis or flip can be mistaken for another."""
    return np.random.default_rng(0).integers(0, labels + 1, (4, 5, 6)).astype(np.uint8)


def expected_image(mask, orientation):
    image = SimpleITK.GetImageFromArray(mask.T)
    x, y = np.array(orientation, float).reshape(2, 3)
    image.SetDirection(np.stack([x, y, np.cross(x, y)], axis=1).ravel())
    image.SetSpacing(SPACING)
    image.SetOrigin(ORIGIN)
    return image


def assert_same(image, expected):
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image), SimpleITK.GetArrayFromImage(expected))
    np.testing.assert_allclose(image.GetOrigin(), expected.GetOrigin(), atol=1e-4)
    np.testing.assert_allclose(image.GetSpacing(), expected.GetSpacing(), atol=1e-4)
    np.testing.assert_allclose(image.GetDirection(), expected.GetDirection(), atol=1e-6)


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("name", ORIENTATIONS)
def test_the_image_is_the_mask_in_its_place_whatever_the_order_of_the_frames(
    pydicom_seg, write_seg, kind, backwards, name
):
    mask, orientation = class_map(), ORIENTATIONS[name]
    path = write_seg(mask, kind, orientation, backwards, omit_empty_frames=False)
    image = pydicom_seg.MultiClassReader().read(pydicom.dcmread(path)).image
    assert_same(image, expected_image(mask, orientation))


@pytest.mark.parametrize("backwards", [False, True])
def test_frames_that_were_left_out_are_empty_slices_or_outside(pydicom_seg, write_seg, backwards):
    mask = class_map()
    mask[:, :, [0, 3, 5]] = 0
    path = write_seg(mask, backwards=backwards, omit_empty_frames=True)
    image = pydicom_seg.MultiClassReader().read(pydicom.dcmread(path)).image
    assert_same(image, expected_image(mask, ORIENTATIONS["axial"])[:, :, 1:5])


def test_an_empty_mask_is_an_empty_image(pydicom_seg, write_seg):
    mask = np.zeros((4, 5, 6), np.uint8)
    path = write_seg(mask, omit_empty_frames=False)
    image = pydicom_seg.MultiClassReader().read(pydicom.dcmread(path)).image
    assert_same(image, expected_image(mask, ORIENTATIONS["axial"]))


def test_monai_label_makes_a_label_file_of_a_seg(stand_in, write_seg, monkeypatch):
    from monailabel.datastore.utils import convert

    monkeypatch.setattr(convert, "pydicom_seg", stand_in("pydicom_seg"))
    mask = class_map()
    label = convert.dicom_seg_to_itk_image(str(write_seg(mask, omit_empty_frames=False)), ".nrrd")
    assert_same(SimpleITK.ReadImage(label), expected_image(mask, ORIENTATIONS["axial"]))


def test_overlapping_segments_are_refused(pydicom_seg, write_seg):
    masks = np.zeros((4, 5, 6, 2), np.uint8)
    masks[1:3, 1:3, 2] = 1
    dataset = pydicom.dcmread(write_seg(masks))
    with pytest.raises(ValueError, match=r"cannot be read as one class map.*overlap"):
        pydicom_seg.MultiClassReader().read(dataset)


def test_fractions_are_refused(pydicom_seg, write_seg):
    fractions = np.linspace(0, 1, 4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)
    dataset = pydicom.dcmread(write_seg(fractions, "FRACTIONAL"))
    with pytest.raises(ValueError, match="cannot be read as one class map"):
        pydicom_seg.MultiClassReader().read(dataset)


def test_an_image_that_is_no_seg_is_refused(pydicom_seg, tmp_path):
    (path,) = write_series(tmp_path, np.zeros((2, 2, 1), np.int16))
    with pytest.raises(ValueError, match="cannot be read as one class map"):
        pydicom_seg.MultiClassReader().read(pydicom.dcmread(path))


@pytest.mark.parametrize("name", ["MultiClassWriter", "SegmentReader", "template"])
def test_writing_and_all_else_is_refused_with_a_sentence(pydicom_seg, name):
    with pytest.raises(AttributeError, match=f"stand-in for pydicom-seg has no {name}: it only reads"):
        getattr(pydicom_seg, name)
