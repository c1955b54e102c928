"""PET volumes: reading, writing, lesion masks and numbers, digital phantoms."""

from lib.pet.choice import choose
from lib.pet.crop import Crop
from lib.pet.dicom import read_ct, read_series
from lib.pet.phantom import Phantom, make_phantom
from lib.pet.preflight import Preflight
from lib.pet.quantify import LesionNumbers, PatientNumbers, quantify, summarise
from lib.pet.readers import read_volume
from lib.pet.series import find_ct, find_series
from lib.pet.suv import QUANTITIES, suv_factors
from lib.pet.volume import UNITS, Volume, VolumeError
from lib.pet.writers import read_mask, write_mask

__all__ = [
    "QUANTITIES",
    "UNITS",
    "Crop",
    "LesionNumbers",
    "PatientNumbers",
    "Phantom",
    "Preflight",
    "Volume",
    "VolumeError",
    "choose",
    "find_ct",
    "find_series",
    "make_phantom",
    "quantify",
    "read_ct",
    "read_mask",
    "read_series",
    "read_volume",
    "summarise",
    "suv_factors",
    "write_mask",
]
