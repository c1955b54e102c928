"""Head and neck: brain, glands, tonsils, thyroid, airway."""

from collections.abc import Iterator

from lib.pet.phantom.parts import SIDES, Part, Patient, Variation, mirrored, parts
from lib.pet.phantom.shapes import Ellipsoid


def head(patient: Patient, vary: Variation) -> Iterator[Part]:
    """Yield what is in head and neck."""
    yield Part(Ellipsoid((0, 4, 1668), (71, 90, 69)), "bone", "skull")
    jaw = [(-50, 0, 1580), (-42, -35, 1545), (0, -82, 1535), (42, -35, 1545), (50, 0, 1580)]
    yield from parts(vary.tube(jaw, 7), "bone", "skull")
    yield from _brain(vary)
    yield Part(vary.ellipsoid((0, -70, 1598), (16, 20, 22)), "nasal_mucosa", "nasal_mucosa")
    yield Part(Ellipsoid((0, -72, 1600), (5, 18, 16)), "air", "")
    yield Part(vary.ellipsoid((0, -18, 1628), (5, 4, 4), shift=1), "pituitary", "pituitary_gland")
    for side, sign in SIDES:
        eye = vary.ellipsoid((sign * 32, -74, 1638), (12, 12, 12), shift=1)
        yield Part(eye, "eye", f"eye_{side}")
        yield Part(
            vary.ellipsoid((sign * 42, -68, 1652), (6, 7, 7), shift=1),
            "lacrimal_gland",
            f"lacrimal_gland_{side}",
        )
        parotid = vary.ellipsoid((sign * 60, -6, 1580), (12, 17, 25), (8, 0, 0))
        yield Part(parotid, "parotid_gland", f"parotid_gland_{side}")
        below = vary.ellipsoid((sign * 33, -42, 1535), (10, 15, 11))
        yield Part(below, "submandibular_gland", f"submandibular_gland_{side}")
        tonsil = vary.ellipsoid((sign * 15, -22, 1562), (6, 7, 9), shift=1)
        yield Part(tonsil, "tonsil", f"palatine_tonsil_{side}")
    airway = [(0, -40, 1590), (0, -8, 1560), (0, -6, 1500), (0, 6, 1440), (0, 18, 1392)]
    yield from parts(vary.tube(airway, 8.5, 1), "air", "trachea")
    for _, sign in SIDES:
        bronchus = mirrored([(0, 18, 1392), (20, 20, 1372), (40, 22, 1358)], sign)
        yield from parts(vary.tube(bronchus, 6.5, 1), "air", "trachea")
        lobe = vary.ellipsoid((sign * 18, -8, 1480), (8, 9, 21), (0, -sign * 8, 0), shift=1.5, spread=0.12)
        yield Part(lobe, "thyroid", "thyroid_gland")
    yield Part(Ellipsoid((0, -20, 1470), (14, 5, 6)), "thyroid", "thyroid_gland")
    gullet = [(0, 12, 1490), (2, 26, 1400), (6, 34, 1310), (16, 14, 1235), (35, 2, 1210)]
    yield from parts(vary.tube(gullet, 7), "esophagus", "esophagus")


def _brain(vary: Variation) -> Iterator[Part]:
    """Yield the cortex, white matter within it, ganglia within that, and the cerebellum."""
    size = vary.size(0.03)
    at = (0.0, 2.0, 1672.0)
    yield Part(Ellipsoid(at, (63 * size, 80 * size, 58 * size)), "brain_grey", "brain")
    for _, sign in SIDES:
        white = Ellipsoid((sign * 26, 2, 1680), (20 * size, 60 * size, 34 * size), (0, sign * 12, 0))
        yield Part(white, "brain_white", None)
        ganglia = Ellipsoid((sign * 24, -2, 1668), (9, 20, 14))
        yield Part(ganglia, "brain_grey", None, 1.1)
        yield Part(Ellipsoid((sign * 9, 4, 1682), (5, 24, 12)), "brain_white", None, 0.5)
    yield Part(vary.ellipsoid((0, 48, 1625), (48, 30, 22), shift=1), "brain_grey", "brain", 0.9)
    yield from parts(vary.tube([(0, 8, 1640), (0, 22, 1600), (0, 40, 1566)], 10, 0), "brain_white", "brain")
