"""The cases in which a method did worst, as pictures."""

import io
from dataclasses import dataclass

from PIL import Image

from lib.learning.cases import Case
from lib.learning.evaluation import Run
from lib.pet.picture import draw

HEIGHT = 340
_COUNT = 4


@dataclass(frozen=True)
class Picture:
    """One case: its number in the report, what the method reached, and the PNG."""

    number: int
    dice: float
    clicks: int
    png: bytes


class WorstCases:
    """Keeps the pictures of the few cases with the lowest Dice, so that a long run stays small in memory."""

    def __init__(self) -> None:
        self.pictures: list[Picture] = []

    def consider(self, number: int, case: Case, run: Run) -> None:
        """Draw a case, truth and mask outlined, if it is among the worst so far; no name is kept."""
        last = run.states[-1]
        full = len(self.pictures) == _COUNT
        if not run.lesions or (full and last.dice >= self.pictures[-1].dice):
            return
        image = draw(case.volume, [case.truth, run.mask], height=HEIGHT)
        picture = Picture(number, last.dice, last.clicks, _png(image))
        self.pictures = sorted([*self.pictures, picture], key=lambda kept: kept.dice)[:_COUNT]


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
