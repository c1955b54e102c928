"""The classes of a phantom: numbers that never change, and TotalSegmentator's names where it has them."""

_VERTEBRAE = tuple(
    f"vertebrae_{letter}{number}"
    for letter, count in (("C", 7), ("T", 12), ("L", 5))
    for number in range(1, count + 1)
)
_RIBS = tuple(f"rib_{side}_{number}" for side in ("left", "right") for number in range(1, 13))


def _pair(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}_{side}" for name in names for side in ("left", "right"))


_NAMES = (
    "liver", "spleen", *_pair("kidney"), "heart", "aorta", "urinary_bladder", "brain",
    "lung_upper_lobe_left", "lung_lower_lobe_left",
    "lung_upper_lobe_right", "lung_middle_lobe_right", "lung_lower_lobe_right",
    "gallbladder", "stomach", "pancreas", *_pair("adrenal_gland"), "duodenum", "small_bowel", "colon",
    "esophagus", "trachea", "thyroid_gland", "prostate", "uterus", *_pair("ovary", "testis", "breast"),
    *_pair("parotid_gland", "submandibular_gland", "lacrimal_gland"), "pituitary_gland",
    *_pair("palatine_tonsil"), "nasal_mucosa", *_pair("eye"), "spinal_cord",
    "superior_vena_cava", "inferior_vena_cava", *_pair("iliac_artery", "ureter"), "skull",
    "sternum", "sacrum", *_pair("clavicula", "scapula", "humerus"),
    *_pair("hip", "femur", "tibia"), *_pair("autochthon", "iliopsoas", "gluteus_maximus"),
    *_VERTEBRAE, *_RIBS,
)  # fmt: skip

LESION = "lesion"
#: Above all organs, so that one more organ changes no number.
LESION_CLASS = 255
#: Class -> name; 0 is everything else. Append only: the numbers are in people's files.
CLASSES: dict[int, str] = dict(enumerate(_NAMES, start=1)) | {LESION_CLASS: LESION}
NUMBERS = {name: number for number, name in CLASSES.items()}
