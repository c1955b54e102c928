import numpy as np
import pytest
from dicom_series import (
    PATIENT,
    UID_PREFIX,
    both,
    in_study,
    scan_header,
    set_or_delete,
    tags,
    write_frames,
    write_series,
)

from lib.pet import VolumeError, choose, find_series, read_series, read_volume

SUV = 70_000 / (370e6 * 2 ** (-3600 / 6586.2))


@pytest.fixture
def stored():
    return np.random.default_rng(2).integers(0, 30_000, (5, 6, 7)).astype(np.int16)


def refusal(folder, **wish):
    with pytest.raises(VolumeError) as caught:
        read_volume(folder, **wish)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert not any(word in sentence for word in (*PATIENT, UID_PREFIX, "Meier", "4711"))
    return sentence


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


def test_the_uptake_time_of_a_frame_is_that_at_its_own_start(stored, tmp_path):
    write_frames(tmp_path, stored, lambda frame: tags(AcquisitionTime=f"09{20 * frame:02}00"))
    uptake = [read_volume(tmp_path, frame=frame).preflight.uptake_minutes for frame in range(3)]
    assert uptake == [60, 80, 100]
    assert "60 min after injection, 3 frames" in str(find_series(tmp_path)[0])


def test_a_frame_that_began_before_the_injection_has_no_uptake_time(stored, tmp_path):
    later = scan_header(RadiopharmaceuticalStartTime="090100")
    write_frames(tmp_path, stored, lambda frame: both(later, tags(AcquisitionTime=f"09{20 * frame:02}00")))
    uptake = [read_volume(tmp_path, frame=frame).preflight.uptake_minutes for frame in range(3)]
    assert uptake == [None, 19, 39]
    assert "after injection" not in str(find_series(tmp_path)[0])


def test_frames_that_share_a_start_have_no_uptake_time_but_the_first(stored, tmp_path):
    write_frames(tmp_path, stored, lambda frame: tags(FrameReferenceTime=frame * 1000.5))
    uptake = [read_volume(tmp_path, frame=frame).preflight.uptake_minutes for frame in range(3)]
    assert uptake == [60, None, None]


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
