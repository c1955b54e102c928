"""A volume as a NIfTI file."""

import gzip

import nibabel

from lib.pet import Volume


def nifti_bytes(volume: Volume) -> bytes:
    """Return a volume as the content of a .nii.gz file: float32, values in the volume's unit."""
    image = nibabel.Nifti1Image(volume.array, volume.affine)
    image.set_sform(volume.affine, code=1)
    image.set_qform(volume.affine, code=1)
    image.header.set_xyzt_units("mm")
    return gzip.compress(image.to_bytes(), compresslevel=1, mtime=0)
