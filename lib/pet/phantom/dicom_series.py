"""A phantom as DICOM: a series of PET Image Storage (PS3.3 A.21) of a patient who plainly never was."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage, generate_uid

from lib.pet.dicom_image import decimal, set_pixels, set_plane, set_position
from lib.pet.nuclides import nuclide_of
from lib.pet.phantom.injection import Injection
from lib.pet.phantom.whole import Phantom
from lib.pet.tracers import tracer_named

_SECONDS_A_BED = 120


def write_dicom(
    phantom: Phantom,
    folder: Path,
    name: str,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> None:
    """Write a phantom as a PET series in Bq/ml, one file a slice.

    SUVbw computed from dose, weight and times of its header gives the image back, each voxel to within half
    of its slice's rescale slope. Slices lie along row x column, as DICOM has them: of an image whose axes are
    left-handed the last slice comes first. The same phantom and name give the same bytes.

    Args:
        phantom: what to write.
        folder: where to; made where absent.
        name: of the study, such as "FDG-7"; patient's name and number and all UIDs are made from it.
        progress: called after each slice with the slices written and those that there are.

    Raises:
        OSError: the folder cannot be written.
    """
    array, affine = phantom.volume.array, np.diag([-1.0, -1.0, 1.0, 1.0]) @ phantom.volume.affine
    if np.linalg.det(affine[:3, :3]) < 0:
        affine = affine.copy()
        affine[:3, 3] += affine[:3, 2] * (array.shape[2] - 1)
        affine[:3, 2] *= -1
        array = array[:, :, ::-1]
    folder.mkdir(parents=True, exist_ok=True)
    injection = Injection.of(phantom)
    common = _common(phantom, injection, name)
    set_plane(common, affine, array.shape)
    count = array.shape[2]
    for k in range(count):
        path = folder / f"PT{k + 1:04}.dcm"
        dataset = FileDataset(path, {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
        dataset.update(common)
        dataset.SOPInstanceUID = _uid(name, phantom, f"slice {k}")
        dataset.InstanceNumber = dataset.ImageIndex = k + 1
        set_position(dataset, affine, k)
        dataset.PixelData = set_pixels(dataset, array[:, :, k] * np.float32(injection.bqml_per_suv))
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        pydicom.dcmwrite(path, dataset, enforce_file_format=True)
        progress(k + 1, count)


def _common(phantom: Phantom, injection: Injection, name: str) -> Dataset:
    """Return what all slices share."""
    scanned = injection.scanned
    study = {
        "SpecificCharacterSet": "ISO_IR 192",
        "SOPClassUID": PositronEmissionTomographyImageStorage,
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "Modality": "PT",
        "StudyInstanceUID": _uid(name, phantom, "study"),
        "SeriesInstanceUID": _uid(name, phantom, "series"),
        "FrameOfReferenceUID": _uid(name, phantom, "frame"),
        "PositionReferenceIndicator": "",
        "StudyDate": scanned.strftime("%Y%m%d"),
        "StudyTime": injection.injected.strftime("%H%M%S"),
        "SeriesDate": scanned.strftime("%Y%m%d"),
        "SeriesTime": scanned.strftime("%H%M%S"),
        "AcquisitionDate": scanned.strftime("%Y%m%d"),
        "AcquisitionTime": scanned.strftime("%H%M%S"),
        "ContentDate": scanned.strftime("%Y%m%d"),
        "ContentTime": scanned.strftime("%H%M%S"),
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
        "StudyID": "1",
        "SeriesNumber": 1,
        "AcquisitionNumber": 1,
        "StudyDescription": "Digital phantom, no patient",
        "SeriesDescription": f"Digital phantom {phantom.uptake.tracer}",
        "PatientName": f"Phantom^{name}",
        "PatientID": f"PHANTOM-{name}"[:64],
        "PatientBirthDate": "",
        "PatientSex": phantom.patient.sex,
        "PatientSize": f"{phantom.patient.height_m:.2f}",
        "PatientWeight": f"{injection.weight_kg:.1f}",
        "QualityControlSubject": "YES",
        "Manufacturer": "SegPET",
        "ManufacturerModelName": "Digital phantom",
        "BodyPartExamined": "WHOLEBODY",
        "BurnedInAnnotation": "NO",
        "LossyImageCompression": "00",
        "QualityControlImage": "YES",
    }
    scan = {
        "SeriesType": ["WHOLE BODY", "IMAGE"],
        "Units": "BQML",
        "CountsSource": "EMISSION",
        "CorrectedImage": ["NORM", "ATTN", "SCAT", "RAN", "DTIM", "DECY"],
        "RandomsCorrectionMethod": "DLYD",
        "AttenuationCorrectionMethod": "simulated",
        "ScatterCorrectionMethod": "simulated",
        "DecayCorrection": "START",
        "CollimatorType": "NONE",
        "FrameReferenceTime": "0",
        "ActualFrameDuration": str(1000 * _SECONDS_A_BED),
        "DecayFactor": "1",
        "DoseCalibrationFactor": "1",
    }
    dataset = Dataset()
    for keyword, value in (study | scan).items():
        setattr(dataset, keyword, value)
    dataset.PatientOrientationCodeSequence = [_code("102538003", "SCT", "recumbent")]
    dataset.PatientOrientationCodeSequence[0].PatientOrientationModifierCodeSequence = [
        _code("40199007", "SCT", "supine")
    ]
    dataset.PatientGantryRelationshipCodeSequence = [_code("102540008", "SCT", "headfirst")]
    dataset.RadiopharmaceuticalInformationSequence = [_radiopharmaceutical(phantom, injection)]
    return dataset


def _radiopharmaceutical(phantom: Phantom, injection: Injection) -> Dataset:
    from pydicom.sr.codedict import codes  # takes a while to import

    item = Dataset()
    item.Radiopharmaceutical = phantom.uptake.tracer
    item.RadiopharmaceuticalStartTime = injection.injected.strftime("%H%M%S")
    item.RadiopharmaceuticalStartDateTime = injection.injected.strftime("%Y%m%d%H%M%S")
    item.RadionuclideTotalDose = str(injection.dose_bq)
    item.RadionuclideHalfLife = decimal(injection.half_life_s)
    listed: list[Any] = [getattr(codes.cid4020, one) for one in dir(codes.cid4020) if one[1:2].isdigit()]
    item.RadionuclideCodeSequence = [
        _code(one.value, one.scheme_designator, one.meaning)
        for one in listed
        if nuclide_of(one.value, one.meaning) == phantom.uptake.nuclide
    ][:1]
    tracer = tracer_named(phantom.uptake.tracer)
    if tracer is not None and tracer.codes:
        scheme, _, value = tracer.codes[0].partition(":")
        item.RadiopharmaceuticalCodeSequence = [_code(value, scheme, tracer.full_name)]
    return item


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _uid(name: str, phantom: Phantom, what: str) -> str:
    return str(generate_uid(entropy_srcs=[name, phantom.volume.digest, what]))
