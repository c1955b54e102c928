"""Skin, fat and muscle: the outline of trunk, head and limbs."""

from collections.abc import Iterator

import numpy as np

from lib.pet.phantom.parts import SIDES, Part, Patient, Variation, mirrored, parts
from lib.pet.phantom.shapes import Ellipsoid, Loft

# z, x, y, half width, half depth of what lies under the fat.
_TRUNK = (
    (826, 0, 10, 128, 74), (850, 0, 5, 156, 86), (890, 0, 2, 166, 92), (930, 0, 0, 162, 94),
    (980, 0, 0, 150, 93), (1040, 0, 0, 141, 94), (1110, 0, 0, 145, 101), (1180, 0, 0, 152, 107),
    (1250, 0, 0, 156, 110), (1330, 0, 0, 160, 107), (1390, 0, 4, 168, 96), (1425, 0, 8, 172, 82),
    (1447, 0, 12, 150, 66), (1465, 0, 15, 92, 58), (1480, 0, 15, 66, 55), (1530, 0, 14, 56, 56),
    (1570, 0, 18, 55, 60), (1610, 0, 22, 54, 62),
)  # fmt: skip
_LEG = (
    (20, 80, -20, 34, 66), (60, 80, 5, 32, 40), (120, 80, 10, 34, 38), (330, 80, 15, 50, 54),
    (450, 80, 5, 52, 55), (500, 81, 2, 55, 58), (700, 84, 0, 70, 74), (800, 84, 0, 80, 82),
    (880, 82, 3, 78, 84),
)  # fmt: skip
#: Shoulder to fingers and their radii.
_ARM_DOWN = (
    ((158, 8, 1425), 46), ((182, 8, 1360), 45), ((200, 14, 1140), 36), ((208, 0, 1090), 36),
    ((212, -18, 900), 25), ((205, -30, 800), 28), ((198, -35, 740), 16),
)  # fmt: skip
_ARM_UP = (
    ((152, 8, 1425), 48), ((165, 0, 1490), 45), ((172, -25, 1690), 37), ((160, -35, 1745), 36),
    ((85, -30, 1850), 27), ((30, -30, 1890), 28),
)  # fmt: skip


def arm(patient: Patient) -> tuple[tuple[tuple[float, float, float], float], ...]:
    """Return points and radii of the left arm, from the shoulder to the fingers."""
    return _ARM_DOWN if patient.arms == "down" else _ARM_UP


def outline(patient: Patient, vary: Variation) -> Iterator[Part]:
    """Yield fat, then the muscle in it, then the fat within the belly."""
    fat = patient.fat_mm
    limbs = 0.35 * fat + 3
    yield Part(_trunk(fat), "fat", None)
    for _, sign in SIDES:
        yield Part(_leg(sign, limbs), "fat", None)
        points, radii = zip(*arm(patient), strict=True)
        yield from parts(vary.tube(mirrored(points, sign), np.add(radii, limbs / 2), 0, 30), "fat", None)
        buttock = Ellipsoid((sign * 68, 70, 895), (62 + fat / 3, 45 + fat, 72))
        yield Part(buttock, "fat", None)
    yield from parts(_head(4), "fat", None)
    if patient.sex == "F":
        for side, sign in SIDES:
            size = 0.8 + fat / 45
            at = (sign * 78.0, -100.0 - fat / 2, 1285.0)
            yield Part(Ellipsoid(at, (60 * size, 48 * size, 55 * size)), "fat", None)
            yield Part(
                vary.ellipsoid((at[0], at[1] - 12 * size, at[2]), (38 * size, 24 * size, 34 * size)),
                "breast",
                f"breast_{side}",
            )
    yield Part(_trunk(0), "muscle", None)
    for side, sign in SIDES:
        yield Part(_leg(sign, 0), "muscle", None)
        points, radii = zip(*arm(patient), strict=True)
        yield from parts(vary.tube(mirrored(points, sign), np.subtract(radii, 4), 0, 30), "muscle", None)
        gluteus = vary.ellipsoid((sign * 66, 72, 895), (55, 38, 62), (0, 0, sign * 25))
        yield Part(gluteus, "muscle", f"gluteus_maximus_{side}")
    yield from parts(_head(0), "muscle", None)
    yield Part(_belly(), "fat", None, 1.4)  # with the vessels and the omentum in it


def _trunk(fat: float) -> Loft:
    levels = []
    for z, x, y, a, b in _TRUNK:
        thick = fat * np.interp(z, (826, 1000, 1200, 1400, 1470, 1610), (1.0, 1.0, 0.75, 0.45, 0.3, 0.15)) + 3
        levels.append((z, x, y - 0.25 * thick, a + thick, b + 1.05 * thick) if fat else (z, x, y, a, b))
    return Loft(tuple(levels))


def _leg(sign: int, fat: float) -> Loft:
    return Loft(tuple((z, sign * x, y, a + fat, b + fat) for z, x, y, a, b in _LEG))


def _head(skin: float) -> list[Ellipsoid]:
    return [
        Ellipsoid((0, 2, 1660), (76 + skin, 97 + skin, 86 + skin)),
        Ellipsoid((0, -38, 1590), (58 + skin, 58 + skin, 74 + skin)),
    ]


def _belly() -> Loft:
    """Return what the belly's wall encloses, front of the spine."""
    inner = [(z, 0, -14, a - 17, b - 28) for z, _, _, a, b in _TRUNK if 850 <= z <= 1190]
    return Loft(tuple(inner))
