"""A studies folder of every kind that DICOMweb serves, and what its tests read it with."""

import contextlib
import itertools
import json
import time

import nrrd
import numpy as np
import pydicom
import requests
from dicom_series import both, in_study, scan_header, tags, write_ct, write_enhanced, write_series
from pydicom.uid import RLELossless
from serving import ROOT, Server, save_image

from lib.pet import make_phantom
from lib.pet.phantom.dicom_series import write_dicom

SHAPE = (7, 6, 5)
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
ORDERS = [
    (order, signs)
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]
FRAMES = ("application/octet-stream", "*")


@contextlib.contextmanager
def serving_studies(folder):
    """A running server of studies of every kind; its files lie in the folder."""
    (folder / "studies").mkdir()
    make_studies(folder / "studies")
    server = Server(folder, model="none")
    try:
        yield server.start()
    finally:
        server.stop()


def affine_of(order, signs, spacing=(4.0, 5.0, 3.0)):
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        affine[world, axis] = sign * spacing[axis]
    affine[:3, 3] = (11.5, -20.25, 300.0)
    return affine


def oblique():
    turn, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    affine = np.eye(4)
    affine[:3, :3] = turn * (1.3, 7.0, 2.9)
    affine[:3, 3] = (-33.3, 12.1, 80.7)
    return affine


def sheared():
    affine = affine_of((0, 1, 2), (1, 1, 1))
    affine[0, 2] = 0.4
    return affine


def values_of(seed=0):
    """Whole numbers: they come back exactly."""
    return np.random.default_rng(seed).integers(0, 3000, SHAPE).astype(np.float32)


def make_studies(studies):
    """Fill a folder with studies."""
    for number, (order, signs) in enumerate(ORDERS):
        save_image(studies / f"order-{number}.nii.gz", values_of(number), affine_of(order, signs))
    save_image(studies / "oblique.nii", values_of(50), oblique())
    save_image(studies / "sheared.nii", values_of(51), sheared())
    save_image(studies / "suv.nii.gz", values_of(52) / 128 + 0.01, affine_of((0, 1, 2), (-1, -1, 1)))
    (studies / "suv.json").write_text(json.dumps({"Units": "g/mL"}))
    header = {"space": "left-posterior-superior", "space directions": np.diag([2.0, 3.0, -4.0])}
    nrrd.write(str(studies / "Müller^Jürgen.nrrd"), values_of(53), {**header, "space origin": [1, 2, 3]})
    (studies / "broken.nii.gz").write_bytes(b"\x1f\x8b no image")
    stored = values_of(54).astype(np.int16)
    one = both(scan_header(), in_study("61", "1.2.3.61"), tags(PatientSex="O"))
    write_series(studies / "petct/pet", stored, edit=one, slopes=[1, 2, 3, 4, 5])
    write_ct(studies / "petct/ct", lambda x, y, z: x + 2 * y, in_study("62", "1.2.3.61"), shape=(9, 8, 7))
    descending = both(scan_header(), in_study("63", "1.2.3.63"), lambda k, one: number_from_the_end(one, k))
    write_series(studies / "1.2.840.descending", stored, edit=descending)
    write_series(studies / "rle", stored, edit=both(scan_header(), in_study("64", "1.2.3.64"), compress))
    write_enhanced(studies / "enhanced/one.dcm", stored.astype(np.uint16))
    for path in write_series(studies / "odd", stored, edit=both(in_study("65", "1.2.3.65"), odd_header)):
        path.write_bytes(path.read_bytes().replace(b"4.3210", b"absent"))
    (studies / "empty").mkdir()
    (studies / "notes").mkdir()
    (studies / "notes/a.txt").write_text("no image")
    phantom = make_phantom(1, (24, 24, 40), (16.0, 16.0, 16.0))
    write_dicom(phantom, studies / "phantom", "FDG-1")
    for patient in ("STS_001", "STS_003"):
        if (source := ROOT.parent / "shared/data/sts-pet-dicom" / patient).is_dir():
            (studies / patient).symlink_to(source)


def number_from_the_end(dataset, k):
    dataset.InstanceNumber = SHAPE[2] - k


def odd_header(k, dataset):
    """NaN, a number that is none, a long private element, an overlay, Latin-1 in a name."""
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName = "Bäcker^Zoë"
    dataset.add_new(0x00189073, "FD", float("nan"))  # AcquisitionDuration
    dataset.ReconstructionDiameter = "4.3210"
    block = dataset.private_block(0x0009, "SEGPET TEST", create=True)
    block.add_new(1, "OB", bytes(100_000))
    block.add_new(2, "LO", "short")
    dataset.add_new(0x60003000, "OW", bytes(100))


def compress(k, dataset):
    dataset.compress(RLELossless, generate_instance_uid=False)


def read_nrrd_affine():
    affine = np.diag([2.0, 3.0, -4.0, 1.0])
    affine[:3, 3] = 1, 2, 3
    return RAS_TO_LPS @ affine


def value(dataset, keyword):
    element = dataset.get(f"{pydicom.tag.Tag(keyword):08X}", {})
    return element.get("Value", [None])[0]


def listed(client, name):
    """StudyInstanceUID and its PET's SeriesInstanceUID of a study, by PatientID."""
    (study,) = client.search_for_studies(search_filters={"PatientID": name})
    uid = value(study, "StudyInstanceUID")
    (series,) = client.search_for_series(uid, search_filters={"Modality": "PT"})
    return uid, value(series, "SeriesInstanceUID")


def study_with(client, uid):
    (found,) = [one for one in client.search_for_studies() if value(one, "StudyInstanceUID") == uid]
    return found


def grid(client, study, series):
    """Values and LPS positions of all voxels of a series, as its metadata and frames say."""
    values, places = [], []
    for one in client.retrieve_series_metadata(study, series):
        dataset = pydicom.Dataset.from_json(one)
        (frame,) = client.retrieve_instance_frames(study, series, dataset.SOPInstanceUID, [1], (FRAMES,))
        pixels = np.frombuffer(frame, "<i2" if dataset.PixelRepresentation else "<u2")
        values.append(pixels * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept))
        along_row, down_column = np.array(dataset.ImageOrientationPatient, float).reshape(2, 3)
        between_rows, between_columns = map(float, dataset.PixelSpacing)
        row, column = np.divmod(np.arange(pixels.size), dataset.Columns)
        places.append(
            np.array(dataset.ImagePositionPatient, float)
            + column[:, np.newaxis] * along_row * between_columns
            + row[:, np.newaxis] * down_column * between_rows
        )
    return np.concatenate(values), np.concatenate(places)


def check_same(found, array, affine, tolerance=0.0):
    """Every voxel of the source is found at its place, with its value."""
    values, places = found
    index = (np.linalg.inv(RAS_TO_LPS @ affine) @ np.c_[places, np.ones(len(places))].T)[:3].T
    assert abs(index - np.rint(index)).max() < 1e-4
    index = np.rint(index).astype(int)
    assert len(np.unique(index, axis=0)) == array.size == len(values)
    assert index.min() == 0 and tuple(index.max(axis=0) + 1) == array.shape
    assert abs(values - array[tuple(index.T)]).max() <= tolerance


def wait_for(condition):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        time.sleep(0.2)
        with contextlib.suppress(ValueError, requests.HTTPError):  # between two looks at the folder
            if condition():
                return
    raise AssertionError("it did not come")
