"""Why something in a text is marked, in one sentence of its language."""

from lib.report.language import Language

_REASONS: dict[str, dict[Language, str]] = {
    "number": {
        "en": "{said} is neither in the lesion table nor in the findings.",
        "zh": "病灶表和检查所见中均没有 {said}。",
    },
    "number_elsewhere": {
        "en": "{said} was measured at another site, not at {site}.",
        "zh": "{said} 是其他部位的数值，不属于{site}。",
    },
    "number_of_another": {
        "en": "{said} is not of {site}, but of another lesion.",
        "zh": "{said} 是其他病灶的数值，不属于{site}。",
    },
    "no_such_lesion": {
        "en": "Lesion table and findings have no {said}.",
        "zh": "病灶表和检查所见中没有{said}。",
    },
    "count": {
        "en": "This count is not supported: lesion table and findings have {known}.",
        "zh": "该数目没有依据：病灶表和检查所见中为 {known}。",
    },
    "site": {
        "en": "Neither lesion table nor findings have a lesion at this site: {site}.",
        "zh": "病灶表和检查所见中该部位没有病灶：{site}。",
    },
    "side": {
        "en": "The side differs: lesion table and findings say {known}.",
        "zh": "侧别不符：病灶表和检查所见为{known}。",
    },
    "denied": {
        "en": "The findings say that there is nothing here: {site}.",
        "zh": "检查所见否认此处有异常：{site}。",
    },
    "affirmed": {
        "en": "Lesion table or findings have a lesion here, which this denies: {site}.",
        "zh": "病灶表或检查所见中此处有病灶，而文中予以否认：{site}。",
    },
    "disease_denied": {
        "en": "The findings deny this: {site}.",
        "zh": "检查所见对此予以否认：{site}。",
    },
    "disease_affirmed": {
        "en": "The findings affirm what this denies: {site}.",
        "zh": "检查所见对此予以肯定，而文中否认：{site}。",
    },
}
_SIDES: dict[Language, dict[str, str]] = {
    "en": {"left": "left", "right": "right", "bilateral": "both sides"},
    "zh": {"left": "左侧", "right": "右侧", "bilateral": "双侧"},
}


def reason(name: str, language: Language, **fills: str) -> str:
    """Return the sentence."""
    return _REASONS[name][language].format(**fills)


def side_words(sides: set[str], language: Language) -> str:
    """Return sides in words."""
    joint = "、" if language == "zh" else " and "
    return joint.join(_SIDES[language][side] for side in sorted(sides))
