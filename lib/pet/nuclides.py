"""Positron emitters: their names in DICOM headers, and their half-lives."""

import re

#: Half-lives in seconds (IAEA LiveChart of Nuclides, as evaluated in ENSDF).
HALF_LIVES = {
    "C-11": 1221.8,
    "N-13": 597.9,
    "O-15": 122.24,
    "F-18": 6586.2,
    "Na-22": 82_072_000.0,
    "Sc-43": 14_007.6,
    "Sc-44": 14_551.2,
    "Ti-45": 11_088.0,
    "Mn-52": 483_062.0,
    "Co-55": 63_108.0,
    "Cu-60": 1422.0,
    "Cu-61": 12_020.4,
    "Cu-62": 580.2,
    "Cu-64": 45_723.6,
    "Ga-66": 34_164.0,
    "Ga-68": 4062.6,
    "Ge-68": 23_409_000.0,
    "As-72": 93_600.0,
    "Br-76": 58_320.0,
    "Rb-82": 76.38,
    "Y-86": 53_064.0,
    "Y-90": 230_580.0,
    "Zr-89": 282_276.0,
    "Tb-152": 63_000.0,
    "I-124": 360_806.4,
}

#: Codes of DICOM PS3.16 CID 4020 for them: SNOMED CT, the older SNOMED RT, and DCM.
_CODES = {
    **dict.fromkeys(("40565003", "C-105A1"), "C-11"),
    **dict.fromkeys(("21576001", "C-107A1"), "N-13"),
    **dict.fromkeys(("129504001", "C-B1038"), "O-15"),
    **dict.fromkeys(("77004003", "C-111A1"), "F-18"),
    **dict.fromkeys(("71633006", "C-155A1"), "Na-22"),
    "126605": "Sc-43",
    "126600": "Sc-44",
    **dict.fromkeys(("3932008", "C-127A2"), "Cu-64"),
    **dict.fromkeys(("35337001", "C-131A3"), "Ga-68"),
    **dict.fromkeys(("79197006", "C-159A2"), "Rb-82"),
    **dict.fromkeys(("10738001", "C-162A3"), "Y-86"),
    **dict.fromkeys(("14691008", "C-162A7"), "Y-90"),
    **dict.fromkeys(("63360001", "C-168A4"), "Zr-89"),
    **dict.fromkeys(("40937006", "C-114A5"), "I-124"),
}
_ELEMENTS = {
    "carbon": "C",
    "nitrogen": "N",
    "oxygen": "O",
    "fluorine": "F",
    "fluor": "F",
    "sodium": "Na",
    "scandium": "Sc",
    "titanium": "Ti",
    "manganese": "Mn",
    "cobalt": "Co",
    "copper": "Cu",
    "gallium": "Ga",
    "germanium": "Ge",
    "arsenic": "As",
    "bromine": "Br",
    "rubidium": "Rb",
    "yttrium": "Y",
    "zirconium": "Zr",
    "terbium": "Tb",
    "iodine": "I",
}
_SYMBOLS = {symbol.lower(): symbol for symbol in _ELEMENTS.values()}


def nuclide_of(code: str, meaning: str) -> str:
    """Return a nuclide's name ("F-18") from its code or the code's meaning ("^18^Fluorine", "18F", "Ga 68").

    A name that is in neither table is "": the half-life then cannot be checked.
    """
    if code in _CODES:
        return _CODES[code]
    words = re.findall(r"[a-z]+|\d+", meaning.lower())
    masses = {word for word in words if word.isdigit()}
    symbols = {_ELEMENTS.get(word) or _SYMBOLS.get(word) for word in words}
    found = {f"{symbol}-{mass}" for symbol in symbols if symbol for mass in masses} & HALF_LIVES.keys()
    return found.pop() if len(found) == 1 else ""


def nuclide_with(half_life: float) -> str:
    """Return the one nuclide whose half-life, in seconds, this is within 1 %; "" where there is none."""
    found = [name for name, seconds in HALF_LIVES.items() if abs(half_life / seconds - 1) < 0.01]
    return found[0] if len(found) == 1 else ""
