"""Labels as DICOM: what is written is what highdicom, pydicom and dciodvfy read."""

import copy
import shutil
import subprocess
from dataclasses import replace
from io import BytesIO

import highdicom as hd
import numpy as np
import pydicom
import pytest
from dicom_series import write_series
from pydicom.dataelem import RawDataElement
from pydicom.sr.codedict import codes
from pydicom.tag import Tag

from lib.export.codes import meaning_of
from lib.export.documents import Annotation, ExportedObject, ExportError, make_documents
from lib.pet import Crop, find_series, read_volume
from lib.pet.lesion_table import lesion_table
from lib.pet.outlines import read_outlines

SHAPE = (14, 12, 9)
NAMES = {
    "ISO_IR 100": "Núñez^José",
    "GB18030": "Wang^XiaoDong=王^小东",
    "ISO_IR 192": "Łoś^Żaneta",
    "\\ISO 2022 IR 87": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "\\ISO 2022 IR 149": "Hong^Gildong=洪^吉洞=홍^길동",
    "": "Muller^Jan",
}
AUTHOR, REGION, IMPRESSION = "Łukasz^Ødegård", "GTV 肺 左 łódź", "右肝代谢增高病灶。"


def crop(*box):
    grid = np.zeros(SHAPE, bool)
    grid[box] = True
    return Crop.from_grid(grid)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """An oblique PET series in SUV: its headers in order, and its volume."""
    folder = tmp_path_factory.mktemp("series")
    stored = np.random.default_rng(5).integers(10, 900, SHAPE).astype(np.int16)
    tilt = np.cos(0.3), np.sin(0.3)
    write_series(folder, stored, slopes=np.linspace(0.01, 0.02, SHAPE[2]), orientation=(1, 0, 0, 0, *tilt))
    (series,) = find_series(folder)
    headers = [pydicom.dcmread(one.path, stop_before_pixels=True) for one in series.frames[0]]
    return headers, read_volume(folder)


@pytest.fixture(scope="module")
def objects():
    """Two lesions that overlap, and an organ."""
    one = crop(np.s_[2:6], np.s_[2:6], np.s_[1:4])
    other = crop(np.s_[4:9], np.s_[3:7], np.s_[3:6])
    organ = crop(np.s_[9:13], np.s_[8:11], np.s_[5:8])
    return [
        ExportedObject(1, "lesion", "2.25.11", one, "SEMIAUTOMATIC", "segpet"),
        ExportedObject(3, "node", "2.25.13", other, "MANUAL", name="hilar"),
        ExportedObject(4, "kidney_left", "2.25.14", organ, "AUTOMATIC", "segpet"),
    ]


@pytest.fixture(scope="module")
def annotation(study, objects):
    headers, volume = study
    table = lesion_table(volume, {one.id: one.mask for one in objects[:2]})
    return Annotation(headers, volume, objects, table, 3, "reader-1", "1.0", 1.0, "Two nodes.\nNo others.")


@pytest.fixture(scope="module")
def documents(annotation):
    return make_documents(annotation)


@pytest.fixture(scope="module")
def negative(study):
    headers, volume = study
    return make_documents(Annotation(headers, volume, [], lesion_table(volume, {}), 4, "", "1.0", 1.0))


def of_abroad(annotation, character_set):
    """A label with texts that only UTF-8 holds all of, on a PET of another character set."""
    return replace(
        annotation,
        sources=[written_in(character_set, source) for source in annotation.sources],
        objects=[replace(one, name=REGION) for one in annotation.objects],
        author=AUTHOR,
        impression=IMPRESSION,
    )


@pytest.fixture(scope="module")
def japanese(annotation):
    return make_documents(of_abroad(annotation, "\\ISO 2022 IR 87"))


def written_in(character_set, source):
    """A header as a scanner writes and a reader reads it in a character set."""
    header, issuer = pydicom.Dataset(), pydicom.Dataset()
    header.update(copy.deepcopy(source))
    header.SpecificCharacterSet = issuer.SpecificCharacterSet = character_set.split("\\")
    header.PatientName = issuer.IssuerOfPatientID = NAMES[character_set]
    issuer.PatientID, issuer.TypeOfPatientID = "7", "TEXT"
    header.OtherPatientNames, header.OtherPatientIDsSequence = [NAMES[character_set], "B^C"], [issuer]
    if not character_set:
        del header.SpecificCharacterSet, issuer.SpecificCharacterSet
    file = BytesIO()
    pydicom.dcmwrite(file, header, implicit_vr=False, little_endian=True)
    file.seek(0)
    return pydicom.dcmread(file, force=True)


def reread(dataset):
    file = BytesIO()
    dataset.save_as(file)
    file.seek(0)
    return pydicom.dcmread(file)


def groups(report):
    """The measurement groups of a report as {tracking UID: {(quantity, derivation): (value, unit)}}."""
    content = hd.sr.srread(BytesIO(bytes_of(report))).content
    found = {}
    for group in [*content.get_volumetric_roi_measurement_groups(), *content.get_image_measurement_groups()]:
        values = {}
        for one in group.get_measurements():
            derived = [
                item.ConceptCodeSequence[0].CodeValue
                for item in one[0].get("ContentSequence", [])
                if item.ConceptNameCodeSequence[0].CodeMeaning == "Derivation"
            ]
            values[one.name.value, *derived] = (one.value, one.unit.value)
        found[str(group.tracking_uid)] = values
    return found


def bytes_of(dataset):
    file = BytesIO()
    dataset.save_as(file)
    return file.getvalue()


def test_a_seg_read_back_is_the_masks_voxel_for_voxel(tmp_path, study, objects, documents):
    documents.segmentation.save_as(tmp_path / "seg.dcm")
    outlines = read_outlines(tmp_path / "seg.dcm", study[1])
    assert [one.name for one in outlines] == ["lesion 1", "hilar", "kidney_left 4"]
    assert all(one.mask.equals(obj.mask) for one, obj in zip(outlines, objects, strict=True))


def test_a_seg_says_truthfully_how_each_mask_was_made(documents):
    segments = reread(documents.segmentation).SegmentSequence
    assert [one.SegmentAlgorithmType for one in segments] == ["SEMIAUTOMATIC", "MANUAL", "AUTOMATIC"]
    assert [one.TrackingUID for one in segments] == ["2.25.11", "2.25.13", "2.25.14"]
    assert "SegmentAlgorithmName" not in segments[1]
    kidney = segments[2].SegmentedPropertyTypeCodeSequence[0]
    assert kidney.CodeValue == codes.SCT.Kidney.value
    assert kidney.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"


def test_objects_that_do_not_overlap_come_back_likewise(tmp_path, study, annotation):
    apart = [annotation.objects[0], annotation.objects[2]]
    make_documents(replace(annotation, objects=apart)).segmentation.save_as(tmp_path / "seg.dcm")
    outlines = read_outlines(tmp_path / "seg.dcm", study[1])
    assert all(one.mask.equals(obj.mask) for one, obj in zip(outlines, apart, strict=True))


@pytest.mark.parametrize(
    ("label", "category", "kind"),
    [
        ("node", "Morphologically Abnormal Structure", "Lesion"),
        ("liver", "Anatomical Structure", "Liver"),
        ("parotid_gland_left", "Anatomical Structure", "Anatomical Structure"),
    ],
)
def test_labels_are_coded_as_what_they_are(label, category, kind):
    meaning = meaning_of(label)
    assert (meaning.category.meaning, meaning.type.meaning) == (category, kind)


def test_a_seg_keeps_the_whole_grid(documents, negative):
    assert int(documents.segmentation.NumberOfFrames) == 3 * SHAPE[2]
    assert int(negative.segmentation.NumberOfFrames) == SHAPE[2]
    assert not negative.segmentation.pixel_array.any()


def test_a_report_s_numbers_are_those_of_the_lesion_table(annotation, documents):
    found = groups(documents.report)
    for row, uid in zip(annotation.table["lesions"], ("2.25.11", "2.25.13"), strict=True):
        numbers = found[uid]
        suv = "g/ml{SUVbw}"
        assert numbers["126401", codes.SCT.Maximum.value] == (pytest.approx(row["suv_max"], rel=1e-9), suv)
        assert numbers["126401", codes.SCT.Mean.value] == (pytest.approx(row["suv_mean"], rel=1e-9), suv)
        assert numbers["126031",] == (pytest.approx(row["suv_peak"], rel=1e-9), suv)
        assert numbers["126032",] == (pytest.approx(row["mtv_ml"], rel=1e-9), "ml")
        assert numbers["126033",] == (pytest.approx(row["tlg_g"], rel=1e-9), "g")
        assert numbers["FERET",] == (pytest.approx(row["feret_mm"], rel=1e-9), "mm")  # no mesh's (IBSI L0JK)
    assert found["2.25.14"] == {}  # an organ is no lesion
    patient = annotation.table["patient"]
    totals = found[annotation.uid("totals")]
    assert totals[codes.SCT.NumberOfLesions.value,] == (2, "1")
    assert totals["126032", codes.SCT.Total.value] == (pytest.approx(patient["tmtv_ml"], rel=1e-9), "ml")


def test_a_negative_study_s_report_has_the_totals_alone(negative):
    ((uid, totals),) = groups(negative.report).items()
    assert uid.startswith("2.25.")
    assert totals[codes.SCT.NumberOfLesions.value,] == (0, "1")
    assert totals["126032", codes.SCT.Total.value] == (0, "ml")


def test_groups_refer_to_their_segments_and_to_the_value_map(documents):
    report = hd.sr.srread(BytesIO(bytes_of(documents.report)))
    referred = [
        (
            one.referenced_segment.referenced_sop_instance_uid,
            one.referenced_segment.referenced_segment_numbers[0],
        )
        for one in report.content.get_volumetric_roi_measurement_groups()
    ]
    assert referred == [(documents.segmentation.SOPInstanceUID, number) for number in (1, 2, 3)]
    assert documents.value_map.SOPInstanceUID in str(documents.report)


def test_the_value_map_turns_stored_values_into_suv(study, documents):
    headers, _ = study
    mapped = documents.value_map.ReferencedImageRealWorldValueMappingSequence
    assert len(mapped) == SHAPE[2]
    for header, one in zip(headers, mapped, strict=True):
        assert one.ReferencedImageSequence[0].ReferencedSOPInstanceUID == header.SOPInstanceUID
        assert one.RealWorldValueMappingSequence[0].RealWorldValueSlope == pytest.approx(header.RescaleSlope)


def test_without_suv_there_is_no_value_map(annotation):
    assert make_documents(replace(annotation, suv_factor=None)).value_map is None


def test_an_accepted_impression_is_in_the_report(documents, negative):
    assert "Two nodes.\nNo others." in [
        str(item.TextValue)
        for section in documents.report.ContentSequence
        for item in section.get("ContentSequence", [])
        if item.ValueType == "TEXT"
    ]
    assert "Impressions" not in str(negative.report)


def test_the_same_version_is_the_same_instances_and_another_one_is_not(annotation):
    first, again = make_documents(annotation), make_documents(annotation)
    later = make_documents(replace(annotation, version=4), first.report)
    assert first.segmentation.SOPInstanceUID == again.segmentation.SOPInstanceUID
    assert first.report.SOPInstanceUID == again.report.SOPInstanceUID
    assert first.segmentation.SOPInstanceUID != later.segmentation.SOPInstanceUID
    assert first.segmentation.SeriesInstanceUID == later.segmentation.SeriesInstanceUID
    (study,) = later.report.PredecessorDocumentsSequence
    named = study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert named == first.report.SOPInstanceUID
    assert int(later.report.InstanceNumber) == 4
    assert [one.TrackingUID for one in later.segmentation.SegmentSequence] == [
        "2.25.11",
        "2.25.13",
        "2.25.14",
    ]


@pytest.mark.parametrize("which", ["documents", "negative", "japanese"])
def test_the_standard_s_checker_finds_no_error(tmp_path, request, which):
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed: apt-get install dicom3tools")
    made = request.getfixturevalue(which)
    for name, dataset in vars(made).items():
        dataset.save_as(tmp_path / f"{name}.dcm")
        checked = subprocess.run(
            ["dciodvfy", tmp_path / f"{name}.dcm"], capture_output=True, text=True, check=False
        )
        errors = [line for line in checked.stderr.splitlines() if line.startswith(("Error", "Abort"))]
        assert errors == [], name


def test_an_author_of_a_windows_domain_is_one_name(annotation):
    named = replace(annotation, author=r"HOSP\jane")
    assert reread(make_documents(named).segmentation).ContentCreatorName == "HOSP/jane^"


@pytest.mark.filterwarnings("error:Failed to encode")
@pytest.mark.parametrize("character_set", NAMES)
def test_names_and_texts_read_the_same_whatever_the_pet_s_character_set(annotation, character_set):
    documents = make_documents(of_abroad(annotation, character_set))
    for name, dataset in vars(documents).items():
        read = reread(dataset)
        assert read.SpecificCharacterSet == "ISO_IR 192", name
        assert read.PatientName == NAMES[character_set], name
        assert read.OtherPatientNames == [NAMES[character_set], "B^C"], name
        assert read.OtherPatientIDsSequence[0].IssuerOfPatientID == NAMES[character_set], name
    segmentation = reread(documents.segmentation)
    assert {(one.SegmentLabel, one.TrackingID) for one in segmentation.SegmentSequence} == {(REGION, REGION)}
    assert segmentation.ContentCreatorName == AUTHOR
    told = [str(one.value) for one in reread(documents.report).iterall()]
    assert {AUTHOR, REGION, IMPRESSION} <= set(told)


def test_the_pet_s_headers_stay_as_they_are(study, annotation):
    source = written_in("GB18030", study[0][0])
    replace(annotation, sources=[source] * SHAPE[2])
    assert source.SpecificCharacterSet == "GB18030"
    assert source.PatientName.encode() == NAMES["GB18030"].encode("gb18030")


def test_a_damaged_value_that_no_document_needs_keeps_nothing_back(annotation):
    source = written_in("GB18030", annotation.sources[0])
    tag = Tag("DoseCalibrationFactor")
    source[tag] = RawDataElement(tag, "FD", 3, b"bad", 0, False, True)
    with pytest.raises(pydicom.errors.BytesLengthException):
        _ = copy.deepcopy(source)[tag]
    make_documents(replace(annotation, sources=[source, *annotation.sources[1:]]))


def test_images_that_are_no_dicom_cannot_go_out(annotation):
    with pytest.raises(ExportError, match="no DICOM PET"):
        replace(annotation, sources=[])
    with pytest.raises(ExportError, match="9 slices"):
        replace(annotation, sources=annotation.sources[:3])


def test_slices_without_a_thickness_get_the_grid_s(annotation):
    sources = [copy.deepcopy(source) for source in annotation.sources]
    sources[0].SliceThickness = None
    for source in sources[1:]:
        del source.SliceThickness
    segmentation = make_documents(replace(annotation, sources=sources)).segmentation
    measures = segmentation.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert measures.SliceThickness == annotation.sources[0].SliceThickness


@pytest.mark.parametrize("spacing", [None, 0, 17])
def test_a_spacing_that_the_positions_contradict_spoils_no_seg(tmp_path, study, annotation, spacing):
    sources = [copy.deepcopy(source) for source in annotation.sources]
    for source in sources:
        source.add_new("SpacingBetweenSlices", "DS", spacing)
    make_documents(replace(annotation, sources=sources)).segmentation.save_as(tmp_path / "seg.dcm")
    outlines = read_outlines(tmp_path / "seg.dcm", study[1])
    assert all(one.mask.equals(obj.mask) for one, obj in zip(outlines, annotation.objects, strict=True))


def test_orientations_that_differ_by_rounding_alone_go_out(annotation):
    sources = [copy.deepcopy(source) for source in annotation.sources]
    sources[3].ImageOrientationPatient[1] = 1e-6
    segmentation = make_documents(replace(annotation, sources=sources)).segmentation
    (plane,) = segmentation.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    assert plane.ImageOrientationPatient == annotation.sources[0].ImageOrientationPatient


def test_a_refusal_names_what_the_headers_lack_and_no_value(annotation):
    bare = pydicom.Dataset()
    bare.SeriesInstanceUID = "2.25.1"
    with pytest.raises(ExportError, match=r"lack .*Rows, SOPClassUID, SOPInstanceUID"):
        make_documents(replace(annotation, sources=[bare] * SHAPE[2]))
    *others, last = annotation.sources
    for keyword in ("FrameOfReferenceUID", "Modality", "PixelSpacing"):
        part, empty = copy.deepcopy(last), copy.deepcopy(last)
        del part[keyword]
        empty[keyword].value = None
        for source in (part, empty):
            with pytest.raises(ExportError, match=f"headers lack {keyword}\\.$"):
                make_documents(replace(annotation, sources=[*others, source]))
    wrong = copy.deepcopy(annotation.sources[0])
    wrong.PatientSex = "SECRET"
    with pytest.raises(ExportError, match="are not as DICOM asks") as refused:
        make_documents(replace(annotation, sources=[wrong, *annotation.sources[1:]]))
    assert "SECRET" not in str(refused.value)


def test_what_a_report_cannot_be_made_of_is_told_without_a_value(annotation, monkeypatch):
    def fails(*_):
        raise ValueError("SECRET")

    monkeypatch.setattr("lib.export.structured_report.make_report", fails)
    with pytest.raises(ExportError, match="are not as DICOM asks") as refused:
        make_documents(annotation)
    assert "SECRET" not in str(refused.value)
