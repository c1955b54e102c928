"""DICOM files of unknown origin, read within bounds: what they declare is not believed before it is there."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pydicom
import pydicom.config
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_partial
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

from lib.pet.volume import VolumeError

DAMAGED = "A DICOM file of the folder is truncated or damaged; transfer it again."
_HOSTILE = "A DICOM file of the folder declares more elements or longer ones than an image's header has."
_DEFLATED = (
    "A DICOM file of the folder is stored deflated; store it uncompressed, or with its pixels compressed."
)

# What a header may hold; more where the file is large, as the enhanced image of a long dynamic scan is.
_MOST_READS = 400_000  # one to three an element
_MOST_READ_ITEMS = 100_000  # of sequences, at all levels: each becomes a data set of 2 kB
_MOST_BYTES = 16 << 20
_MOST_VALUE_BYTES = 4096  # of one element that is a number or a text
_MOST_ITEMS = 1000  # of one sequence, with those in it, if it does not describe frames
_SOP_CLASS = Tag("SOPClassUID")
_ITEM = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # little and big endian

# pydicom would put a value that breaks the standard, a UID for one, into a warning and so into the log.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE


class _Metered:
    """An open file that may be read only so often and so much."""

    def __init__(self, file: BinaryIO, size: int, with_pixels: bool) -> None:
        self._file = file
        # Undefined lengths are searched for their end by chunks that overlap: hence twice the file.
        self._bytes = max(_MOST_BYTES, 2 * size if with_pixels else size // 8)
        self._reads = max(_MOST_READS, size // 100)
        self._items = max(_MOST_READ_ITEMS, size // 1000)
        self.seek, self.tell = file.seek, file.tell
        self.ended = False

    def read(self, size: int = -1) -> bytes:
        if size < 0:  # pydicom inflates what follows, whatever it grows to
            raise VolumeError(_DEFLATED)
        self._bytes -= size
        self._reads -= 1
        if self._bytes < 0 or self._reads < 0 or self._items < 0:
            raise VolumeError(_HOSTILE)
        content = self._file.read(size)
        self._items -= content[:4] in _ITEM
        self.ended = self.ended or len(content) < size
        return content


def tags(keywords: str) -> tuple[BaseTag, ...]:
    """Return the tags of keywords that blanks separate."""
    return tuple(Tag(keyword) for keyword in keywords.split())


class Header(NamedTuple):
    """Elements of a file, and whether there is pixel data behind them."""

    dataset: pydicom.Dataset
    has_pixels: bool


def sop_classes(path: Path) -> tuple[str, str] | None:
    """Return a file's SOPClassUID, and the one that its meta header states; None where it is not DICOM.

    Either is "" where it is missing. Nothing behind it is read.

    Raises:
        VolumeError: the file is damaged before.
    """
    found = _read(path, read_partial, stop_when=lambda tag, *_: tag > _SOP_CLASS)
    if found is None:
        return None
    return text(found[0], "SOPClassUID"), text(found[0].file_meta, "MediaStorageSOPClassUID")


def read_header(path: Path, wanted: Iterable[BaseTag] | None) -> Header | None:
    """Return a file's elements of some tags, or all, up to its pixel data; None where it is not DICOM.

    Raises:
        VolumeError: the file is damaged, or declares more than the header of an image holds.
    """
    found = _read(path, pydicom.dcmread, stop_before_pixels=True, specific_tags=wanted and list(wanted))
    return None if found is None else Header(found[0], not found[1].ended)


def read_with_pixels(path: Path, wanted: Iterable[BaseTag] | None) -> pydicom.Dataset | None:
    """Return a file's elements of some tags, which may be its pixel data, or all; raises as `read_header`."""
    found = _read(path, pydicom.dcmread, with_pixels=True, specific_tags=wanted and list(wanted))
    return None if found is None else found[0]


def _read(
    path: Path, reader: Callable[..., pydicom.Dataset], with_pixels: bool = False, **options: Any
) -> tuple[pydicom.Dataset, _Metered] | None:
    try:
        with path.open("rb") as file:
            metered = _Metered(file, path.stat().st_size, with_pixels)
            return reader(metered, **options), metered
    except InvalidDicomError:
        return None
    except (VolumeError, MemoryError):
        raise
    except OSError as error:
        raise VolumeError("A file of the folder cannot be opened.") from error
    except Exception as error:  # parsers of damaged files raise whatever they stumble over
        raise VolumeError(DAMAGED) from error


def value(dataset: pydicom.Dataset, tag: str | BaseTag) -> Any:
    """Return an element's value, None where there is none.

    Raises:
        VolumeError: the element is longer than any number or text of a header, or cannot be read.
    """
    tag = Tag(tag)
    try:
        element = dataset.get_item(tag)
        if element is None:
            return None
        if isinstance(element, RawDataElement) and element.length > _MOST_VALUE_BYTES:
            raise VolumeError(_HOSTILE)
        return dataset[tag].value
    except (VolumeError, MemoryError):
        raise
    except Exception as error:  # pydicom converts lazily, and raises many things
        raise VolumeError(DAMAGED) from error


def text(dataset: pydicom.Dataset, keyword: str) -> str:
    """Return an element as text without blanks around it, of several the first; "" where there is none.

    Raises VolumeError: as `value`.
    """
    return (texts(dataset, keyword) or ("",))[0]


def texts(dataset: pydicom.Dataset, keyword: str) -> tuple[str, ...]:
    """Return all values of an element, as `text`."""
    found = value(dataset, keyword)
    if found is None or isinstance(found, Sequence):  # a damaged VR makes a sequence of anything
        return ()
    several = found if isinstance(found, MultiValue | list) else [found]  # a name would fall into letters
    return tuple(str(one).strip(" \0") for one in several)


def number(dataset: pydicom.Dataset, tag: str | BaseTag) -> float | None:
    """Return an element's one finite number; None where it holds anything else."""
    try:
        found = float(value(dataset, tag))
    except (VolumeError, TypeError, ValueError, OverflowError):
        return None
    return found if np.isfinite(found) else None


def numbers(dataset: pydicom.Dataset, keyword: str, count: int) -> NDArray[np.float64]:
    """Return an element's finite numbers.

    Raises:
        VolumeError: they are not there, fewer or more than `count`, or not finite; the message names the tag.
    """
    tag = Tag(keyword)
    name = f"{keyword} ({tag.group:04X},{tag.element:04X})"
    try:
        found = value(dataset, tag)
        array = np.atleast_1d(np.array(found, dtype=np.float64))
    except Exception as error:
        raise VolumeError(f"A PET slice's {name} is not a number.") from error
    if found is None or array.size == 0:
        raise VolumeError(f"A PET slice lacks {name}.")
    if array.shape != (count,) or not np.isfinite(array).all():
        raise VolumeError(f"A PET slice's {name} should hold {count} finite numbers.")
    return array


def items(dataset: pydicom.Dataset, keyword: str, most: int = _MOST_ITEMS) -> list[pydicom.Dataset]:
    """Return a sequence's items, none where it is absent or empty.

    Args:
        dataset: what holds it.
        keyword: its name.
        most: how many items it may have, those of the sequences in it included.

    Raises:
        VolumeError: the sequence has more items than an image's header, or cannot be read.
    """
    tag = Tag(keyword)
    try:
        element = dataset.get_item(tag)
        if element is None:
            return []
        content = element.value if isinstance(element, RawDataElement) else None
        if isinstance(content, bytes) and max(content.count(mark) for mark in _ITEM) > most:
            raise VolumeError(_HOSTILE)
        found = dataset[tag].value
        return [] if found is None else [item for item in found if isinstance(item, pydicom.Dataset)]
    except (VolumeError, MemoryError):
        raise
    except Exception as error:
        raise VolumeError(DAMAGED) from error


def private(dataset: pydicom.Dataset, group: int, creator: str, element: int) -> BaseTag | None:
    """Return the tag under which a private element is stored, None where its creator has no block."""
    try:
        tag = dataset.private_block(group, creator).get_tag(element)
    except Exception:  # KeyError; and whatever a damaged creator element raises
        return None
    return tag if tag in dataset else None
