"""NIfTI and NRRD files: one 3-D grid of real numbers each, and where it lies."""

import bz2
import contextlib
import gzip
import io
import math
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import nibabel
import nrrd
import numpy as np
from numpy.typing import NDArray

from lib.pet.volume import VolumeError

FORMATS = {".nii": "NIfTI", ".nii.gz": "NIfTI", ".nrrd": "NRRD", ".nhdr": "NRRD"}
#: Of the images that a server serves and the masks that it sends; of images of one name the first counts.
EXTENSIONS = (".nrrd", ".nii.gz", ".nii")

_SIGNS_IN_RAS = {  # of the axes of NRRD's named spaces
    "left-posterior-superior": (-1, -1, 1),
    "lps": (-1, -1, 1),
    "right-anterior-superior": (1, 1, 1),
    "ras": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1),
    "las": (-1, 1, 1),
}
_MILLIMETRES = {
    **dict.fromkeys(("meter", "metre", "m"), 1000.0),
    **dict.fromkeys(("centimeter", "centimetre", "cm"), 10.0),
    # The last two are NRRD's for an unknown unit.
    **dict.fromkeys(("millimeter", "millimetre", "mm", "", "???"), 1.0),
    **dict.fromkeys(("micrometer", "micrometre", "micron", "um"), 0.001),
}
_SEGMENT_NAME = re.compile(r"Segment\d+_Name")
_DEFLATE_RATIO = 1100  # a little above the highest that deflate reaches, 1032 : 1
_SLAB_BYTES = 32 << 20
#: More than any scanner's image has; a header that claims more is not believed.
MOST_VOXELS = 1 << 29
_LARGEST_VALUE_BYTES = 8
_MOST_AFTER = 64 << 20  # bytes that may follow the voxels of a NIfTI file

_UNPACKERS: dict[str, Callable[[], Any]] = {
    "gzip": lambda: zlib.decompressobj(zlib.MAX_WBITS | 16),
    "gz": lambda: zlib.decompressobj(zlib.MAX_WBITS | 16),
    "bzip2": bz2.BZ2Decompressor,
    "bz2": bz2.BZ2Decompressor,
}

Grid = tuple[NDArray[np.float32], NDArray[np.float64]]


def suffix_of(path: Path) -> str:
    """Return the one of FORMATS' suffixes with which a file's name ends, or an empty string."""
    name = path.name.lower()
    return next((suffix for suffix in FORMATS if name.endswith(suffix)), "")


def read_image_file(path: Path) -> Grid:
    """Read a NIfTI or NRRD file.

    Returns:
        Values, scaled as the header says, float32 [i, j, k] in Fortran order; affine 4x4, voxel centre ->
        RAS+ millimetres.

    Raises:
        VolumeError: missing, damaged, truncated, of another format, complex or colour, not 3-D (further axes
            of length 1 are dropped), or an NRRD that does not say where its axes point.
    """
    with _parsed(path) as is_nifti:
        return _read_nifti(path) if is_nifti else _read_nrrd(path)


def check_image_header(path: Path) -> tuple[int, int, int]:
    """Return an image file's voxels along i, j and k, as its header says; fast, voxels are not read.

    Raises:
        VolumeError: as `read_image_file`, but for what only the voxels tell.
    """
    return read_grid(path)[0]


def read_grid(path: Path) -> tuple[tuple[int, int, int], NDArray[np.float64]]:
    """Return an image file's grid, as its header says; fast, voxels are not read.

    Returns:
        Voxels along i, j and k; affine 4x4, voxel centre -> RAS+ millimetres.

    Raises:
        VolumeError: as `read_image_file`, but for what only the voxels tell.
    """
    with _parsed(path) as is_nifti:
        if is_nifti:
            image: Any = nibabel.load(path)
            _check_values(image.get_data_dtype())
            return _three_axes(image.shape), _nifti_affine(image)
        with path.open("rb") as file:
            header = nrrd.read_header(file)
        order, affine = _nrrd_axes(path, header)
        return _three_axes(tuple(int(header["sizes"][axis]) for axis in order)), affine


def read_segments(path: Path) -> list[tuple[int, str]]:
    """Return value and name of each segment that 3D Slicer's header (.seg.nrrd) tells; none for other files.

    Raises:
        VolumeError: the header cannot be read.
    """
    with _parsed(path) as is_nifti:
        if is_nifti:
            return []
        with path.open("rb") as file:
            header = nrrd.read_header(file)
        segments = (key.removesuffix("_Name") for key in header if _SEGMENT_NAME.fullmatch(key))
        return [
            (int(header[f"{one}_LabelValue"]), header[f"{one}_Name"])
            for one in segments
            if f"{one}_LabelValue" in header
        ]


@contextlib.contextmanager
def _parsed(path: Path) -> Iterator[bool]:
    """Give whether a file is NIfTI, else NRRD; what a parser raises in the block becomes a VolumeError."""
    suffix = suffix_of(path)
    if not suffix:
        raise VolumeError(f"{path.name} is no image file: its name must end in {', '.join(FORMATS)}.")
    if not path.is_file():
        raise VolumeError(f"There is no file {path.name}.")
    try:
        yield FORMATS[suffix] == "NIfTI"
    except (VolumeError, MemoryError):
        raise
    except Exception as error:  # parsers of damaged files raise whatever they stumble over
        raise VolumeError(
            f"{path.name} cannot be read: it is truncated, damaged or not a {FORMATS[suffix]} file."
        ) from error


def _read_nifti(path: Path) -> Grid:
    kind: Any = type(nibabel.load(path))  # NIfTI-1 or NIfTI-2
    # In one open file, each slab is decompressed from where the one before it ended.
    compressed = suffix_of(path) == ".nii.gz"
    with gzip.open(path) if compressed else path.open("rb") as file:
        image = kind.from_stream(file)
        data = image.dataobj
        _check_values(data.dtype)
        shape = _three_axes(image.shape)
        claimed = math.prod(shape) * data.dtype.itemsize
        if claimed > path.stat().st_size * (_DEFLATE_RATIO if compressed else 1):
            raise VolumeError(f"{path.name} is truncated: its header promises more voxels than it holds.")
        array = np.empty(shape, dtype=np.float32, order="F")
        # In slabs: nibabel scales in float64, which for a whole study is twice the memory of the result.
        thickness = max(1, _SLAB_BYTES // (8 * shape[0] * shape[1]))
        further = (0,) * (len(image.shape) - 3)
        for start in range(0, shape[2], thickness):
            slab = slice(start, start + thickness)
            array[:, :, slab] = data[(slice(None), slice(None), slab, *further)]
        after = 0
        while rest := file.read(_SLAB_BYTES):  # gzip compares its checksum when it comes to the end
            after += len(rest)
            if after > _MOST_AFTER:
                raise VolumeError(f"{path.name} holds more than its header says; nothing of it is taken.")
    return array, _nifti_affine(image)


def _nifti_affine(image: Any) -> NDArray[np.float64]:
    affine = np.array(image.affine, dtype=np.float64)
    affine[:3] *= _MILLIMETRES.get(image.header.get_xyzt_units()[0], 1.0)
    return affine


def _read_nrrd(path: Path) -> Grid:
    with path.open("rb") as file:
        header = nrrd.read_header(file)
        detached = header.get("data file", header.get("datafile"))
        if detached is not None and Path(detached).name != detached:
            # A header that came over the network must not name any file of this machine.
            raise VolumeError(f"{path.name} keeps its voxels in another folder; they must lie beside it.")
        order, affine = _nrrd_axes(path, header)
        if detached is None and header.get("encoding") in _UNPACKERS:
            values = _unpacked(path, header, file)
        else:
            values = nrrd.read_data(header, file, str(path))
    _check_values(values.dtype)
    values = values.transpose(order)
    shape = _three_axes(values.shape)
    return values.reshape(shape, order="A").astype(np.float32, order="F"), affine


def _unpacked(path: Path, header: Any, file: IO[bytes]) -> NDArray:
    """Return an NRRD's voxels, of which no more is decompressed than the largest type would take."""
    if {"line skip", "lineskip", "byte skip", "byteskip"} & header.keys():
        raise VolumeError(f"{path.name} says to skip something before its voxels; save it without that.")
    most = math.prod(int(size) for size in header["sizes"]) * _LARGEST_VALUE_BYTES
    content = _UNPACKERS[header["encoding"]]().decompress(file.read(), most + 1)
    values: NDArray = nrrd.read_data({**header, "encoding": "raw"}, io.BytesIO(content))
    if len(content) != values.nbytes:
        raise VolumeError(f"{path.name} holds more than its header says; nothing of it is taken.")
    return values


def _nrrd_axes(path: Path, header: Any) -> tuple[list[int], NDArray[np.float64]]:
    """Return an NRRD's axes, those of space first, and its affine, voxel centre -> RAS+ mm; refuse others."""
    signs = _SIGNS_IN_RAS.get(str(header.get("space", "")).lower())
    directions = header.get("space directions")
    if signs is None or directions is None:
        raise VolumeError(
            f"{path.name} does not say where its axes point: 'space' and 'space directions' are needed."
        )
    # An axis without a direction is not one of space: time, or the components of a vector.
    rows = [None if row is None or np.isnan(row).any() else np.asarray(row) for row in directions]
    spatial = [axis for axis, row in enumerate(rows) if row is not None]
    order = [*spatial, *(axis for axis in range(len(rows)) if axis not in spatial)]
    _three_axes(tuple(int(header["sizes"][axis]) for axis in order))
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([row for row in rows if row is not None])
    affine[:3, 3] = header.get("space origin", (0, 0, 0))
    units = [str(one).strip().lower().removesuffix("s") for one in header.get("space units", ["mm"] * 3)]
    if len(units) != 3 or not _MILLIMETRES.keys() >= set(units):
        raise VolumeError(f"{path.name} states 'space units' other than m, cm, mm or um for its three axes.")
    affine[:3] *= (np.array(signs) * [_MILLIMETRES[one] for one in units])[:, np.newaxis]
    return order, affine


def _check_values(dtype: np.dtype) -> None:
    if dtype.kind not in "biuf":
        raise VolumeError("The image is complex or in colour; one real number a voxel is needed.")


def _three_axes(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return the lengths of the first three axes, where there are no others to choose from."""
    if len(shape) < 3:
        raise VolumeError(f"The image has {len(shape)} axes; a volume of 3 is needed.")
    if any(size != 1 for size in shape[3:]):
        raise VolumeError(
            f"The image has {math.prod(shape[3:])} frames or channels; choose one and save it as a 3-D image."
        )
    i, j, k = (int(size) for size in shape[:3])
    if i * j * k > MOST_VOXELS:
        raise VolumeError(
            f"The image has {i} x {j} x {k} voxels; at most {MOST_VOXELS >> 20} million are read."
        )
    return i, j, k
