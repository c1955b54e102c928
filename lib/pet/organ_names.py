"""Whether a name is an organ's."""

import re
from functools import cache

from lib.pet.organ_map import organ_table

#: Words of annotators' lists of organs that TotalSegmentator's table does not have.
_MORE = (
    "bladder bone bowel breast gland kidney lacrimal lung marrow muscle ovary parotid rectum salivary "
    "submandibular testis tonsil urethra ureter uterus vertebra blood pool left right upper lower middle lobe"
)


def is_organ_name(name: str) -> bool:
    """Whether a name, such as `kidney_left` or `Left kidneys`, has words for organs and sides alone."""
    words = re.findall(r"[a-z]+", name.lower())
    return bool(words) and all(
        word in _vocabulary() or word.removesuffix("s") in _vocabulary() for word in words
    )


@cache
def _vocabulary() -> frozenset[str]:
    names = [name for name, _ in organ_table().values()]
    return frozenset(word for name in [*names, _MORE] for word in re.findall(r"[a-z]+", name.lower()))
