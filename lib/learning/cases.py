"""Cases: images with their outlined lesions, as annotation teams keep them on disk."""

import json
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lib.interaction.proposals import Seed, propose_seeds
from lib.learning.embedding import embed_in_body
from lib.pet import Crop, Volume, VolumeError, read_mask, read_volume
from lib.pet.components import Instances, objects_of
from lib.pet.image_files import EXTENSIONS, suffix_of
from lib.pet.organ_map import OrganMap
from lib.pet.organs import find_organ_map, read_organ_map
from lib.pet.outlines import MOST_OUTSIDE
from lib.pet.resample import nearest_labels, same_grid, share_outside
from lib.pet.tracers import tracer_of

#: Of labels in MONAI Label's layout.
SUFFIXES = (".nii.gz", ".nii", ".nrrd")


#: In the name of an nnU-Net channel: it holds PET.
PET_WORDS = {"pet", "pt", "suv", "suvbw"}


class CaseError(ValueError):
    """Cases that cannot be used; the message is one sentence that says why."""


class NoCaseError(CaseError):
    """A folder holds no case in any of the layouts."""


@dataclass(frozen=True)
class CaseFiles:
    """Where a case lies; nothing is read before it is asked for.

    Args:
        name: the case's name on disk, which may say who the patient is.
        image: the PET image.
        mask: its lesions: a class map or an instance map.
        organs: its organ map; None where there is none.
        instances: what one lesion of the mask is, where nobody says it.
        channel: the image's number among nnU-Net's channels; None in other layouts.
    """

    name: str
    image: Path
    mask: Path
    organs: Path | None = None
    instances: Instances = "auto"
    channel: int | None = None


@dataclass(frozen=True, eq=False)
class Case:
    """A case in memory.

    Args:
        name: as `CaseFiles`.
        volume: the image.
        objects: the lesions, each on its own.
        truth: all of them.
        values: which each lesion has in the mask.
        warnings: what must be said of how it was read; no name is in it.
        organs: tell normal uptake from what may be a lesion, where somebody proposes; None: not known.
    """

    name: str
    volume: Volume
    objects: tuple[Crop, ...]
    truth: Crop
    values: tuple[int, ...]
    warnings: tuple[str, ...] = ()
    organs: OrganMap | None = None


def find_cases(folder: str | Path, mask: str = "PET_mask.nii.gz") -> list[CaseFiles]:
    """Find the cases in a folder, sorted by name; images that nobody has outlined are left out.

    Three layouts are known: nnU-Net's `imagesTr/NAME_0000.nii.gz` with `labelsTr/NAME.nii.gz` (of several
    channels the one that `dataset.json` calls PET or SUV), MONAI Label's `NAME.nii.gz`, or a folder `NAME`
    with DICOM, with `labels/final/NAME.nii.gz`, a class map in which each connected part is a lesion, and a
    folder a case, `NAME/PET_image.nii.gz` with `NAME/PET_mask.nii.gz`.

    Args:
        folder: with the cases.
        mask: the mask's name where each case is a folder; a phantom has `lesions.nii.gz` and `organs.nii.gz`
            as well.

    Raises:
        CaseError: no such folder, or nobody says which of nnU-Net's channels is the PET.
        NoCaseError: no case in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CaseError(f"There is no folder {folder}.")
    for found in (_nnunet(folder), _monai_label(folder), _folders(folder, mask)):
        if cases := sorted(found, key=lambda case: case.name):
            return cases
    raise NoCaseError(
        f"There is no case in {folder.name}: it must hold NAME/PET_image.nii.gz with NAME/{mask}, "
        "imagesTr with labelsTr, or images with labels/final."
    )


def read_case(
    files: CaseFiles,
    unit: str | None = None,
    instances: Instances = "auto",
    values: Sequence[int] = (),
    embed: int | None = None,
    organs: bool = False,
) -> Case:
    """Read a case.

    Args:
        files: where it lies.
        unit: as `lib.pet.read_volume`.
        instances: what one lesion is, as `lib.pet.components.objects_of`; auto: as the files say.
        values: the mask's values that are lesion; none given: all but 0.
        embed: seed for a body around the crop (see `lib.learning.embedding`); None: the image as it is. The
            body depends on the seed and the case's name, not on the other cases.
        organs: read the organ map too, where there is one; it does not fit an embedded crop.

    Raises:
        CaseError: the mask lies elsewhere than the image.
        VolumeError: image, mask or organ map cannot be read.
    """
    volume = read_volume(files.image, unit)
    mask, affine = read_mask(files.mask)
    warnings: tuple[str, ...] = ()
    if not same_grid(mask.shape, affine, volume):
        mask, warning = _on_grid(mask, affine, volume)
        warnings = (warning,)
    known = None
    if organs and files.organs and embed is None:
        known = read_organ_map(files.organs, volume, study=files.image)
    if values:
        mask = np.where(np.isin(mask, values), mask, 0).astype(mask.dtype)
    if embed is not None:
        volume, mask = embed_in_body(volume, mask, np.random.default_rng([embed, number_of(files.name)]))
    objects = objects_of(mask, files.instances if instances == "auto" else instances)
    lesions = tuple(crop.tight() for _, crop in objects)
    found = tuple(value for value, _ in objects)
    if files.instances == "parts" and not values and len(set(found)) > 1:
        several = ", ".join(map(str, sorted(set(found))))
        warnings += (f"The label has the values {several}, and all count as lesions: choose with --value.",)
    return Case(files.name, volume, lesions, Crop.from_grid(mask), found, warnings, known)


def check_suv(name: str, volume: Volume) -> None:
    """Raise CaseError where an image says that its values are no SUV; what says nothing is taken for SUV."""
    if volume.unit not in ("SUVbw", "unknown"):
        raise CaseError(f"The values of {name} are in {volume.unit}: give images in SUVbw.")


def seeds_of(case: Case) -> tuple[Seed, ...]:
    """Return a case's automatic seeds, without normal uptake where its organ map and tracer are known."""
    return propose_seeds(case.volume, case.organs, tracer_of(case.volume))


def missing_values(cases: Iterable[CaseFiles], values: Iterable[int]) -> list[int]:
    """Return those of the values that no mask holds; masks are read until every value is found.

    What cannot be read is passed over, and where nothing can be read nothing is missing.
    """
    missing, readable = set(values), False
    for files in cases if missing else ():
        try:
            mask, _ = read_mask(files.mask)
        except VolumeError:
            continue
        readable = True
        missing -= {value for value in missing if (mask == value).any()}
        if not missing:
            break
    return sorted(missing) if readable else []


def number_of(name: str) -> int:
    """Return a number that a name always has, to seed what belongs to it."""
    return zlib.crc32(name.encode())


def _on_grid(
    mask: NDArray[np.unsignedinteger], affine: NDArray[np.float64], volume: Volume
) -> tuple[NDArray[np.unsignedinteger], str]:
    """Return a mask of another grid on the volume's, and what must be said of that.

    A mask that ends within the image is taken, as programs cut masks to what is outlined; but where it was
    cut too short nobody could tell, so it is said.

    Raises:
        CaseError: most of the mask lies outside of the image.
        VolumeError: all of it.
    """
    moved, outside = nearest_labels(mask, affine, volume), share_outside(mask, affine, volume)
    if outside > MOST_OUTSIDE:
        raise CaseError(
            f"{outside:.0%} of the mask lies outside of the image: it belongs to another study, or to "
            "another frame of reference."
        )
    warning = "The mask lies on another grid than the image; it was resampled (nearest neighbour)."
    covered = float(nearest_labels(np.ones(mask.shape, np.uint8), affine, volume).mean())
    if covered < 1:
        warning += f" It covers {100 * covered:.3g} % of the image; the rest counts as without lesion."
    if outside > 0:
        warning += f" {100 * outside:.2g} % of it lies outside of the image and was not measured."
    return moved, warning


def images_of(folder: Path) -> list[tuple[str, Path]]:
    """Return the names and images of a folder in MONAI Label's layout: files, and folders with DICOM.

    Of several images of one name it is the one that the server shows.
    """
    return [(name, paths[0]) for name, paths in _images_by_name(folder).items()]


def hidden_images(folder: Path) -> list[Path]:
    """Return the images in MONAI Label's layout that have a final label, which is another image's by name."""
    named = _images_by_name(folder).items()
    return sorted(path for name, paths in named if label_of(folder, "final", name) for path in paths[1:])


def _images_by_name(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir(), key=_place):
        if path.is_dir() and path.name not in ("labels", "organs") and not path.name.startswith("."):
            found.setdefault(path.name, []).append(path)
        elif suffix_of(path):
            found.setdefault(_stem(path), []).append(path)
    return found


def _place(path: Path) -> tuple[int, str]:
    """Sort images of one name as the server takes them: files by ending, folders, what it does not serve."""
    suffix = path.name[-len(suffix_of(path)) :]
    served = EXTENSIONS.index(suffix) if suffix in EXTENSIONS else len(EXTENSIONS) + 1
    return len(EXTENSIONS) if path.is_dir() else served, path.name


def label_of(folder: Path, tag: str, name: str) -> Path | None:
    """Return a study's label with a tag in MONAI Label's layout; None where there is none."""
    files = (folder / "labels" / tag / f"{name}{suffix}" for suffix in SUFFIXES)
    return next((file for file in files if file.is_file()), None)


def _folders(folder: Path, mask_name: str) -> Iterable[CaseFiles]:
    for image in folder.glob("*/PET_image.nii.gz"):
        mask = image.parent / mask_name
        if mask.is_file():
            organs = image.parent / "organs.nii.gz"
            yield CaseFiles(image.parent.name, image, mask, organs if organs.is_file() else None)


def without_mask(folder: Path, mask_name: str) -> list[str]:
    """Return the names of folders with an image and no mask of that name, which may have been mistyped."""
    images = sorted(folder.glob("*/PET_image.nii.gz"))
    return [image.parent.name for image in images if not (image.parent / mask_name).is_file()]


def _nnunet(folder: Path) -> Iterable[CaseFiles]:
    found = []
    for image in _images(folder / "imagesTr"):
        if ending := re.search(r"_(\d{4})$", _stem(image)):
            name = _stem(image)[: ending.start()]
            mask = folder / "labelsTr" / f"{name}{suffix_of(image)}"
            if mask.is_file():
                found.append(CaseFiles(name, image, mask, channel=int(ending[1])))
    if found:
        pet = _pet_channel(folder / "dataset.json", {files.channel or 0 for files in found})
        yield from (files for files in found if files.channel == pet)


def _pet_channel(description: Path, channels: Iterable[int]) -> int:
    """Return the number of the PET channel: the only one, or the only one whose name says PET.

    Raises:
        CaseError: not one of several channels says so; CT would be measured as SUV.
    """
    names = dict.fromkeys(channels, "")
    if description.is_file():
        try:
            content = json.loads(description.read_text(encoding="utf-8"))
            told = content.get("channel_names", content.get("modality", {}))
            names |= {int(number): name.lower() for number, name in told.items()}
        except (ValueError, AttributeError, RecursionError) as error:
            raise CaseError("The dataset.json is not nnU-Net's: mend it or remove it.") from error
    if len(names) < 2:
        return next(iter(names))
    named = [number for number, name in names.items() if PET_WORDS & set(re.split("[^a-z]+", name))]
    if len(named) != 1:
        raise CaseError(
            f"imagesTr has {len(names)} channels, and dataset.json calls {len(named) or 'none'} of them PET: "
            'its "channel_names" must name the PET alone so, such as {"0": "CT", "1": "PET"} (nnU-Net '
            "normalises by them: give links to imagesTr and labelsTr with a dataset.json of their own)."
        )
    return named[0]


def _monai_label(folder: Path) -> Iterable[CaseFiles]:
    for name, image in images_of(folder):
        if mask := label_of(folder, "final", name):
            yield CaseFiles(name, image, mask, find_organ_map(folder, name), "parts")


def _images(folder: Path) -> Iterable[Path]:
    return (path for path in folder.glob("*") if suffix_of(path) and path.is_file())


def _stem(path: Path) -> str:
    return path.name[: -len(suffix_of(path))]
