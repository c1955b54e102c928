"""Bones: the marrow takes up the tracer, so they are painted with the marrow's uptake, limbs with less."""

from collections.abc import Iterator

import numpy as np

from lib.pet.phantom.outline import arm
from lib.pet.phantom.parts import SIDES, Part, Patient, Variation, mirrored, parts
from lib.pet.phantom.shapes import Ellipsoid

# How many vertebrae of each group; of the first and the last body's middle y and z, and its half axes.
_SPINE = {
    "C": (7, (16, 1550, 11, 8, 6), (24, 1458, 15, 10, 8)),
    "T": (12, (34, 1438, 16, 12, 8.5), (50, 1176, 21, 16, 12)),
    "L": (5, (48, 1150, 23, 17, 13), (36, 1010, 27, 18, 14)),
}


def skeleton(patient: Patient, vary: Variation) -> Iterator[Part]:
    """Yield the bones."""
    yield from _spine(vary)
    yield from _ribs(vary)
    yield Part(vary.ellipsoid((0, -93, 1330), (16, 7, 70), (-6, 0, 0), 4), "marrow", "sternum")
    for side, sign in SIDES:
        collar = mirrored([(12, -66, 1418), (80, -48, 1436), (150, 0, 1446)], sign)
        yield from parts(vary.tube(collar, 6.5), "bone", f"clavicula_{side}")
        blade = vary.ellipsoid((sign * 112, 62, 1365), (38, 7, 62), (0, 0, -sign * 28))
        yield Part(blade, "bone", f"scapula_{side}")
        yield from _arm_bones(patient, side, sign, vary)
        yield from _hip(side, sign, vary)
        yield from _leg_bones(side, sign, vary)


def _spine(vary: Variation) -> Iterator[Part]:
    sway = vary.random.normal(0, 4)  # a light scoliosis
    for letter, (count, first, last) in _SPINE.items():
        for number in range(1, count + 1):
            share = (number - 1) / (count - 1)
            y, z, *half = (1 - share) * np.array(first) + share * np.array(last)
            if letter == "T":
                y += 14 * np.sin(np.pi * share)
            elif letter == "L":
                y -= 7 * np.sin(np.pi * share)
            x = sway * np.sin((z - 1000) / 90)
            name = f"vertebrae_{letter}{number}"
            factor = vary.size(0.08) * (0.8 if letter == "C" else 1)
            body = Ellipsoid((x, y, z), tuple(half), power=4)
            arch = Ellipsoid((x, y + half[1] + 22, z - 3), (8, 13, half[2] * 0.8))
            sides = Ellipsoid((x, y + half[1] + 12, z), (half[0] + 8, 7, half[2] * 0.6))
            yield from parts((arch, sides), "bone", name)
            yield Part(body, "marrow", name, factor)
    spine = [(0, 42, 1560), (0, 52, 1440), (0, 84, 1310), (0, 74, 1176), (0, 66, 1130)]
    yield from parts(vary.tube(spine, 5, 0, 20), "spinal_cord", "spinal_cord")
    yield Part(vary.ellipsoid((0, 60, 945), (42, 17, 50), (-22, 0, 0)), "marrow", "sacrum")


def _ribs(vary: Variation) -> Iterator[Part]:
    for number in range(1, 13):
        start = 1438 - (number - 1) * 23.8
        # How far round the chest it goes, and how much it falls on the way.
        reach = {11: 0.5, 12: 0.35}.get(number, 0.84 if number > 1 else 0.75)
        fall = 22 + 7 * min(number, 8)
        angle = np.linspace(0.09, reach, 9) * np.pi
        z = start - fall * (np.linspace(0, reach, 9) ** 1.2)
        width = np.interp(z, (1180, 1330, 1390, 1425, 1450), (140, 148, 140, 112, 75))
        depth = np.interp(z, (1180, 1330, 1390, 1425, 1450), (95, 95, 84, 70, 55))
        for side, sign in SIDES:
            points = np.stack([sign * width * np.sin(angle), depth * np.cos(angle) + 2, z], axis=1)
            yield from parts(vary.tube(points, 5.5, 1), "rib", f"rib_{side}_{number}", vary.size(0.1))


def _arm_bones(patient: Patient, side: str, sign: int, vary: Variation) -> Iterator[Part]:
    points = mirrored([point for point, _ in arm(patient)], sign)
    yield Part(Ellipsoid(tuple(points[0]), (23, 23, 23)), "marrow", f"humerus_{side}", 0.9)
    shaft = np.vstack([points[0], points[1], points[2]])
    yield from parts(vary.tube(shaft, (17, 12, 16), 0), "bone", f"humerus_{side}")
    yield from parts(vary.tube(points[3:5], (13, 10), 0), "bone", "")


def _hip(side: str, sign: int, vary: Variation) -> Iterator[Part]:
    organ = f"hip_{side}"
    yield Part(vary.ellipsoid((sign * 92, 22, 972), (13, 50, 52), (0, sign * 18, sign * 28)), "marrow", organ)
    yield Part(vary.ellipsoid((sign * 88, 8, 905), (23, 30, 28)), "marrow", organ)
    ischium = mirrored([(76, 28, 890), (60, 32, 850), (48, 12, 838), (30, -30, 858)], sign)
    yield from parts(vary.tube(ischium, (15, 14, 9, 8)), "marrow", organ, 0.9)
    pubis = mirrored([(78, -12, 905), (45, -46, 898), (10, -56, 882)], sign)
    yield from parts(vary.tube(pubis, (12, 8, 10)), "marrow", organ, 0.9)


def _leg_bones(side: str, sign: int, vary: Variation) -> Iterator[Part]:
    femur = f"femur_{side}"
    yield Part(Ellipsoid((sign * 92, 2, 898), (22, 22, 22)), "marrow", femur, 0.85)
    neck = mirrored([(94, 2, 896), (116, 6, 868)], sign)
    yield from parts(vary.tube(neck, (15, 20), 0), "marrow", femur, 0.85)
    shaft = mirrored([(116, 6, 868), (106, 0, 700), (90, 4, 520), (84, 6, 485)], sign)
    yield from parts(vary.tube(shaft, (17, 13, 15, 25), 1, 20), "bone", femur)
    shin = mirrored([(82, 6, 455), (80, 6, 400), (80, 10, 100)], sign)
    yield from parts(vary.tube(shin, (24, 14, 12), 1, 25), "bone", f"tibia_{side}")
    yield Part(Ellipsoid((sign * 80, 0, 40), (24, 50, 20)), "bone", "")
