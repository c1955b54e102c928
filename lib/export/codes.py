"""Codes for what labels and measurements mean: SNOMED CT, DCM and UCUM as PS3.16 has them."""

import re
from typing import NamedTuple

from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from lib.pet.organ_map import side_of

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
#: The longest distance between two corners of a lesion's voxels (IBSI L0JK).
FERET = CodedConcept("L0JK", "IBSI", "Maximum 3D Diameter of a Mesh")
#: The largest distance between the centroids of two lesions (Cottereau 2020); no standard has a code for it.
DMAX = CodedConcept("DMAX", "99SEGPET", "Largest distance between two lesions")


class Meaning(NamedTuple):
    """What a label means: category and type (PS3.16 CID 7150 and 7151), and the side of a paired organ."""

    category: CodedConcept
    type: CodedConcept
    side: CodedConcept | None = None


def meaning_of(label: str) -> Meaning:
    """Return the codes of a label; what is no organ of the table is a lesion."""
    side = side_of(label)
    bare = "_".join(part for part in re.split(r"[\s_]+", label.lower()) if part not in _SIDES)
    organ = _ORGANS.get(bare)
    if organ is None:
        return Meaning(_coded(codes.SCT.MorphologicallyAbnormalStructure), _coded(codes.SCT.Lesion))
    return Meaning(
        _coded(codes.SCT.AnatomicalStructure), _coded(organ), _coded(_SIDES[side]) if side else None
    )


def algorithm_family(model: str) -> CodedConcept:
    """Return what kind of algorithm a model is (CID 7162)."""
    family = codes.cid7162
    return _coded(family.NeighborhoodAnalysis if model == "suv_region" else family.ArtificialIntelligence)


def site_of_organ(name: str | None) -> tuple[CodedConcept, CodedConcept | None] | None:
    """Return the code of an organ of the map and of its side; None for one that has none here."""
    if name is None:
        return None
    meaning = meaning_of(name)
    return (meaning.type, meaning.side) if meaning.type.value != codes.SCT.Lesion.value else None


def _coded(code: AnyCode) -> CodedConcept:
    return CodedConcept(code.value, code.scheme_designator, code.meaning)
