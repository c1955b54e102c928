"""A picture of masks in a PET image: three planes and a projection, dark where it is hot."""

from collections.abc import Sequence

import numpy as np
from nibabel.orientations import apply_orientation, io_orientation
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from lib.pet.crop import Crop
from lib.pet.volume import Volume

#: Outline colours, one an object, of equal lightness on grey (Okabe and Ito's palette).
COLOURS = ((213, 94, 0), (0, 114, 178), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233))
PIXELS_PER_MM = 1.5
GAP = 8
#: The panels from the left: axial, coronal and sagittal plane, and the coronal projection of the maxima.
NAMES = ("A", "C", "S", "MIP")
INK = (70, 70, 70)
CLICK = (0, 170, 60)


def draw(
    volume: Volume,
    masks: Sequence[Crop],
    upper: float | None = None,
    height: int = 640,
    clicks: Sequence[Sequence[int]] = (),
) -> Image.Image:
    """Draw axial, coronal and sagittal planes through the first click, and a coronal projection (NAMES).

    Planes are shown as radiologists have them: the patient's right on the left, anterior up or left. Without
    clicks they go through the middle of the first mask.

    Args:
        volume: the PET image.
        masks: objects to outline, each in a colour of its own; without clicks the first one that has a voxel
            sets the planes.
        upper: the value shown black; 0 is white. The 99.8th percentile of the image if not given.
        height: rows of the picture in pixels, at most.
        clicks: voxels (i, j, k) to mark with a cross, in the planes that go through them and the projection.
    """
    orientation = io_orientation(volume.affine)
    values = apply_orientation(np.nan_to_num(volume.array), orientation)
    spacing = np.empty(3)
    spacing[orientation[:, 0].astype(int)] = volume.spacing
    grids = [apply_orientation(mask.to_grid(volume.shape), orientation) for mask in masks]
    upper = float(np.percentile(values, 99.8)) if upper is None else upper
    filled = next((np.argwhere(grid) for grid in grids if grid.any()), None)
    middle = np.array(values.shape) // 2 if filled is None else np.median(filled, axis=0).astype(int)
    places = [_turned(click, orientation, volume.shape) for click in clicks]
    middle = places[0] if places else middle

    def plane(axis: int) -> Image.Image:
        return _panel(
            values.take(middle[axis], axis),
            [grid.take(middle[axis], axis) for grid in grids],
            [np.delete(place, axis) for place in places if place[axis] == middle[axis]],
            np.delete(spacing, axis),
            upper,
        )

    projection = _panel(
        values.max(axis=1),
        [grid.max(axis=1) for grid in grids],
        [np.delete(place, 1) for place in places],
        np.delete(spacing, 1),
        upper,
    )
    return _side_by_side([plane(2), plane(1), plane(0), projection], height)


def _turned(click: Sequence[int], orientation: NDArray, shape: Sequence[int]) -> NDArray[np.int64]:
    """Return a voxel's place in RAS axes."""
    place = np.empty(3, np.int64)
    for at, size, (axis, sign) in zip(click, shape, orientation, strict=True):
        place[int(axis)] = at if sign > 0 else size - 1 - at
    return place


def _panel(
    values: NDArray[np.float32],
    masks: list[NDArray[np.bool_]],
    clicks: list[NDArray[np.int64]],
    spacing: NDArray[np.float64],
    upper: float,
) -> Image.Image:
    """Return a plane (RAS axes without one) as a picture with the masks' outlines and the clicks."""
    across, along = spacing
    size = (
        max(1, round(values.shape[0] * across * PIXELS_PER_MM)),
        max(1, round(values.shape[1] * along * PIXELS_PER_MM)),
    )

    def on_screen(plane: NDArray) -> NDArray:
        # Across: to the patient's left, or posterior. Down: to inferior, or posterior.
        return np.ascontiguousarray(plane[::-1, ::-1].T)

    grey = 255 - 255 * np.clip(values / max(upper, 1e-6), 0, 1)
    picture = np.array(
        Image.fromarray(on_screen(grey).astype(np.uint8))
        .resize(size, Image.Resampling.BICUBIC)
        .convert("RGB")
    )
    for number, mask in enumerate(masks):
        soft = Image.fromarray(on_screen(mask).astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)
        inside = np.array(soft) > 127
        outline = inside & ~ndimage.binary_erosion(inside, iterations=3)
        picture[outline] = COLOURS[number % len(COLOURS)]
    panel = Image.fromarray(picture)
    pen = ImageDraw.Draw(panel)
    for click in clicks:
        x, y = (np.array(values.shape) - click - 0.5) / values.shape * size
        pen.line((x - 5, y, x + 5, y), CLICK, 2)
        pen.line((x, y - 5, x, y + 5), CLICK, 2)
    return panel


def _side_by_side(panels: list[Image.Image], height: int) -> Image.Image:
    tallest = max(panel.height for panel in panels)
    whole = Image.new("RGB", (sum(panel.width + GAP for panel in panels) - GAP, tallest), "white")
    left, corners = 0, []
    for panel in panels:
        corners.append((left, (tallest - panel.height) // 2))
        whole.paste(panel, corners[-1])
        left += panel.width + GAP
    scale = min(height / tallest, 1.0)
    if scale < 1:
        whole = whole.resize((round(whole.width * scale), height), Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(whole)  # after scaling: letters stay as they are
    for name, (x, y) in zip(NAMES, corners, strict=True):
        pen.text((x * scale + 3, y * scale + 2), name, INK, font_size=14)
    return whole
