"""PET volumes: reading, writing, lesion masks and numbers, digital phantoms."""

from lib.pet.crop import Crop
from lib.pet.readers import read_volume
from lib.pet.volume import Volume, VolumeError

__all__ = ["Crop", "Volume", "VolumeError", "read_volume"]
