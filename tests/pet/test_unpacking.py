"""Small files that unpack to huge ones are refused by their header, or where they go past it."""

import bz2
import gzip
import resource
import subprocess
import sys
import zlib

import nibabel
import nrrd
import numpy as np
import pytest

from lib.pet import VolumeError
from lib.pet.image_files import MOST_VOXELS, check_image_header, read_image_file

HEADER = """NRRD0005
type: uint8
dimension: 3
space: left-posterior-superior
sizes: {sizes}
space directions: (1,0,0) (0,1,0) (0,0,1)
encoding: {encoding}
endian: little
space origin: (0,0,0)

"""
ZEROS = bytes(1 << 20)


def packed_zeros(encoding, megabytes):
    pack = (
        zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16) if encoding == "gzip" else bz2.BZ2Compressor()
    )
    return b"".join([*(pack.compress(ZEROS) for _ in range(megabytes)), pack.flush()])


def nifti_gz(path, shape, megabytes):
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape((4, 4, 4))
    header["dim"][1:4] = shape
    header["vox_offset"] = 352
    with gzip.open(path, "wb", 9) as file:
        file.write(header.binaryblock + bytes(4))
        for _ in range(megabytes):
            file.write(ZEROS)
    return path


@pytest.mark.parametrize("shape", [(2000, 2000, 2000), (32767, 32767, 32767)])
def test_a_header_that_claims_more_voxels_than_any_image_has_is_refused_unread(tmp_path, shape):
    assert np.prod(shape, dtype=float) > MOST_VOXELS
    path = nifti_gz(tmp_path / "huge.nii.gz", shape, 1)
    for read in (check_image_header, read_image_file):
        with pytest.raises(VolumeError, match="at most 512 million are read"):
            read(path)


def test_a_header_that_claims_more_than_the_file_could_unpack_to_is_refused(tmp_path):
    path = nifti_gz(tmp_path / "short.nii.gz", (800, 800, 800), 1)
    with pytest.raises(VolumeError, match="promises more voxels"):
        read_image_file(path)


@pytest.mark.parametrize("encoding", ["gzip", "bzip2"])
def test_a_compressed_nrrd_is_unpacked_no_further_than_its_header_says(tmp_path, encoding):
    path = tmp_path / "bomb.nrrd"
    head = HEADER.format(sizes="8 8 8", encoding=encoding).encode()
    path.write_bytes(head + packed_zeros(encoding, 256))
    with pytest.raises(VolumeError, match="more than its header says"):
        read_image_file(path)
    skipping = head.replace(b"endian:", b"byte skip: 268434944\nendian:")
    path.write_bytes(skipping + packed_zeros(encoding, 256))
    with pytest.raises(VolumeError, match="skip"):
        read_image_file(path)


@pytest.mark.parametrize("encoding", ["gzip", "bzip2", "raw", "ascii"])
def test_an_honest_nrrd_is_read_whatever_its_encoding(tmp_path, encoding):
    values = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    header = {"space": "left-posterior-superior", "space directions": np.eye(3), "encoding": encoding}
    nrrd.write(str(tmp_path / "a.nrrd"), values, header)
    np.testing.assert_array_equal(read_image_file(tmp_path / "a.nrrd")[0], values)


def test_a_bomb_takes_little_memory_and_time(tmp_path):
    """Zeros after a small image: refused after 64 MB of them, in a process that may take 2 GB."""
    path = nifti_gz(tmp_path / "bomb.nii.gz", (8, 8, 8), 256)
    program = (
        "import sys; from lib.pet import VolumeError; from lib.pet.image_files import read_image_file\n"
        "try: read_image_file(__import__('pathlib').Path(sys.argv[1]))\n"
        "except VolumeError as error: print(error)"
    )

    def limited():
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))

    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, preexec_fn=limited,
        timeout=60, check=True, env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert "more than its header says" in done.stdout
