import itertools
import json
import tracemalloc

import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK
from scipy.spatial.transform import Rotation

from lib.pet import VolumeError, read_volume
from lib.pet.image_files import check_image_header, read_grid

AFFINE = np.array([[-4, 0, 0, 100], [0, -5, 0, 90], [0, 0, 3, -700], [0, 0, 0, 1.0]])
OBLIQUE = AFFINE.copy()
OBLIQUE[:3, :3] = Rotation.from_euler("xyz", (20, -35, 50), degrees=True).as_matrix() @ AFFINE[:3, :3]


@pytest.fixture
def array():
    return np.random.default_rng(4).normal(3, 2, (5, 6, 7)).astype(np.float32)


def save_nifti(path, array, affine=AFFINE):
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


def refusal(path, **options):
    with pytest.raises(VolumeError) as caught:
        read_volume(path, **options)
    assert str(caught.value).endswith(".")
    return str(caught.value)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "A.NII.GZ", "some.dots.nii.gz"])
@pytest.mark.parametrize("affine", [AFFINE, OBLIQUE], ids=["straight", "oblique"])
def test_a_nifti_reads_as_written(tmp_path, array, name, affine):
    volume = read_volume(str(save_nifti(tmp_path / name, array, affine)))
    assert np.array_equal(volume.array, array)
    assert np.allclose(volume.affine, affine, atol=1e-4)
    assert volume.unit == "unknown"
    assert volume.array.flags.f_contiguous


def test_nifti_2_and_big_endian_are_read(tmp_path, array):
    nibabel.save(nibabel.Nifti2Image(array, AFFINE), tmp_path / "two.nii")
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(">f4")
    nibabel.save(nibabel.Nifti1Image(array, AFFINE, header), tmp_path / "big.nii")
    for name in ("two.nii", "big.nii"):
        assert np.array_equal(read_volume(tmp_path / name).array, array)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float64])
def test_stored_values_are_scaled_as_the_header_says(tmp_path, dtype):
    stored = np.arange(60).reshape(3, 4, 5).astype(dtype)
    image = nibabel.Nifti1Image(stored, AFFINE)
    image.header.set_slope_inter(0.25, -3)
    nibabel.save(image, tmp_path / "a.nii.gz")
    written = nibabel.load(tmp_path / "a.nii.gz").dataobj.get_unscaled()
    volume = read_volume(tmp_path / "a.nii.gz")
    assert np.allclose(volume.array, written * 0.25 - 3)
    assert len(np.unique(volume.array)) > 10


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd"])
def test_all_48_axis_orders_and_flips_read_to_the_same_world(tmp_path, array, name):
    points = np.array(list(itertools.product(*map(range, array.shape))))
    world = points @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    for order in itertools.permutations(range(3)):
        for flips in itertools.product((False, True), repeat=3):
            turn = np.zeros((4, 4))  # index in the turned array -> index in the original
            turn[3, 3] = 1
            for axis, (source, flip) in enumerate(zip(order, flips, strict=True)):
                turn[source, axis] = -1 if flip else 1
                turn[source, 3] = array.shape[source] - 1 if flip else 0
            turned = np.flip(array.transpose(order), [axis for axis in range(3) if flips[axis]])
            if name == "a.nrrd":
                save_nrrd(tmp_path / name, turned, AFFINE @ turn)
            else:
                save_nifti(tmp_path / name, turned, AFFINE @ turn)
            volume = read_volume(tmp_path / name)
            to_index = np.linalg.inv(volume.affine)
            i, j, k = np.rint(world @ to_index[:3, :3].T + to_index[:3, 3]).astype(int).T
            assert np.array_equal(volume.array[i, j, k], array[tuple(points.T)])


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1000), ("micron", 0.001), ("unknown", 1)])
def test_lengths_are_in_millimetres_whatever_the_header_counts_in(tmp_path, array, unit, factor):
    image = nibabel.Nifti1Image(array, np.diag([2, 2, 2, 1]))
    image.header.set_xyzt_units(unit)
    nibabel.save(image, tmp_path / "a.nii")
    assert read_volume(tmp_path / "a.nii").spacing == pytest.approx((2 * factor,) * 3)


@pytest.mark.parametrize("shape", [(5, 6, 7, 1), (5, 6, 7, 1, 1), (1, 1, 1), (2, 2, 2), (5, 6, 2, 1)])
def test_further_axes_of_length_one_and_thin_images_are_read(tmp_path, shape):
    constant = np.full(shape, 2.5, np.float32)
    volume = read_volume(save_nifti(tmp_path / "a.nii.gz", constant))
    assert volume.shape == shape[:3]
    assert (volume.array == 2.5).all()


def test_frames_must_be_chosen_before(tmp_path):
    path = save_nifti(tmp_path / "a.nii.gz", np.zeros((5, 6, 7, 4), np.float32))
    assert "4 frames or channels; choose one" in refusal(path)


def test_an_image_of_two_axes_is_refused(tmp_path):
    assert "2 axes" in refusal(save_nifti(tmp_path / "a.nii", np.zeros((5, 6), np.float32)))


@pytest.mark.parametrize(
    "dtype", [np.complex64, [("R", "u1"), ("G", "u1"), ("B", "u1")]], ids=["complex", "RGB"]
)
def test_complex_and_colour_are_refused(tmp_path, dtype):
    assert "complex or in colour" in refusal(save_nifti(tmp_path / "a.nii.gz", np.zeros((3, 4, 5), dtype)))


def test_a_nan_is_kept_and_an_infinity_becomes_one(tmp_path, array):
    array[0, 0, 0], array[4, 5, 6] = np.nan, np.inf
    volume = read_volume(save_nifti(tmp_path / "a.nii", array))
    assert np.argwhere(np.isnan(volume.array)).tolist() == [[0, 0, 0], [4, 5, 6]]


def test_a_missing_file_is_named(tmp_path):
    assert "no file or folder a.nii" in refusal(tmp_path / "a.nii")
    assert "no file or folder" in refusal(tmp_path / "nowhere")


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    assert "must end in .nii" in refusal(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.nhdr"])
@pytest.mark.parametrize("content", [b"", b"hello", b"\x1f\x8b\x08\x00", b"NRRD0004\n", b"\0" * 400])
def test_a_file_that_is_no_image_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert name in refusal(tmp_path / name)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd"])
def test_a_file_cut_anywhere_is_refused(tmp_path, array, name):
    path = tmp_path / name
    (save_nrrd if name == "a.nrrd" else save_nifti)(path, array, AFFINE)
    whole = path.read_bytes()
    # without its last 8 bytes, its checksum, a compressed NRRD still has every voxel
    for length in range(0, len(whole) - 8, 41):
        path.write_bytes(whole[:length])
        assert name in refusal(path)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd"])
def test_a_damaged_byte_among_compressed_voxels_is_refused(tmp_path, array, name):
    path = tmp_path / name
    (save_nrrd if name == "a.nrrd" else save_nifti)(path, array, AFFINE)
    whole = path.read_bytes()
    for at in range(len(whole) // 2, len(whole), 13):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :])
        assert "damaged" in refusal(path)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_header_that_promises_terabytes_is_refused_at_once(tmp_path, array, name):
    image = nibabel.Nifti1Image(array, AFFINE)
    content = bytearray(image.to_bytes())
    content[42:48] = np.array([30000, 30000, 3000], "<i2").tobytes()  # dim[1..3]
    with nibabel.openers.Opener(tmp_path / name, "wb") as file:
        file.write(bytes(content))
    tracemalloc.start()
    try:
        assert "at most 512 million" in refusal(tmp_path / name)
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_an_int16_study_is_read_within_twice_the_memory_of_its_result(tmp_path, name):
    shape = (256, 256, 300)
    stored = np.broadcast_to(np.arange(shape[2], dtype=np.int16), shape)
    image = nibabel.Nifti1Image(stored, AFFINE)
    image.header.set_slope_inter(0.5, 0)
    nibabel.save(image, tmp_path / name)
    del image, stored
    tracemalloc.start()
    try:
        volume = read_volume(tmp_path / name)
        assert tracemalloc.get_traced_memory()[1] < 2 * volume.array.nbytes
    finally:
        tracemalloc.stop()
    assert np.array_equal(np.unique(volume.array[::50, ::50]), np.arange(shape[2]) * 0.5)


@pytest.mark.parametrize(
    ("stated", "unit"),
    [
        ("Bq/mL", "Bq/ml"),
        ("BQML", "Bq/ml"),
        ("bq / ml", "Bq/ml"),
        ("g/mL", "SUVbw"),
        ("SUVbw", "SUVbw"),
        ("g/ml{SUVbw}", "SUVbw"),
        ("kBq/mL", "unknown"),
        ("g/ml{SUVlbm(Janma)}", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
        (["Bq/mL"], "unknown"),
    ],
)
@pytest.mark.parametrize("name", ["sub-01_pet.nii.gz", "sub-01_pet.nii"])
def test_a_sidecar_states_the_unit(tmp_path, array, name, stated, unit):
    path = save_nifti(tmp_path / name, array)
    (tmp_path / "sub-01_pet.json").write_text(json.dumps({"Units": stated, "TracerName": "FDG"}))
    assert read_volume(path).unit == unit
    assert read_volume(path, unit="SUVbw").unit == "SUVbw"
    assert read_volume(path, unit="unknown").unit == "unknown"


def test_a_sidecar_that_states_no_unit_leaves_it_unknown(tmp_path, array):
    path = save_nifti(tmp_path / "a.nii", array)
    for content in ({}, [], "text", None):
        (tmp_path / "a.json").write_text(json.dumps(content))
        assert read_volume(path).unit == "unknown"


@pytest.mark.parametrize("stated", [{"Units": "g/mL"}, {}])
@pytest.mark.parametrize("unit", [None, "SUVbw"])
def test_a_sidecar_says_which_tracer_it_was_whoever_says_the_unit(tmp_path, array, unit, stated):
    save_nifti(tmp_path / "image.nii.gz", array)
    said = {**stated, "TracerName": "FDG", "TracerRadionuclide": "F18"}
    (tmp_path / "image.json").write_text(json.dumps(said))
    preflight = read_volume(tmp_path / "image.nii.gz", unit).preflight
    assert (preflight.tracer, preflight.nuclide) == ("FDG", "F-18")


def test_a_sidecar_that_is_not_json_is_refused(tmp_path, array):
    path = save_nifti(tmp_path / "a.nii", array)
    for content in (b"{Units: SUV", b"\xff\xfe\x00", b"[" * 100000):
        (tmp_path / "a.json").write_bytes(content)
        assert "a.json is not JSON" in refusal(path)


def test_the_unit_may_be_spelt_as_in_a_sidecar(tmp_path, array):
    path = save_nifti(tmp_path / "a.nii", array)
    assert read_volume(path, unit="g/ml").unit == "SUVbw"
    assert read_volume(path, unit="BQML").unit == "Bq/ml"


def test_a_unit_that_is_none_is_refused(tmp_path, array):
    assert "SUVbw, Bq/ml, unknown" in refusal(save_nifti(tmp_path / "a.nii", array), unit="HU")


def save_nrrd(path, array, affine=AFFINE, **header):
    lps = np.diag([-1, -1, 1, 1]) @ affine
    basic = {
        "space": "left-posterior-superior",
        "space directions": lps[:3, :3].T,
        "space origin": lps[:3, 3],
    }
    nrrd.write(str(path), array, {**basic, **header})
    return path


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2", "ascii"])
@pytest.mark.parametrize("affine", [AFFINE, OBLIQUE], ids=["straight", "oblique"])
def test_a_nrrd_reads_as_written(tmp_path, array, encoding, affine):
    volume = read_volume(save_nrrd(tmp_path / "a.nrrd", array, affine, encoding=encoding))
    assert np.allclose(volume.array, array, rtol=1e-6)
    assert np.allclose(volume.affine, affine)
    assert volume.array.flags.f_contiguous


@pytest.mark.parametrize("name", ["a.nrrd", "a.nhdr", "a.nii.gz"])
def test_an_image_of_itk_reads_at_the_same_place(tmp_path, array, name):
    image = SimpleITK.GetImageFromArray(array.transpose(2, 1, 0))
    image.SetOrigin((-100, -90, -700))
    image.SetSpacing((4, 5, 3))
    image.SetDirection(Rotation.from_euler("xyz", (20, -35, 50), degrees=True).as_matrix().ravel())
    SimpleITK.WriteImage(image, tmp_path / name)
    volume = read_volume(tmp_path / name)
    assert np.array_equal(volume.array, array)
    for index in [(0, 0, 0), (4, 5, 6), (1, 3, 2)]:
        left, posterior, superior = image.TransformIndexToPhysicalPoint(index)
        place = volume.affine @ [*index, 1]
        assert place[:3] == pytest.approx((-left, -posterior, superior), abs=1e-3)


def test_the_named_spaces_of_nrrd_are_one_world(tmp_path, array):
    for space, signs in [("RAS", (1, 1, 1)), ("left-anterior-superior", (-1, 1, 1)), ("LPS", (-1, -1, 1))]:
        axes = np.diag([*signs, 1]) @ OBLIQUE
        header = {"space": space, "space directions": axes[:3, :3].T, "space origin": axes[:3, 3]}
        volume = read_volume(save_nrrd(tmp_path / "a.nrrd", array, **header))
        assert np.allclose(volume.affine, OBLIQUE)


@pytest.mark.parametrize(
    ("unit", "millimetres"),
    [
        ("m", 1000),
        ("cm", 10),
        ("Centimeters", 10),
        ("mm", 1),
        ("millimeters", 1),
        ("millimetre", 1),
        ("um", 0.001),
        ("micrometers", 0.001),
        ("", 1),
    ],
)
def test_a_nrrd_has_the_units_that_it_states(tmp_path, array, unit, millimetres):
    stated = AFFINE.copy()
    stated[:3] /= millimetres
    path = save_nrrd(tmp_path / "a.nrrd", array, stated, **{"space units": [unit] * 3})
    assert np.allclose(read_volume(path).affine, AFFINE)
    assert np.allclose(read_grid(path)[1], AFFINE)


@pytest.mark.parametrize("units", [["in"] * 3, ["mm"] * 2])
def test_a_nrrd_in_other_units_is_refused(tmp_path, array, units):
    path = save_nrrd(tmp_path / "a.nrrd", array, **{"space units": units})
    assert "a.nrrd states 'space units' other than m, cm, mm or um" in refusal(path)


def test_a_nrrd_that_does_not_say_where_its_axes_point_is_refused(tmp_path, array):
    nrrd.write(str(tmp_path / "a.nrrd"), array, {"spacings": [1.0, 1.0, 1.0]})
    assert "where its axes point" in refusal(tmp_path / "a.nrrd")


def test_the_channel_axis_of_a_nrrd_is_dropped_where_it_has_one_and_refused_where_more(tmp_path, array):
    lps = np.diag([-1, -1, 1, 1]) @ AFFINE
    directions = np.vstack([np.full(3, np.nan), lps[:3, :3].T])
    header = {"space directions": directions, "kinds": ["list", "domain", "domain", "domain"]}
    volume = read_volume(save_nrrd(tmp_path / "a.nrrd", array[np.newaxis], **header))
    assert np.array_equal(volume.array, array)
    assert np.allclose(volume.affine, AFFINE)
    assert "2 frames" in refusal(save_nrrd(tmp_path / "b.nrrd", np.stack([array, array]), **header))


def test_a_detached_nrrd_reads_its_voxels_only_from_its_own_folder(tmp_path, array):
    (tmp_path / "own").mkdir()
    path = tmp_path / "own" / "a.nhdr"
    lps = np.diag([-1, -1, 1, 1]) @ AFFINE
    header = {
        "space": "LPS",
        "space directions": lps[:3, :3].T,
        "space origin": lps[:3, 3],
        "encoding": "raw",
    }
    nrrd.write(str(path), array, {**header, "encoding": "raw"}, detached_header=True)
    assert np.array_equal(read_volume(path).array, array)
    (tmp_path / "own" / "a.raw").rename(tmp_path / "secret.raw")
    for elsewhere in (tmp_path / "secret.raw", "../secret.raw"):
        path.write_text(path.read_text().replace("data file: a.raw", f"data file: {elsewhere}"))
        assert "another folder" in refusal(path)
        path.write_text(path.read_text().replace(str(elsewhere), "a.raw"))
    assert "a.nhdr cannot be read" in refusal(path)
    (tmp_path / "own" / "a.raw").symlink_to(tmp_path / "secret.raw")
    assert np.array_equal(read_volume(path).array, array)


def test_a_header_alone_tells_what_cannot_be_read(tmp_path, array):
    check_image_header(save_nifti(tmp_path / "good.nii.gz", array))
    (tmp_path / "text.nii").write_text("no image")
    save_nifti(tmp_path / "flat.nii", array[:, :, 0])
    save_nifti(tmp_path / "frames.nii", np.stack([array, array], axis=-1))
    nrrd.write(str(tmp_path / "nowhere.nrrd"), array)
    save_nrrd(tmp_path / "good.nrrd", array)
    check_image_header(tmp_path / "good.nrrd")
    for name, said in {
        "text.nii": "cannot be read",
        "flat.nii": "2 axes",
        "frames.nii": "2 frames",
        "nowhere.nrrd": "where its axes point",
        "absent.nii": "There is no file",
        "notes.txt": "is no image file",
    }.items():
        with pytest.raises(VolumeError, match=said):
            check_image_header(tmp_path / name)
