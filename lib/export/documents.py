"""A saved label as DICOM: a Segmentation with its masks and a Structured Report with its numbers.

**Versions.** All versions of a study's label are in one series of SEG and one of SR, whose UIDs follow from
the PET series'. InstanceNumber is the version's number, so the highest is the label that counts; a report
names the one before it as its predecessor. SOP Instance UIDs follow from PET series, version and content: the
same version sent twice is the same instance.
"""

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydicom.dataset import Dataset

from lib.export.multi_frame import is_multi_frame, with_slices_as_frames
from lib.export.pet_series import uid_from
from lib.pet import Crop, Volume

#: How an object's mask came about.
Algorithm = Literal["MANUAL", "SEMIAUTOMATIC", "AUTOMATIC"]

MANUFACTURER = "SegPET"
#: Character set of all that is written: a PET's own need not have the letters of our names and texts.
UTF_8 = "ISO_IR 192"
REFUSED = "The PET images cannot be referred to by a SEG or SR: their headers"
_TYPE_2 = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip


class ExportError(ValueError):
    """What cannot be written as DICOM; the message says why."""


@dataclass(frozen=True, eq=False)
class ExportedObject:
    """One lesion or organ to be written.

    Args:
        id: its number in the study, by which the lesion table knows it.
        label: name of its class.
        uid: tracking UID, the same in every version.
        mask: its voxels on the volume's grid.
        algorithm: how the mask came about.
        model: name of what made it, "" for MANUAL.
        name: what an annotator calls it, "" where it has no name.
    """

    id: int
    label: str
    uid: str
    mask: Crop
    algorithm: Algorithm
    model: str = ""
    name: str = ""

    @property
    def tracking_id(self) -> str:
        """What people call it: its name, else label and number."""
        return self.name or f"{self.label} {self.id}"


@dataclass(frozen=True, eq=False)
class Annotation:
    """A version of a study's label, as it is to be written.

    Args:
        sources: headers of the PET instances, in the order of the volume's slices; or the one multi-frame
            instance. They are kept as copies in UTF-8.
        volume: the image.
        objects: in the order of their segments; none is a negative study.
        table: as `lib.pet.lesion_table.lesion_table` returns it, of the objects that are lesions.
        version: the label's number, from 1.
        author: who saved it; "" where nobody said.
        software: version of SegPET.
        suv_factor: from rescaled values of the sources to SUVbw (1 where they are); None without SUV.
        impression: accepted text of the impression, "" without one.
        final: nobody is to change it any more.
        frames: of a multi-frame instance the frames that are the volume's slices, 0-based, in their order.
    """

    sources: Sequence[Dataset]
    volume: Volume
    objects: Sequence[ExportedObject]
    table: Mapping[str, Any]
    version: int
    author: str
    software: str
    suv_factor: float | None = None
    impression: str = ""
    final: bool = True
    frames: Sequence[int] = ()

    def __post_init__(self) -> None:
        if not self.sources:
            raise ExportError(
                "There is no DICOM PET image to refer to: only studies that came as DICOM go out."
            )
        count = len(self.frames) if self.multi_frame else len(self.sources)
        if count != self.volume.shape[2]:
            what = "frames" if self.multi_frame else "images"
            raise ExportError(
                f"The PET series has {count} {what} and the volume {self.volume.shape[2]} slices."
            )
        sources = [_completed(source, self.volume) for source in self.sources]
        for source in sources:
            _align(source, sources[0], self.volume)
        object.__setattr__(self, "sources", sources)

    @property
    def multi_frame(self) -> bool:
        """Whether one instance holds all slices."""
        return len(self.sources) == 1 and is_multi_frame(self.sources[0])

    @property
    def series(self) -> str:
        """SeriesInstanceUID of the PET."""
        return str(self.sources[0].SeriesInstanceUID)

    @property
    def person_name(self) -> str:
        """The author as DICOM writes names: a single word is a family name (PS3.5 6.2.1.2)."""
        name = self.author.replace("\\", "/")  # in DICOM a backslash parts values
        return f"{name[:60]}^" if name and "^" not in name else name[:64]

    def uid(self, *what: str) -> str:
        """Return a UID that follows from the PET series."""
        return uid_from("segpet", self.series, *what)

    def instance_uid(self, kind: Literal["SEG", "SR"]) -> str:
        """Return the SOPInstanceUID of this version of a kind of document."""
        return self.uid(kind, str(self.version), self._digest())

    def _digest(self) -> str:
        digest = hashlib.sha256(f"{self.author}\0{self.impression}\0{self.final}".encode())
        for one in self.objects:
            digest.update(f"\0{one.id}\0{one.label}\0{one.uid}\0{one.algorithm}\0{one.tracking_id}".encode())
            digest.update(repr(one.mask.start).encode() + one.mask.array.tobytes(order="C"))
        return digest.hexdigest()


def _completed(source: Dataset, volume: Volume) -> Dataset:
    """Return a header, in UTF-8, with all that documents take of patient and study, empty where missing."""
    if is_multi_frame(source):
        source = with_slices_as_frames(source, volume)
    whole = _in_utf8(source)
    for keyword in _TYPE_2:
        if keyword not in whole:
            setattr(whole, keyword, "")
    return whole


def _align(source: Dataset, first: Dataset, volume: Volume) -> None:
    """Let a slice's header say of the grid what a SEG needs.

    A PET slice may leave its thickness empty (type 2, PS3.3 C.7.6.2), and its orientation may differ in the
    last digits from another's, which a SEG does not allow. The spacing of slices, which no reader of PET
    looks at, may be wrong or empty: the volume's is that of the slices' positions.
    """
    if is_multi_frame(source):
        return
    spacing = f"{volume.spacing[2]:.6g}"
    source.SpacingBetweenSlices = spacing
    if source.get("SliceThickness") in (None, ""):
        source.SliceThickness = spacing
    if source.get("ImageOrientationPatient") and first.get("ImageOrientationPatient"):
        source.ImageOrientationPatient = first.ImageOrientationPatient


def _in_utf8(source: Dataset) -> Dataset:
    """Return a copy of a header that has the same texts, and is written as UTF-8.

    It is without private elements, which go into no document, and without those that cannot be read.
    """
    whole = Dataset()
    whole.update(copy.deepcopy(source))
    _decode(whole)
    whole.SpecificCharacterSet = UTF_8  # also where there was none
    return whole


def _decode(dataset: Dataset) -> None:
    for tag in list(dataset.keys()):
        try:
            element = None if tag.is_private else dataset[tag]  # reading it decodes its text
        except Exception:  # pydicom raises many things; mostly nobody needs these
            element = None
        if element is None:
            del dataset[tag]
        elif element.VR == "SQ":
            for item in element.value:
                _decode(item)
        elif element.VR == "PN" and not element.is_empty:  # a name keeps its bytes; its text does not
            many = element.VM > 1
            element.value = [str(name) for name in element.value] if many else str(element.value)
    if "SpecificCharacterSet" in dataset:  # after all was read; items of sequences may have their own
        dataset.SpecificCharacterSet = UTF_8


@dataclass(frozen=True, eq=False)
class Documents:
    """The instances of a version, to be stored together; `value_map` is None without SUV."""

    segmentation: Dataset
    report: Dataset
    value_map: Dataset | None


def make_documents(annotation: Annotation, predecessor: Dataset | None = None) -> Documents:
    """Return a version of a label as a Segmentation and a Structured Report.

    Args:
        annotation: the label.
        predecessor: header of the report of the version before, where there is one.

    Raises:
        ExportError: the sources are no images that SEG and SR can refer to.
    """
    from lib.export.real_world_values import make_value_map
    from lib.export.segmentation import make_segmentation
    from lib.export.structured_report import make_report

    try:
        segmentation, value_map = make_segmentation(annotation), make_value_map(annotation)
        report = make_report(annotation, segmentation, value_map, predecessor)
    except ExportError:
        raise
    except (AttributeError, ValueError, TypeError, KeyError) as error:  # whose text may hold patients' values
        lacked = getattr(error, "name", None)
        raise ExportError(f"{REFUSED} {f'lack {lacked}' if lacked else 'are not as DICOM asks'}.") from error
    return Documents(segmentation, report, value_map)
