"""Chest: lungs in lobes, heart, great vessels."""

from collections.abc import Iterator

from lib.pet.phantom.parts import SIDES, Part, Patient, Variation, mirrored, parts
from lib.pet.phantom.shapes import Common, Ellipsoid, Half, Shape


def chest(patient: Patient, vary: Variation) -> Iterator[Part]:
    """Yield what is in the chest; liver, stomach and spleen are painted over the lungs' bases after it."""
    yield Part(Ellipsoid((0, -5, 1330), (45, 75, 110)), "mediastinum", None)
    yield from _lungs(vary)
    yield from _vessels(vary)
    yield from _heart(vary)


def _lungs(vary: Variation) -> Iterator[Part]:
    breath = vary.random.uniform(-12, 8)  # how deep the patient lay breathing: the bases go down and up
    density = vary.size(0.1)
    for side, sign in SIDES:
        width, middle = (58, 80) if side == "left" else (62, 78)
        whole = vary.ellipsoid((sign * middle, 2, 1300 + breath / 2), (width, 84, 132 - breath / 2), shift=1)
        inside: Shape = Common(whole, Half((0, 0, -1), -(1175 + breath)))
        yield Part(inside, "lung", f"lung_upper_lobe_{side}", density)
        if side == "right":
            below_the_horizontal = Half((0, 0, 1), 1315)
            yield Part(Common(inside, below_the_horizontal), "lung", "lung_middle_lobe_right", density)
        # Behind and below the oblique fissure: from the fourth rib behind to the front of the diaphragm.
        oblique = Half((0, -0.85, 1), 1300)
        yield Part(Common(inside, oblique), "lung", f"lung_lower_lobe_{side}", density * 1.12)


def _vessels(vary: Variation) -> Iterator[Part]:
    wide = vary.size(0.1)
    aorta = [
        (0, -22, 1318), (-14, -24, 1350), (-8, -10, 1385), (10, 14, 1398), (22, 34, 1378), (24, 42, 1330),
        (18, 42, 1250), (10, 28, 1170), (4, 18, 1100), (2, 10, 1025),
    ]  # fmt: skip
    radii = [15, 15, 14.5, 13, 12.5, 12, 11.5, 10.5, 9.5, 8.5]
    yield from parts(vary.tube(aorta, [wide * radius for radius in radii], 1.5), "blood", "aorta")
    for side, sign in SIDES:
        iliac = mirrored([(2, 10, 1025), (26, 12, 985), (48, 10, 940), (62, -18, 905), (72, -42, 880)], sign)
        yield from parts(vary.tube(iliac, (7, 6.5, 6, 5.5, 5), 1), "blood", f"iliac_artery_{side}")
        femoral = mirrored([(72, -42, 880), (76, -35, 780), (72, -5, 600)], sign)
        yield from parts(vary.tube(femoral, 6, 1, 25), "blood", None, 0.9)
        carotid = mirrored([(12, 0, 1400), (22, -10, 1450), (28, -6, 1560)], sign)
        yield from parts(vary.tube(carotid, 5.5, 1), "blood", None, 0.9)
    upper = [(-24, -14, 1420), (-28, -16, 1380), (-26, -14, 1325)]
    yield from parts(vary.tube(upper, 9, 1), "blood", "superior_vena_cava")
    lower = [(-18, 10, 1020), (-20, 14, 1110), (-22, 8, 1190), (-24, -6, 1270)]
    yield from parts(vary.tube(lower, 11, 1.5), "blood", "inferior_vena_cava", 0.95)
    trunk = [(10, -45, 1320), (14, -28, 1350), (20, 2, 1362)]
    yield from parts(vary.tube(trunk, 13, 1), "blood", None)


def _heart(vary: Variation) -> Iterator[Part]:
    """Yield the right heart and the atria, then the left ventricle's wall and what it encloses."""
    x, y, z = (float(value) for value in vary.random.normal((34, -40, 1262), (4, 3, 6)))
    axis = (0.0, 0.0, 0.0)
    right = vary.ellipsoid((x - 30, y - 8, z + 2), (36, 34, 38), (0, 30, 0))
    yield Part(right, "blood", "heart")
    yield Part(vary.ellipsoid((x - 28, y + 26, z + 28), (32, 24, 28)), "blood", "heart")
    # Its long axis points to the left, to the front and down: an ellipsoid along z, turned.
    axis = (28.0 + vary.random.normal(0, 5), -48.0 + vary.random.normal(0, 7), 0.0)
    size = vary.size(0.07)
    wall = Ellipsoid((x + 8, y, z), (34 * size, 34 * size, 46 * size), axis)
    inside = vary.size(0.08)
    cavity = Ellipsoid(
        (x + 5, y + 2, z + 5), (22 * size * inside, 22 * size * inside, 36 * size * inside), axis
    )
    base = vary.ellipsoid((x - 14, y + 14, z + 24), (20, 18, 16))
    yield Part(wall, "myocardium", "heart")
    yield Part(cavity, "blood", "heart")
    yield Part(base, "blood", "heart")
