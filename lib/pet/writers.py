"""Masks as files."""

import gzip
import uuid
from io import BufferedIOBase
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from lib.pet.image_files import read_image_file, suffix_of
from lib.pet.volume import VolumeError, checked_affine


def write_mask(path: str | Path, mask: NDArray, affine: NDArray[np.floating]) -> None:
    """Write a class or instance map to .nii, .nii.gz or .nrrd (not compressed, for speed).

    The file appears whole or not at all: it is written beside its place under a name that no image has, then
    moved there. The same mask always gives the same bytes.

    Args:
        path: where to; the name's end says in which format.
        mask: uint8, uint16 or bool (written as uint8) [i, j, k]; fastest in Fortran order.
        affine: 4x4, voxel centre -> RAS+ mm.

    Raises:
        VolumeError: another ending, type or number of axes, or an affine that is none.
        OSError: the folder cannot be written.
    """
    path = Path(path)
    writer = {".nii": _write_nifti, ".nii.gz": _write_nifti_gz, ".nrrd": _write_nrrd}.get(suffix_of(path))
    if writer is None:
        raise VolumeError(f"{path.name} is no name for a mask: it must end in .nii, .nii.gz or .nrrd.")
    if mask.ndim != 3 or mask.dtype not in (np.uint8, np.uint16, np.bool_):
        raise VolumeError("A mask needs 3 axes and the type uint8 or uint16.")
    affine = checked_affine(affine)
    if mask.dtype == np.bool_:
        mask = mask.view(np.uint8)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            writer(file, mask, affine)
        part.replace(path)
    except OSError as error:
        if error.filename is not None:  # of the part, which nobody asked for
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        part.unlink(missing_ok=True)


def read_mask(path: str | Path) -> tuple[NDArray[np.unsignedinteger], NDArray[np.float64]]:
    """Read a class or instance map from NIfTI or NRRD.

    Returns:
        Labels [i, j, k] in Fortran order, uint8 where they fit, else uint16; affine 4x4, voxel centre
        -> RAS+ mm.

    Raises:
        VolumeError: as read_volume does for files, and where a value is not a whole number from 0 to 65535.
    """
    path = Path(path)
    values, affine = read_image_file(path)  # float32 holds every whole number up to 2^24
    lowest, highest = values.min(), values.max()
    if not (lowest >= 0 and highest <= np.iinfo(np.uint16).max):  # also where they are NaN
        raise VolumeError(f"{path.name} is no mask: its values are not whole numbers from 0 to 65535.")
    mask: NDArray[np.unsignedinteger] = values.astype(
        np.uint8 if highest <= np.iinfo(np.uint8).max else np.uint16
    )
    if not np.array_equal(mask, values):
        raise VolumeError(f"{path.name} is no mask: its values are not whole numbers from 0 to 65535.")
    return mask, checked_affine(affine)


def _write_nifti(file: BufferedIOBase, mask: NDArray, affine: NDArray[np.float64]) -> None:
    image = nibabel.Nifti1Image(mask, affine)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    image.header.set_xyzt_units("mm")
    image.to_stream(file)


def _write_nifti_gz(file: BufferedIOBase, mask: NDArray, affine: NDArray[np.float64]) -> None:
    # Masks are mostly zeros: the lowest level is nearly as small as the highest, and much faster.
    with gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=file, mtime=0) as compressed:
        _write_nifti(compressed, mask, affine)


def _write_nrrd(file: BufferedIOBase, mask: NDArray, affine: NDArray[np.float64]) -> None:
    # Not with pynrrd, which writes the time into the header: equal masks are equal bytes.
    *directions, origin = (
        f"({','.join(f'{value:.17g}' for value in vector)})"
        for vector in (np.diag([-1, -1, 1]) @ affine[:3]).T + 0.0
    )
    header = {
        "type": mask.dtype.name,
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": " ".join(map(str, mask.shape)),
        "space directions": " ".join(directions),
        "kinds": "domain domain domain",
        "endian": "little",
        "encoding": "raw",
        "space origin": origin,
    }
    lines = ["NRRD0005", *(f"{key}: {value}" for key, value in header.items())]
    file.write("\n".join([*lines, "", ""]).encode())
    file.write(np.ascontiguousarray(mask.T, mask.dtype.newbyteorder("<")).data)
