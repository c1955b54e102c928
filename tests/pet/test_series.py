import numpy as np
import pytest
from dicom_series import (
    PATIENT,
    UID_PREFIX,
    both,
    in_study,
    scan_header,
    set_or_delete,
    write_enhanced,
    write_series,
)
from pydicom.uid import CTImageStorage, LegacyConvertedEnhancedPETImageStorage
from scipy.spatial.transform import Rotation

from lib.pet import VolumeError, choose, find_ct, find_series, read_ct, read_series, read_volume

SUV = 70_000 / (370e6 * 2 ** (-3600 / 6586.2))


@pytest.fixture
def stored():
    return np.random.default_rng(2).integers(0, 30_000, (5, 6, 7)).astype(np.int16)


def tags(**values):
    """Return an edit that sets elements, or deletes those that are None."""

    def edit(k, dataset):
        for name, value in values.items():
            set_or_delete(dataset, name, value)

    return edit


def refusal(folder, **wish):
    with pytest.raises(VolumeError) as caught:
        read_volume(folder, **wish)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert not any(word in sentence for word in (*PATIENT, UID_PREFIX, "Meier", "4711"))
    return sentence


def write_frames(folder, stored, *edits, kind="DYNAMIC"):
    """Write a series of three frames, 1, 2 and 3 times the values, in no order of files."""
    for frame in (2, 0, 1):
        write_series(
            folder,
            (stored // 3 * (frame + 1)).astype(np.int16),
            edit=both(
                scan_header(), in_study("5"), tags(SeriesType=[kind, "IMAGE"]), *(e(frame) for e in edits)
            ),
        )


def test_activity_is_read_as_suv(stored, tmp_path):
    write_series(tmp_path, stored, slopes=[0.5] * 7, edit=scan_header())
    volume = read_volume(tmp_path)
    assert volume.unit == "SUVbw"
    assert np.allclose(volume.array, stored * 0.5 * SUV, rtol=1e-6)
    assert volume.preflight.uptake_minutes == pytest.approx(60)
    assert volume.preflight.factors["SUVbw"] == 1
    assert volume.preflight.factors["SUVbsa"] == pytest.approx(71.84 * 70**0.425 * 175**0.725 / 70_000)


@pytest.mark.parametrize("unit", ["Bq/ml", "unknown"])
def test_activity_stays_what_it_is_on_demand(stored, tmp_path, unit):
    write_series(tmp_path, stored, edit=scan_header())
    volume = read_volume(tmp_path, unit=unit)
    assert volume.unit == unit
    assert np.array_equal(volume.array, stored)


def test_without_a_weight_numbers_are_activity_and_the_preflight_says_why(stored, tmp_path):
    write_series(tmp_path, stored, edit=scan_header(PatientWeight=None))
    volume = read_volume(tmp_path)
    assert volume.unit == "Bq/ml"
    assert np.array_equal(volume.array, stored)
    assert volume.preflight.sentence == "Numbers are in Bq/ml, not SUV. The header holds no patient weight."
    assert not volume.preflight.weight_known
    assert "SUV cannot be computed: The header holds no patient weight" in refusal(tmp_path, unit="SUVbw")


def test_images_that_differ_in_what_suv_depends_on_are_read_without(stored, tmp_path):
    def edit(k, dataset):
        scan_header(PatientWeight=70 + k // 6)(k, dataset)

    write_series(tmp_path, stored, edit=edit)
    volume = read_volume(tmp_path)
    assert volume.unit == "Bq/ml"
    assert "weight" in volume.preflight.sentence


def test_folders_in_the_folder_are_searched(stored, tmp_path):
    write_series(tmp_path / "a" / "b", stored, edit=in_study("1"))
    write_series(tmp_path / "c", stored[:, :, :3], edit=in_study("2"))
    assert [one.slice_count for one in find_series(tmp_path)] == [7, 3]


@pytest.mark.parametrize(
    ("better", "worse", "because"),
    [
        ({}, {"CorrectedImage": ["NORM", "DECY"]}, "it is attenuation corrected"),
        ({}, {"SeriesType": ["DYNAMIC", "IMAGE"]}, "it is static"),
        ({}, {"Units": "PROPCPS"}, "SUV can be computed from it"),
        ({"AcquisitionTime": "110000"}, {}, "it was acquired later"),
        ({"PixelSpacing": [3, 3]}, {"PixelSpacing": [4, 4]}, "its voxels are smaller"),
        ({"SeriesNumber": 3}, {"SeriesNumber": 4}, "its series number is lower"),
        ({}, {"SeriesType": ["STATIC", "REPROJECTION"]}, "it holds slices, not projections"),
    ],
)
def test_the_default_choice_is_explained_and_can_be_overruled(stored, tmp_path, better, worse, because):
    for name, changes, values in (("2", better, stored), ("1", worse, stored // 2)):
        header = scan_header(**{key: one for key, one in changes.items() if key not in ("SeriesType",)})
        write_series(tmp_path, values, edit=both(in_study(name), header, tags(**changes)))
    series = find_series(tmp_path)
    chosen, frame, reason = choose(series)
    assert chosen.uid == UID_PREFIX + "2"
    assert frame == 0
    assert reason.startswith("Of 2 PET series")
    assert reason.endswith(f"is read, because {because}.")
    volume = read_volume(tmp_path, unit="unknown")
    assert np.array_equal(volume.array, stored)
    assert volume.preflight.choice == reason
    for wish in (UID_PREFIX + "1", next(at for at, one in enumerate(series) if one.uid.endswith(".1"))):
        other = read_volume(tmp_path, unit="unknown", series=wish)
        assert np.array_equal(other.array, stored // 2)
        assert other.preflight.choice == ""


def test_more_of_the_body_is_chosen_before_less(stored, tmp_path):
    write_series(tmp_path, stored[:, :, :3], edit=both(in_study("1"), scan_header()))
    write_series(tmp_path, stored, edit=both(in_study("2"), scan_header()))
    assert "covers more of the body" in choose(find_series(tmp_path)).reason
    assert read_volume(tmp_path).shape == stored.shape


def test_one_series_needs_no_reason(stored, tmp_path):
    write_series(tmp_path, stored)
    assert choose(find_series(tmp_path)).reason == ""


def test_a_series_that_is_not_corrected_for_attenuation_is_read_without_suv(stored, tmp_path):
    write_series(tmp_path, stored, edit=scan_header(CorrectedImage=["NORM", "DECY"]))
    volume = read_volume(tmp_path)
    assert volume.unit == "Bq/ml"
    assert volume.preflight.attenuation_corrected is False
    assert "not attenuation corrected" in volume.preflight.sentence


def test_two_reconstructions_are_described(stored, tmp_path):
    for name, method in (("1", "OSEM3D 2i21s"), ("2", "PSF+TOF 3i21s")):
        header = both(in_study(name, number=int(name)), scan_header(), tags(ReconstructionMethod=method))
        write_series(tmp_path, stored, edit=header)
    first, second = map(str, find_series(tmp_path))
    assert "reconstruction OSEM3D 2i21s" in first
    assert second == (
        "whole body, attenuation corrected, reconstruction PSF+TOF 3i21s, F-18 FDG, 60 min after injection, "
        "7 slices"
    )


@pytest.mark.parametrize(
    "when",
    [
        lambda frame: tags(AcquisitionTime=f"09{frame:02}00"),
        lambda frame: tags(FrameReferenceTime=frame * 1000.5),
        lambda frame: lambda k, dataset: setattr(dataset, "ImageIndex", frame * 7 + k + 1),
        lambda frame: tags(TemporalPositionIdentifier=frame + 1),
    ],
    ids=["acquisition", "reference", "index", "temporal"],
)
def test_of_a_dynamic_series_the_last_frame_is_read_unless_another_is_chosen(stored, tmp_path, when):
    write_frames(tmp_path, stored, when)
    volume = read_volume(tmp_path, unit="Bq/ml")
    assert np.array_equal(volume.array, stored // 3 * 3)
    assert volume.preflight.choice == "Of its 3 dynamic frames the last is read."
    assert (volume.preflight.frames, volume.preflight.frame) == (3, 2)
    for frame in range(3):
        assert np.array_equal(read_volume(tmp_path, "Bq/ml", frame=frame).array, stored // 3 * (frame + 1))
    assert "no frame 3; the series has 3" in refusal(tmp_path, frame=3)
    assert "no frame -1" in refusal(tmp_path, frame=-1)


def test_frames_of_a_dynamic_series_share_the_time_that_decay_is_corrected_to(stored, tmp_path):
    write_frames(tmp_path, stored, lambda frame: tags(AcquisitionTime=f"09{20 * frame:02}00"))
    assert read_volume(tmp_path, frame=2).array == pytest.approx(stored // 3 * 3 * SUV, rel=1e-6)


def test_gates_are_told_apart_by_their_place_in_the_cycle(stored, tmp_path):
    write_frames(tmp_path, stored, lambda frame: tags(TriggerTime=frame * 125), kind="GATED")
    assert np.array_equal(read_volume(tmp_path, "Bq/ml", frame=1).array, stored // 3 * 2)
    assert "Of its 3 gated frames the last" in read_volume(tmp_path).preflight.choice


@pytest.mark.parametrize(("tag", "kind"), [("NumberOfTimeSlices", "dynamic"), ("NumberOfTimeSlots", "gated")])
def test_a_count_of_frames_tells_the_kind_where_the_series_type_does_not(stored, tmp_path, tag, kind):
    edits = (lambda frame: tags(**{tag: 3}), lambda frame: tags(AcquisitionNumber=frame))
    write_frames(tmp_path, stored, *edits, kind="WHOLE BODY")
    volume = read_volume(tmp_path, "Bq/ml", frame=1)
    assert volume.preflight.kind == kind
    assert np.array_equal(volume.array, stored // 3 * 2)


def test_frames_that_nothing_tells_apart_are_refused(stored, tmp_path):
    write_frames(tmp_path, stored)
    assert "does not say which slice belongs to which frame" in refusal(tmp_path)


def test_a_dynamic_series_that_lacks_a_slice_is_refused(stored, tmp_path):
    write_frames(tmp_path, stored, lambda frame: tags(AcquisitionTime=f"09{frame:02}00"))
    next(tmp_path.iterdir()).unlink()
    assert "2 frames at some slice positions, 3 at others" in refusal(tmp_path)


def test_several_patients_are_refused_unless_a_series_is_chosen(stored, tmp_path):
    write_series(tmp_path, stored, edit=in_study("1"))
    write_series(tmp_path, stored, edit=both(in_study("2"), tags(PatientID="ANOTHER")))
    assert "2 PET series of 2 patients" in refusal(tmp_path)
    assert read_volume(tmp_path, series=UID_PREFIX + "2").shape == stored.shape


def test_a_series_of_several_patients_is_refused(stored, tmp_path):
    def edit(k, dataset):
        dataset.PatientID = "ONE" if k else "TWO"

    write_series(tmp_path, stored, edit=edit)
    assert "mixes images of several patients" in refusal(tmp_path)


def test_a_series_that_is_not_there_is_refused(stored, tmp_path):
    write_series(tmp_path, stored)
    for wish in (1, -1, "7", "1.2.3", ""):
        assert "no such PET series; the folder holds 1" in refusal(tmp_path, series=wish)


def test_a_damaged_series_is_not_replaced_by_a_lesser_one_silently(stored, tmp_path):
    write_series(tmp_path, stored, edit=both(in_study("1"), scan_header()))[3].unlink()
    write_series(tmp_path, stored, edit=both(in_study("2"), scan_header(CorrectedImage=["DECY"])))
    assert "a slice may be missing" in refusal(tmp_path)
    assert read_volume(tmp_path, series=UID_PREFIX + "2").unit == "Bq/ml"
    faulty, good = find_series(tmp_path)
    assert not good.fault
    with pytest.raises(VolumeError, match="a slice may be missing"):
        read_series(faulty)


def test_a_series_that_lacks_a_tag_is_not_replaced_by_a_dynamic_one_silently(stored, tmp_path):
    header = both(in_study("1"), scan_header(), lambda k, one: k == 2 and set_or_delete(one, "Rows", None))
    write_series(tmp_path, stored, edit=header)
    write_frames(tmp_path, stored, lambda frame: tags(TriggerTime=frame))
    assert "lacks Rows" in refusal(tmp_path)


def test_only_projections_are_refused(stored, tmp_path):
    write_series(tmp_path, stored, edit=tags(SeriesType=["WHOLE BODY", "REPROJECTION"]))
    assert "only projections" in refusal(tmp_path)


@pytest.mark.parametrize("wish", [{"series": 0}, {"frame": 0}])
def test_other_files_have_no_series_to_choose(tmp_path, wish):
    (tmp_path / "a.nii").touch()
    assert "of a DICOM folder only" in refusal(tmp_path / "a.nii", **wish)


def test_no_description_names_the_patient(stored, tmp_path):
    revealing = tags(
        SeriesDescription="Meier PET",
        ReconstructionMethod="for Anna Meier",
        PatientBirthDate="19500102",
    )
    write_series(
        tmp_path, stored, edit=both(in_study("1"), scan_header(Radiopharmaceutical="SECRET-4711"), revealing)
    )
    series = find_series(tmp_path)
    told = (
        f"{series} {series[0]} {read_volume(tmp_path).preflight} {read_volume(tmp_path).preflight.as_dict()}"
    )
    assert [word for word in ("Meier", "Anna", "4711", "1950", UID_PREFIX) if word in told] == []


def test_an_enhanced_image_is_read(stored, tmp_path):
    path = write_enhanced(tmp_path / "a.dcm", stored)
    volume = read_volume(tmp_path)
    assert volume.unit == "SUVbw"
    assert np.allclose(volume.array, stored * 0.5 * SUV, rtol=1e-6)
    assert volume.spacing == pytest.approx((4, 5, 3))
    assert np.allclose(volume.affine[:3, 3], (10, 20, -30))
    assert volume.preflight.nuclide == "F-18"
    path.rename(tmp_path / "b")
    assert read_volume(tmp_path).digest == volume.digest


def test_an_enhanced_image_of_several_frames_in_time_is_dynamic(stored, tmp_path):
    times = np.stack([stored // 3, stored // 3 * 2, stored // 3 * 3], axis=-1)
    write_enhanced(tmp_path / "a.dcm", times)
    (series,) = find_series(tmp_path)
    assert (series.kind, len(series.frames)) == ("dynamic", 3)
    for frame in range(3):
        assert np.array_equal(read_volume(tmp_path, "Bq/ml", frame=frame).array, times[..., frame] * 0.5)


def test_an_enhanced_image_may_have_its_own_slope_a_frame(stored, tmp_path):
    def rescaled(index, group):
        transform = group.PixelValueTransformationSequence = [type(group)()]
        transform[0].RescaleSlope, transform[0].RescaleIntercept = index + 1, 0

    write_enhanced(tmp_path / "a.dcm", stored, frames=rescaled, edit=tags(Units="BQML"))
    assert np.array_equal(read_volume(tmp_path, "Bq/ml").array, stored * np.arange(1.0, 8))


def test_what_a_conversion_to_enhanced_form_kept_of_the_single_images_counts(stored, tmp_path):
    def convert(k, dataset):
        dataset.SOPClassUID = LegacyConvertedEnhancedPETImageStorage
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        for name in ("AttenuationCorrected", "DecayCorrected", "DecayCorrectionDateTime"):
            delattr(dataset, name)
        shared = dataset.SharedFunctionalGroupsSequence[0]
        del shared.PixelValueTransformationSequence[0].RescaleType
        kept = type(shared)()
        kept.Units, kept.DecayCorrection, kept.CorrectedImage = "BQML", "START", ["ATTN", "DECY"]
        kept.SeriesTime = kept.AcquisitionTime = "090000"
        shared.UnassignedSharedConvertedAttributesSequence = [kept]

    write_enhanced(tmp_path / "a.dcm", stored, edit=convert)
    assert np.allclose(read_volume(tmp_path).array, stored * 0.5 * SUV, rtol=1e-6)


@pytest.mark.parametrize(("code", "unit"), [("Bq/ml", "Bq/ml"), ("{SUVbw}g/ml", "SUVbw"), ("1", "Bq/ml")])
def test_real_world_values_of_an_enhanced_image_are_preferred_where_their_unit_is_known(
    stored, tmp_path, code, unit
):
    def edit(k, dataset):
        shared = dataset.SharedFunctionalGroupsSequence[0]
        mapping, units = type(shared)(), type(shared)()
        mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept = 0.25, 1
        units.CodeValue, units.CodingSchemeDesignator = code, "UCUM"
        mapping.MeasurementUnitsCodeSequence = [units]
        shared.RealWorldValueMappingSequence = [mapping]
        dataset.PatientWeight = None

    write_enhanced(tmp_path / "a.dcm", stored, edit=edit)
    volume = read_volume(tmp_path)
    assert volume.unit == unit
    assert np.allclose(volume.array, stored * 0.5 if code == "1" else stored * 0.25 + 1)


def test_an_enhanced_image_not_corrected_for_attenuation_is_said_to_be(stored, tmp_path):
    write_enhanced(tmp_path / "a.dcm", stored, edit=tags(AttenuationCorrected="NO"))
    assert "not attenuation corrected" in read_volume(tmp_path).preflight.sentence


def test_an_enhanced_image_that_promises_more_frames_than_it_describes_is_refused(stored, tmp_path):
    write_enhanced(tmp_path / "a.dcm", stored, edit=tags(NumberOfFrames=9))
    assert "damaged" in refusal(tmp_path)


def write_ct(
    folder, function, *edits, spacing=(2, 2, 2), shape=(40, 40, 40), origin=(-30, -30, -50), turn=None
):
    """Write a CT whose HU are a function of LPS mm."""
    turn = np.eye(3) if turn is None else turn
    index = np.indices(shape).reshape(3, -1)
    place = turn @ (index * np.array(spacing)[:, np.newaxis]) + np.array(origin)[:, np.newaxis]
    values = np.rint(function(*place)).reshape(shape).astype(np.int16) + 1024
    ct = tags(RescaleIntercept=-1024, Units=None, Modality="CT")

    def kind(k, dataset):
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage

    orientation = turn[:, :2].T.ravel()
    write_series(
        folder, values, spacing=spacing, origin=origin, orientation=orientation, edit=both(ct, kind, *edits)
    )


@pytest.mark.parametrize("turn", [None, Rotation.from_euler("xyz", (5, -4, 10), degrees=True).as_matrix()])
def test_a_ct_of_the_same_frame_of_reference_is_resampled_to_the_pet(stored, tmp_path, turn):
    write_series(tmp_path / "pet", stored, edit=both(in_study("1"), scan_header()))
    write_ct(tmp_path / "ct", lambda x, y, z: 3 * x - 2 * y + 5 * z, in_study("2"), turn=turn)
    (series,) = find_series(tmp_path)
    ct = find_ct(series)
    assert ct.uid == UID_PREFIX + "2"
    volume = read_volume(tmp_path)
    assert volume.preflight.ct
    resampled = read_ct(ct, volume)
    assert resampled.shape == volume.shape
    i, j, k = np.indices(volume.shape)
    expected = 3 * (-10 + 4.0 * i) - 2 * (-20 + 5.0 * j) + 5 * (-30 + 3.0 * k)
    inside = resampled > -1000
    assert inside.mean() > 0.8
    assert abs(resampled - expected)[inside].max() < 2


def test_outside_the_ct_there_is_air(stored, tmp_path):
    write_series(tmp_path, stored, edit=in_study("1"))
    write_ct(tmp_path, lambda x, y, z: 0 * x, in_study("2"), origin=(500, 500, 500))
    (series,) = find_series(tmp_path)
    assert (read_ct(find_ct(series), read_volume(tmp_path)) == -1024).all()


def test_no_other_ct_is_offered(stored, tmp_path):
    write_series(tmp_path / "pet", stored, edit=in_study("1"))
    write_ct(tmp_path / "pet", lambda x, y, z: x, in_study("2", frame=UID_PREFIX + "9"), shape=(4, 4, 4))
    write_ct(
        tmp_path / "pet",
        lambda x, y, z: x,
        in_study("3"),
        tags(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]),
    )
    write_ct(tmp_path / "elsewhere", lambda x, y, z: x, in_study("4"), shape=(4, 4, 4))
    (series,) = find_series(tmp_path / "pet")
    assert find_ct(series) is None
    assert not read_volume(tmp_path / "pet").preflight.ct
    assert find_ct(series, tmp_path / "elsewhere").uid == UID_PREFIX + "4"
