"""Stand-in for the 1.5 GB itk package, on SimpleITK: the calls that MONAI Label 0.8.5's writer makes.

`monailabel.transform.writer.write_itk` is its only caller.
"""

import sys
import traceback
from types import ModuleType
from typing import Any, NoReturn

import numpy as np
import SimpleITK
from numpy.typing import NDArray


def image_from_array(array: NDArray[Any]) -> SimpleITK.Image:
    """An image of scalars from an array with its axes reversed, e.g. [z, y, x]."""
    return SimpleITK.GetImageFromArray(array, isVector=False)


def size(image: SimpleITK.Image) -> tuple[int, ...]:
    """Voxels along x, y and z."""
    return image.GetSize()


def matrix_from_array(array: NDArray[np.floating]) -> list[float]:
    """A matrix in the form that `Image.SetDirection` takes."""
    return [float(value) for value in array.ravel()]


def imwrite(image: SimpleITK.Image, filename: str, compression: bool = False) -> None:
    """Write an image file; the name's ending says in which format."""
    SimpleITK.WriteImage(image, str(filename), compression)


class _StandIn(ModuleType):
    """Keeps this module from MONAI, which would take it for ITK and read images with it."""

    # MONAI's optional_import calls import_module, which asks even a loaded module for its __spec__.
    @property
    def __spec__(self) -> Any:  # type: ignore[override]
        callers = (frame.f_globals.get("__name__") for frame, _ in traceback.walk_stack(None))
        if "monai.utils.module" in callers:
            raise ImportError("this is SegPET's stand-in for itk, which only writes images for MONAI Label")
        return vars(self)["__spec__"]

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"SegPET's stand-in for itk has no {name}: it only writes images for MONAI Label; "
            "install itk for more."
        )


sys.modules[__name__].__class__ = _StandIn
