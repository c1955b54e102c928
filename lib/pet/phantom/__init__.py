"""Digital patients: a PET image whose truth is known, from analytic shapes and published uptake."""

from lib.pet.phantom.field import SCANNER_VOXELS_MM
from lib.pet.phantom.lesions import KINDS, Lesion
from lib.pet.phantom.parts import Patient
from lib.pet.phantom.state import phantoms_state
from lib.pet.phantom.uptake import Uptake, UptakeError, uptake_of
from lib.pet.phantom.whole import Phantom, make_phantom

__all__ = [
    "KINDS",
    "SCANNER_VOXELS_MM",
    "Lesion",
    "Patient",
    "Phantom",
    "Uptake",
    "UptakeError",
    "make_phantom",
    "phantoms_state",
    "uptake_of",
]
