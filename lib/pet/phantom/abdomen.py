"""Belly and pelvis: liver to bladder."""

from collections.abc import Iterator

import numpy as np

from lib.pet.phantom.parts import SIDES, Part, Patient, Variation, mirrored, parts
from lib.pet.phantom.shapes import Ellipsoid, Union, tube


def abdomen(patient: Patient, vary: Variation) -> Iterator[Part]:
    """Yield the organs of belly and pelvis, those in front after those behind."""
    yield from _muscles(vary)
    yield from _bowel(vary)
    yield from _upper(vary)
    yield from _kidneys(vary)
    yield from _pelvis(patient, vary)


def _muscles(vary: Variation) -> Iterator[Part]:
    for side, sign in SIDES:
        back = mirrored([(30, 80, 900), (34, 76, 1020), (32, 84, 1180), (26, 92, 1330), (20, 70, 1440)], sign)
        yield from parts(vary.tube(back, (16, 23, 22, 16, 10), 1, 20), "muscle", f"autochthon_{side}")
        psoas = mirrored([(30, 42, 1140), (44, 34, 1040), (68, 10, 960), (82, -22, 905), (92, 2, 850)], sign)
        yield from parts(vary.tube(psoas, (9, 21, 23, 15, 11), 1), "muscle", f"iliopsoas_{side}")


def _bowel(vary: Variation) -> Iterator[Part]:
    """Yield loops whose uptake changes along them, as it does in people."""
    colon = [
        (-92, -25, 955), (-104, -5, 1010), (-106, 5, 1070), (-92, -15, 1098), (-50, -66, 1068),
        (10, -76, 1045), (70, -62, 1080), (104, -10, 1140), (112, 22, 1128), (113, 22, 1050), (104, 5, 975),
        (78, -20, 935), (40, -8, 948), (14, 22, 962), (0, 38, 935), (0, 36, 890), (0, 42, 842),
    ]  # fmt: skip
    radii = [27, 25, 24, 22, 21, 20, 19, 19, 18, 16, 16, 15, 14, 15, 17, 19, 13]
    yield from _uneven(vary, vary.tube(colon, radii, 5), "colon", 0.35)
    # Loops to and fro and, within these, up and down, on the way from the left upper to the right lower side.
    way = np.linspace(0, 1, 64)
    phase, pace = vary.random.uniform(0, 2 * np.pi, 3), vary.random.uniform(0.9, 1.1, 3)
    across = 30 - 50 * way + 46 * np.sin(2 * np.pi * 4 * pace[0] * way + phase[0])
    high = 1060 - 115 * way + 17 * np.sin(2 * np.pi * 9 * pace[1] * way + phase[1])
    deep = -44 + 24 * np.cos(2 * np.pi * 6.5 * pace[2] * way + phase[2])
    small = np.stack([across, deep, high], axis=1) + vary.random.normal(0, 4, (way.size, 3))
    yield from _uneven(vary, vary.tube(small, 11.5, 0), "small_bowel", 0.4)


def _uneven(vary: Variation, shapes: list, organ: str, spread: float) -> Iterator[Part]:
    """Yield a bowel's pieces, each with an uptake like its neighbours'."""
    level = np.convolve(vary.random.normal(0, 1, len(shapes) + 4), np.ones(5) / np.sqrt(5), "valid")
    # Log-normal with mean 1, so that the table's mean holds.
    for shape, factor in zip(shapes, np.exp(spread * level - spread**2 / 2), strict=True):
        yield Part(shape, organ, organ, float(np.clip(factor, 0.3, 2.5)))


def _upper(vary: Variation) -> Iterator[Part]:
    dome = vary.random.uniform(-8, 8)
    size = vary.size(0.06)
    right = vary.ellipsoid((-68, 2, 1182 + dome), (72 * size, 80 * size, 70 * size), (0, 8, 0), shift=1)
    left = vary.ellipsoid((10, -42, 1204 + dome), (66 * size, 42 * size, 33 * size), (0, 14, 0), shift=2)
    foot = vary.ellipsoid((-88, 8, 1130 + dome), (44 * size, 56 * size, 48 * size), shift=2)
    yield Part(Union(right, left, foot), "liver", "liver")
    spleen = vary.ellipsoid((106, 38, 1192), (22, 36, 50), (24, -8, -12), spread=0.12)
    yield Part(spleen, "spleen", "spleen")
    path = [
        (62, 10, 1240),
        (78, -2, 1212),
        (82, -30, 1160),
        (56, -62, 1118),
        (14, -64, 1106),
        (-18, -46, 1118),
    ]
    full = vary.random.uniform(0.75, 1.15)
    stomach = vary.tube(path, np.multiply((20, 31, 27, 22, 16, 11), full), 3)
    yield from parts(stomach, "stomach", "stomach")
    within = [
        (capsule.start, capsule.end, max(capsule.radius_start - 7, 1), max(capsule.radius_end - 7, 1))
        for capsule in stomach
    ]
    for start, end, first, last in within:
        yield from parts(tube([start, end], [first, last], 100), "stomach_content", None)
    pancreas = [(-34, -4, 1084), (-18, -14, 1104), (16, -20, 1118), (50, 2, 1132), (84, 22, 1152)]
    yield from parts(vary.tube(pancreas, (17, 14, 10.5, 11, 9)), "pancreas", "pancreas")
    duodenum = [
        (-18, -46, 1118),
        (-40, -34, 1122),
        (-52, -8, 1098),
        (-48, 4, 1062),
        (-10, -4, 1046),
        (34, -8, 1072),
    ]
    yield from parts(vary.tube(duodenum, 12.5), "duodenum", "duodenum")
    gallbladder = vary.ellipsoid((-58, -60, 1122), (14, 17, 28), (-25, 12, 0), spread=0.15)
    yield Part(gallbladder, "gallbladder", "gallbladder")


def _kidneys(vary: Variation) -> Iterator[Part]:
    for side, sign in SIDES:
        x, y, z = np.add((62, 44, 1096 if side == "left" else 1080), vary.random.normal(0, 4, 3)).tolist()
        size = vary.size(0.08)
        turned = (14.0, -sign * 9.0, sign * 20.0)
        whole = Ellipsoid((sign * x, y, z), (27 * size, 24 * size, 54 * size), turned)
        pelvis = Ellipsoid((sign * (x - 11), y - 3, z), (15 * size, 10 * size, 30 * size), turned)
        yield Part(whole, "kidney_cortex", f"kidney_{side}")
        yield Part(pelvis, "kidney_pelvis", f"kidney_{side}")
        limbs = [
            Ellipsoid((sign * (34 + shift), 34 + 5 * turn, 1146), (3.5, 11, 13), (0, 0, sign * turn * 28))
            for turn, shift in ((1, 0), (-1, 4))
        ]
        yield Part(Union(*limbs), "adrenal", f"adrenal_gland_{side}")
        path = mirrored([(50, 38, 1082), (40, 24, 1020), (44, 10, 950), (52, 14, 920), (24, 2, 898)], sign)
        drops = vary.random.exponential(0.5, 60)  # urine runs down in drops
        for number, piece in enumerate(vary.tube(path, 3.2, 2, 9)):
            yield Part(piece, "ureter", f"ureter_{side}", float(np.clip(drops[number], 0.1, 2.5)))


def _pelvis(patient: Patient, vary: Variation) -> Iterator[Part]:
    full = float(vary.random.uniform(0.65, 1.3))
    bladder = Ellipsoid(
        (float(vary.random.normal(0, 3)), -36, 888 + 22 * full),
        (36 * full, 29 * full, 26 * full),
        (-10, 0, 0),
    )
    if patient.sex == "M":
        yield Part(vary.ellipsoid((0, -22, 872), (22, 17, 19)), "prostate", "prostate")
        yield Part(bladder, "urine", "urinary_bladder")
        yield Part(Ellipsoid((0, -72, 822), (34, 30, 30)), "fat", None)
        for side, sign in SIDES:
            testis = vary.ellipsoid((sign * 15, -72, 815), (12, 15, 20), shift=1.5)
            yield Part(testis, "testis", f"testis_{side}")
        yield from parts(vary.tube([(0, -70, 862), (0, -100, 850), (0, -112, 815)], 12), "muscle", None)
        return
    uterus = vary.ellipsoid(
        (0, 2, 925), (27, 25, 36), (38, 0, vary.random.normal(0, 10)), shift=4, spread=0.12
    )
    yield Part(uterus, "uterus", "uterus")
    for side, sign in SIDES:
        ovary = vary.ellipsoid((sign * 46, 12, 935), (14, 10, 11), shift=4, spread=0.12)
        yield Part(ovary, "ovary", f"ovary_{side}")
    yield Part(bladder, "urine", "urinary_bladder")
