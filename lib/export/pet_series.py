"""A volume of any file format as a DICOM PET series, an instance a slice along k; made on the fly."""

import hashlib
import io
import uuid
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage

from lib.pet import Volume, VolumeError
from lib.pet.dicom_image import set_pixels, set_plane, set_position
from lib.pet.volume import LPS_TO_RAS

#: Units (0054,1001) of our units; what is of unknown unit is stated as counts, and gives no SUV.
_UNITS = {"SUVbw": "GML", "Bq/ml": "BQML", "unknown": "CNTS"}
_MOST_COSINE = 1e-3
_MOST_SHIFT_PIXELS = 0.1


def uid_from(*sources: str) -> str:
    """Return a UID made from texts, in the UUID form (PS3.5 B.2): the same for the same texts."""
    digest = hashlib.sha256("\0".join(sources).encode(errors="surrogateescape")).digest()
    return f"2.25.{uuid.UUID(bytes=digest[:16], version=5).int}"


class SeriesUIDs:
    """The UIDs of a volume's series.

    Args:
        name: of the study.
        content: digest of its image, so that another image has other UIDs.
    """

    def __init__(self, name: str, content: str) -> None:
        self._sources = (name, content)
        self.study, self.series, self.frame_of_reference = map(
            self._uid, ("study", "series", "frame of reference")
        )

    def instance(self, k: int) -> str:
        """Return the SOPInstanceUID of slice k."""
        return self._uid(f"slice {k}")

    def _uid(self, what: str) -> str:
        return uid_from("segpet", *self._sources, what)


class VolumeSeries:
    """A volume as a series of PET Image Storage (PS3.3 A.21).

    What the image's file does not say is left empty or out, even where the standard wants a value: a dose, a
    weight or a date is never invented. Patient's name and number are the study's name.

    Args:
        volume: unit SUVbw becomes Units GML, Bq/ml BQML, unknown CNTS.
        name: of the study.
        uids: of study, series and instances.

    Raises:
        VolumeError: the axes are not perpendicular, so that no stack of slices is the same image.
    """

    def __init__(self, volume: Volume, name: str, uids: SeriesUIDs) -> None:
        self.volume, self._name, self._uids = volume, name, uids
        self._affine = _rectangular(LPS_TO_RAS @ volume.affine, volume.shape)

    @cached_property
    def common(self) -> Dataset:
        """What all slices share."""
        dataset = _common(self.volume, self._name, self._uids)
        set_plane(dataset, self._affine, self.volume.shape)
        return dataset

    def slice(self, k: int) -> tuple[Dataset, bytes]:
        """Return what slice k alone has, but for its pixels, and these: int16, little-endian, row by row."""
        own = Dataset()
        own.SOPInstanceUID = self._uids.instance(k)
        own.InstanceNumber = own.ImageIndex = k + 1
        set_position(own, self._affine, k)
        pixels = set_pixels(own, self.volume.array[:, :, k])
        return own, pixels

    def file(self, k: int) -> bytes:
        """Return slice k as a DICOM file (PS3.10), explicit VR little endian."""
        own, pixels = self.slice(k)
        dataset = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
        dataset.update(self.common)
        dataset.update(own)
        dataset.PixelData = pixels
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        content = io.BytesIO()
        dcmwrite(content, dataset, enforce_file_format=True)
        return content.getvalue()


def study_attributes(name: str, study_uid: str) -> Dataset:
    """Return the attributes of patient and study that all instances share."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.StudyInstanceUID = study_uid
    dataset.PatientName = dataset.PatientID = _plain(name)
    dataset.StudyID = dataset.AccessionNumber = dataset.ReferringPhysicianName = ""
    dataset.StudyDate = dataset.StudyTime = dataset.PatientBirthDate = dataset.PatientSex = ""
    dataset.StudyDescription = "PET image file"
    return dataset


def series_attributes(series_uid: str) -> Dataset:
    """Return the attributes that tell a series apart in a list."""
    dataset = Dataset()
    dataset.Modality = "PT"
    dataset.SeriesInstanceUID = series_uid
    dataset.SeriesNumber = 1
    dataset.SeriesDescription = "PET"
    dataset.SeriesDate = dataset.SeriesTime = ""
    return dataset


def _common(volume: Volume, name: str, uids: SeriesUIDs) -> Dataset:
    dataset = study_attributes(name, uids.study)
    dataset.update(series_attributes(uids.series))
    dataset.SOPClassUID = PositronEmissionTomographyImageStorage
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = uids.frame_of_reference, ""
    dataset.Units = _UNITS[volume.unit]
    if volume.unit == "SUVbw":
        dataset.SUVType = "BW"
        dataset.WindowCenter, dataset.WindowWidth = "3.5", "7"
    seen = volume.preflight
    # A list without ATTN would say that the image is not corrected for attenuation; mostly nobody knows.
    corrected = seen is not None and seen.attenuation_corrected and volume.unit == "SUVbw"
    dataset.CorrectedImage = ["ATTN", "DECY"] if corrected else ""
    dataset.SeriesType, dataset.CountsSource = ["STATIC", "IMAGE"], "EMISSION"
    dataset.Manufacturer, dataset.ManufacturerModelName = "", "SegPET"
    dataset.DerivationDescription = "From an image file that is no DICOM; what it does not say is left out"
    if seen is not None and seen.tracer:
        item = Dataset()
        item.Radiopharmaceutical = _plain(seen.tracer)
        dataset.RadiopharmaceuticalInformationSequence = [item]
    return dataset


def _plain(text: str) -> str:
    """Return at most 64 characters that every DICOM text may hold."""
    kept = "".join(one if one.isprintable() and one not in "\\^=" else "_" for one in text)
    return kept[:64].encode(errors="replace").decode()


def _rectangular(affine: NDArray[np.float64], shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """Return an affine whose axes are exactly perpendicular, as DICOM has them.

    Raises VolumeError: they are so far from it that a voxel would move.
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    directions = affine[:3, :3] / spacing
    off = abs(directions.T @ directions - np.eye(3)).max()
    if off < 1e-12:
        return affine
    u, _, v = np.linalg.svd(directions)
    straight = affine.copy()
    straight[:3, :3] = (u @ v) * spacing  # the nearest perpendicular directions
    middle = (np.array(shape) - 1) / 2
    straight[:3, 3] += (affine[:3, :3] - straight[:3, :3]) @ middle
    shift = np.linalg.norm((affine[:3, :3] - straight[:3, :3]) * middle, axis=0).sum()
    if off > _MOST_COSINE or shift > _MOST_SHIFT_PIXELS * spacing.min():
        raise VolumeError(
            "The image's axes are not perpendicular, so a viewer cannot show it in true shape; resample it "
            "to a straight grid first."
        )
    return straight
