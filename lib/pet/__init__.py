"""PET volumes: reading, writing, lesion masks and numbers, digital phantoms."""

from lib.pet.crop import Crop
from lib.pet.phantom import Phantom, make_phantom
from lib.pet.quantify import LesionNumbers, PatientNumbers, quantify, summarise
from lib.pet.readers import read_volume
from lib.pet.volume import UNITS, Volume, VolumeError
from lib.pet.writers import read_mask, write_mask

__all__ = [
    "UNITS",
    "Crop",
    "LesionNumbers",
    "PatientNumbers",
    "Phantom",
    "Volume",
    "VolumeError",
    "make_phantom",
    "quantify",
    "read_mask",
    "read_volume",
    "summarise",
    "write_mask",
]
