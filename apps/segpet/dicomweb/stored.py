"""DICOM folders among the studies, served as they are: PET, and the CT beside it."""

import io
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian

from apps.segpet.dicomweb.model import Json, Series, Study, as_json, counted, served
from lib.pet import VolumeError
from lib.pet.choice import choose
from lib.pet.dicom_files import DAMAGED, number, read_header, read_with_pixels, tags, text
from lib.pet.dicom_folder import PET, ListedImage, list_images
from lib.pet.dicom_pixels import decoded_frames
from lib.pet.series import find_series

_OF_STUDY = tags(
    "StudyInstanceUID StudyDate StudyTime StudyDescription StudyID AccessionNumber ReferringPhysicianName "
    "TimezoneOffsetFromUTC PatientName PatientID PatientBirthDate PatientSex"
)
_OF_SERIES = tags(
    "SeriesInstanceUID Modality SeriesNumber SeriesDescription SeriesDate SeriesTime BodyPartExamined "
    "ProtocolName"
)
_PIXELS = tags("BitsAllocated PixelRepresentation")
_PIXEL_DATA = tags("PixelData FloatPixelData DoubleFloatPixelData")
_MODALITY = f"{Tag('Modality'):08X}"
_LONGEST_VALUE = 16 << 10
_MULTI_FRAME = (
    "The PET is a multi-frame image: it can be viewed and measured, but not yet be annotated in the browser; "
    "convert it to single-frame PET images for that."
)


class _Image(NamedTuple):
    """What is kept of each image: little, for a folder may hold thousands."""

    path: Path
    frames: int
    kind: str
    number: int
    rows: int
    columns: int
    bits: int

    @staticmethod
    def of(listed: ListedImage) -> "_Image":
        rows, columns, bits = (
            int(number(listed.header, name) or 0) for name in ("Rows", "Columns", "BitsAllocated")
        )
        kind = sys.intern(text(listed.header, "SOPClassUID"))
        return _Image(listed.path, listed.frames, kind, listed.number, rows, columns, bits)


class StoredSeries(Series):
    """A series of single files.

    Args:
        uid: SeriesInstanceUID.
        attributes: of study and series.
        images: by SOPInstanceUID, in order.
    """

    def __init__(self, uid: str, attributes: Json, images: Mapping[str, _Image]) -> None:
        attributes["00201209"] = {"vr": "IS", "Value": [len(images)]}
        super().__init__(uid, served(attributes), list(images))
        self._images = images

    def uids_by_path(self) -> dict[Path, str]:
        """Return the SOPInstanceUID of each file."""
        return {image.path: uid for uid, image in self._images.items()}

    def listed(self, instance: str) -> Json:
        """Return what a query tells of an instance."""
        image = self._images[instance]
        own = Dataset()
        own.SOPClassUID, own.SOPInstanceUID = image.kind, instance
        own.InstanceNumber, own.NumberOfFrames = image.number, image.frames
        own.Rows, own.Columns, own.BitsAllocated = image.rows, image.columns, image.bits
        return self.attributes | as_json(own)

    def metadata(self, instances: Sequence[str]) -> list[Json]:
        """Return all attributes but bulk data, private ones included: SUV of some vendors needs them."""
        return [_metadata(self._images[one].path) for one in instances]

    def frame_count(self, instance: str) -> int:
        """Return how many frames an instance holds."""
        return self._images[instance].frames

    def frames(self, instance: str, numbers: Sequence[int]) -> list[bytes]:
        """Return frames' pixels, decompressed."""
        return _frames(self._images[instance].path, numbers)

    def file(self, instance: str) -> bytes:
        """Return the file, decompressed."""
        image = self._images[instance]
        return _file(image.path, image.frames)


class StoredStudies:
    """What a DICOM folder holds.

    Args:
        folder: the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pet: list[tuple[str, str]] = []  # StudyInstanceUID and SeriesInstanceUID, of PET
        by_study: defaultdict[str, list[StoredSeries]] = defaultdict(list)
        of_study: dict[str, Json] = {}
        images = sorted(list_images(folder), key=lambda one: (_series_of(one), one.number, one.path))
        for uid, group in groupby(images, key=_series_of):
            found = list(group)
            header = found[0].header
            study = text(header, "StudyInstanceUID")
            of_study.setdefault(study, served(_part(header, _OF_STUDY)))
            attributes = of_study[study] | _part(header, _OF_SERIES)
            by_study[study].append(StoredSeries(uid, attributes, {one.uid: _Image.of(one) for one in found}))
            if text(header, "SOPClassUID") in PET:
                self._pet.append((study, uid))
        self._series = {one.uid: one for series in by_study.values() for one in series}
        self.studies = {uid: _study(uid, of_study[uid], series) for uid, series in by_study.items()}

    @cached_property
    def annotated(self) -> tuple[str, str]:
        """StudyInstanceUID and SeriesInstanceUID of the series that is segmented.

        Of a folder whose PET cannot be read it is the first one, which `instances` then says.

        Raises VolumeError: no PET image is there any more.
        """
        if not self._pet:
            raise VolumeError("The folder holds no DICOM PET images.")
        if len(self._pet) > 1:
            try:
                chosen = choose(find_series(self._folder)).series
                return chosen.study, chosen.uid
            except VolumeError:
                pass
        return self._pet[0]

    @cached_property
    def instances(self) -> tuple[str, ...]:
        """SOPInstanceUID of slice k of the image that is segmented, for each k.

        Raises VolumeError: the image cannot be read, or has all slices in one instance.
        """
        chosen = choose(find_series(self._folder))
        uid_of = self._series[chosen.series.uid].uids_by_path() if chosen.series.uid in self._series else {}
        uids = tuple(uid_of.get(one.path, "") for one in chosen.series.frames[chosen.frame])
        if "" in uids or len(set(uids)) < len(uids):
            raise VolumeError(_MULTI_FRAME)
        return uids


def _series_of(image: ListedImage) -> str:
    return text(image.header, "SeriesInstanceUID")


def _study(uid: str, attributes: Json, series: Sequence[StoredSeries]) -> Study:
    modalities = {value for one in series for value in one.attributes.get(_MODALITY, {}).get("Value", ())}
    count = sum(len(one.instances) for one in series)
    return Study(uid, counted(attributes, sorted(modalities), len(series), count), lambda: series)


def _part(header: Dataset, wanted: Sequence[Any]) -> Json:
    part = Dataset()
    for tag in wanted:
        if tag in header:
            part[tag] = header[tag]
    return as_json(part)


def _metadata(path: Path) -> Json:
    found = read_header(path, None)
    if found is None:
        raise VolumeError(DAMAGED)
    dataset = found.dataset
    try:
        for tag in list(dataset.keys()):
            element = dataset.get_item(tag)
            is_long = (
                isinstance(element, RawDataElement) and element.value and len(element.value) > _LONGEST_VALUE
            )
            # Overlays and icons are no part of what is shown; functional groups are, long as they are.
            if (is_long and element.VR != "SQ") or tag.group >> 8 == 0x60 or tag == Tag("IconImageSequence"):
                del dataset[tag]
        return served(as_json(dataset))
    except Exception as error:  # pydicom converts lazily, and raises many things
        raise VolumeError(DAMAGED) from error


def _frames(path: Path, numbers: Sequence[int]) -> list[bytes]:
    header = read_header(path, _PIXELS)
    if header is None:
        raise VolumeError(DAMAGED)
    bits = header.dataset.get("BitsAllocated")
    if bits not in (8, 16, 32):
        raise VolumeError(
            "The pixels of this image are no whole numbers of 8, 16 or 32 bits, which are needed."
        )
    stored_as = np.dtype(f"<{'i' if header.dataset.get('PixelRepresentation') else 'u'}{bits // 8}")
    # Each once and in order: that is how files are read.
    wanted = sorted(set(numbers))
    decoded = decoded_frames(path, [number - 1 for number in wanted])
    found = {
        number: pixels.astype(stored_as).tobytes() for number, pixels in zip(wanted, decoded, strict=True)
    }
    return [found[number] for number in numbers]


def _file(path: Path, frames: int) -> bytes:
    dataset = read_with_pixels(path, None)
    if dataset is None:
        raise VolumeError(DAMAGED)
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is None:
        raise VolumeError(DAMAGED)
    if not (syntax.is_encapsulated or syntax in (ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)):
        return path.read_bytes()
    pixels = b"".join(_frames(path, range(1, frames + 1)))
    try:
        for tag in _PIXEL_DATA:
            dataset.pop(tag, None)
        dataset.add_new("PixelData", "OW", pixels + b"\0" * (len(pixels) % 2))
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        content = io.BytesIO()
        pydicom.dcmwrite(content, dataset, little_endian=True, implicit_vr=False, enforce_file_format=True)
        return content.getvalue()
    except Exception as error:
        raise VolumeError(DAMAGED) from error
