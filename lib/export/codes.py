"""Codes for what labels and measurements mean: SNOMED CT, DCM and UCUM as PS3.16 has them."""

import re
from typing import NamedTuple

from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from lib.pet.organ_map import side_of
from lib.pet.organ_names import is_organ_name

AnyCode = Code | CodedConcept

#: Organs by their names without a side.
_ORGANS = {
    "liver": codes.SCT.Liver,
    "kidney": codes.SCT.Kidney,
    "heart": codes.SCT.Heart,
    "spleen": codes.SCT.Spleen,
    "aorta": codes.SCT.Aorta,
    "prostate": codes.SCT.Prostate,
    "lung_upper_lobe": codes.SCT.UpperLobeOfLung,
    "lung_lower_lobe": codes.SCT.LowerLobeOfLung,
    "lung_middle_lobe": codes.SCT.MiddleLobeOfRightLung,
    "brain": codes.SCT.Brain,
    "urinary_bladder": codes.SCT.Bladder,
    "stomach": codes.SCT.Stomach,
    "pancreas": codes.SCT.Pancreas,
}
_SIDES = {"left": codes.SCT.Left, "right": codes.SCT.Right}

#: Standardised uptake value by body weight; DICOM's own code of the quantity (CID 7469).
SUVBW = CodedConcept("126401", "DCM", "SUVbw")
SUVBW_UNIT = codes.cid85.StandardizedUptakeValueBodyWeight
#: What is measured where SUV cannot be computed.
ACTIVITY = CodedConcept("ACTCONC", "99SEGPET", "Activity concentration")
BECQUEREL_PER_ML = CodedConcept("Bq/ml", "UCUM", "Becquerels/milliliter")
NO_UNIT = CodedConcept("1", "UCUM", "no units")
MILLILITRE = CodedConcept("ml", "UCUM", "milliliter")
GRAM = CodedConcept("g", "UCUM", "gram")
MILLIMETRE = CodedConcept("mm", "UCUM", "millimeter")
#: `feret_mm`; IBSI's maximum 3D diameter (L0JK) is of a mesh, and no standard has a code for that of voxels.
FERET = CodedConcept("FERET", "99SEGPET", "Largest distance between corners of voxels")
#: The largest distance between the centroids of two lesions (Cottereau 2020); no standard has a code for it.
DMAX = CodedConcept("DMAX", "99SEGPET", "Largest distance between two lesions")


class Meaning(NamedTuple):
    """What a label means: category and type (PS3.16 CID 7150 and 7151), and the side of a paired organ."""

    category: CodedConcept
    type: CodedConcept
    side: CodedConcept | None = None


def meaning_of(label: str) -> Meaning:
    """Return the codes of a label; organs without one are anatomical structures, anything else a lesion."""
    side = side_of(label)
    bare = "_".join(part for part in re.split(r"[\s_]+", label.lower()) if part not in _SIDES)
    organ = _ORGANS.get(bare)
    structure = _coded(codes.SCT.AnatomicalStructure)
    if organ is None and is_organ_name(label):
        return Meaning(structure, structure, _coded(_SIDES[side]) if side else None)
    if organ is None:
        return Meaning(_coded(codes.SCT.MorphologicallyAbnormalStructure), _coded(codes.SCT.Lesion))
    return Meaning(structure, _coded(organ), _coded(_SIDES[side]) if side else None)


def algorithm_family(model: str) -> CodedConcept:
    """Return what kind of algorithm a model is (CID 7162)."""
    family = codes.cid7162
    return _coded(family.NeighborhoodAnalysis if model == "suv_region" else family.ArtificialIntelligence)


def site_of_organ(name: str | None) -> tuple[CodedConcept, CodedConcept | None] | None:
    """Return the code of an organ of the map and of its side; None for one that has none here."""
    if name is None:
        return None
    meaning = meaning_of(name)
    known = meaning.type.value not in (codes.SCT.Lesion.value, codes.SCT.AnatomicalStructure.value)
    return (meaning.type, meaning.side) if known else None


def _coded(code: AnyCode) -> CodedConcept:
    return CodedConcept(code.value, code.scheme_designator, code.meaning)
