"""The studies folder beside the state: labels on their images' grids, and in it what was saved."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pydantic_core
from numpy.typing import NDArray

from lib.pet import VolumeError, read_volume
from lib.pet.image_files import FORMATS, read_grid
from lib.pet.resample import misplaced_mm
from lib.store.checkup.finding import Aside, Finding, moved_aside
from lib.store.checkup.labels import fault_of
from lib.store.labels import LabelVersion, LabelVersions
from lib.store.records import digest_of_file, file_name, from_json

#: How MONAI Label's list of studies and labels is called, and a label that is just being saved.
_LIST, _SAVING = "datastore_v2.json", ".saving-*"


def check_studies(state: Path, studies: Path, images: Mapping[str, Path]) -> Iterator[Finding]:
    """Find labels that do not fit their images, and saves that did not come to their end.

    Args:
        state: the state folder.
        studies: the studies folder.
        images: file or DICOM folder of each study, by its name.
    """
    for path in sorted((studies / "labels").glob(f"*/{_SAVING}")):
        what = "A server was killed while it saved this label; nobody was told that it is saved."
        yield moved_aside(path, what, harmless=True)
    if not is_list_sound(studies):
        what = "MONAI Label's list of studies and labels cannot be read, and no server starts with it."
        yield moved_aside(studies / _LIST, what, "it is made anew from the folders")
    labels = LabelVersions(state / "labels")
    for study, image in sorted(images.items()):
        final = _final_file(studies, study)
        folder = labels.folder / file_name(study)
        broken = folder.is_dir() and any(fault_of(one) for one in folder.iterdir() if one.name.isdecimal())
        versions = [] if broken or not folder.is_dir() else labels.versions(study)
        newest = versions[-1].mask if versions else None
        if final and newest and digest_of_file(final) == digest_of_file(newest):
            final = None  # what is said of one is so of the other
        yield from _grid(study, image, [file for file in (newest, final) if file])
        if versions:
            yield from _final(studies, study, versions)
            yield from _archived(state, study, labels)


def _grid(study: str, image: Path, labels: list[Path]) -> Iterator[Finding]:
    """Compare where labels lie with where their image does, as it is done when one is saved."""
    if not labels:
        return
    try:
        shape, affine = _grid_of(image)
    except VolumeError as error:
        yield Finding(image, f"The image of {study} cannot be read: {error}")
        return
    for label in labels:
        try:
            size, place = read_grid(label)
        except VolumeError as error:
            yield Finding(label, f"The label of {study} cannot be read: {error}")
            continue
        if size != shape:
            yield Finding(
                label,
                f"The label of {study} has other voxels than its image: the image was replaced after it was "
                "saved. Put the former image back, or save a label of the new one.",
            )
            continue
        if apart := misplaced_mm(shape, place, affine):
            yield Finding(
                label,
                f"The label of {study} is not on the grid of its image: its voxels lie up to {apart:.1f} mm "
                "from the image's, for its axes or origin are others. If its outlines look right in the "
                "viewer, save it there again.",
            )


def _grid_of(image: Path) -> tuple[tuple[int, int, int], NDArray[np.float64]]:
    if image.is_dir():
        volume = read_volume(image)
        return volume.shape, volume.affine
    return read_grid(image)


def _final(studies: Path, study: str, versions: list[LabelVersion]) -> Iterator[Finding]:
    """Compare the file that counts for MONAI Label with the newest final version."""
    finals = [one for one in versions if one.status == "final"]
    if not finals:
        return
    newest = finals[-1]
    folder, file = studies / "labels" / "final", _final_file(studies, study)
    held = digest_of_file(file) if file else None
    if held == digest_of_file(newest.mask):
        return
    target = folder / f"{study}{newest.mask.name.removeprefix('mask')}"
    if held is None or held in [digest_of_file(one.mask) for one in finals]:
        yield Finding(
            target,
            f"Version {newest.number} of the label of {study} is whole, but did not get here; its author may "
            "not have been told.",
            f"Version {newest.number} is copied here; the former file goes to quarantine/.",
            harmless=True,
            mend=_copied(newest.mask, file, target),
        )
    else:
        yield Finding(
            file or target,
            f"This label of {study} is none that was saved with SegPET: it was put here by hand. Trainings "
            "learn from it, the panel shows the newest version. Import it to have both agree.",
            harmless=True,
        )


def _final_file(studies: Path, study: str) -> Path | None:
    files = (studies / "labels" / "final" / f"{study}{end}" for end in FORMATS)
    return next((file for file in files if file.is_file()), None)


def _copied(mask: Path, former: Path | None, target: Path) -> Callable[[Aside], None]:
    def mend(aside: Aside) -> None:
        if former:
            aside.move(former)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".saving-{target.name}")
        shutil.copyfile(mask, part)
        part.replace(target)

    return mend


def _archived(state: Path, study: str, labels: LabelVersions) -> Iterator[Finding]:
    """Find a final label that waits for the archive."""
    saved = labels.counting(study)
    if not (state / "sent").is_dir() or saved is None or saved.status != "final":
        return
    try:
        sent = from_json((state / "sent" / f"{study}.json").read_bytes()).get("version")
    except (OSError, ValueError):
        sent = None
    if sent != saved.number:
        what = (
            f"Version {saved.number} of a final label is not in the archive yet: the server sends it again."
        )
        yield Finding(saved.mask.parent, what, harmless=True)


def is_list_sound(studies: Path) -> bool:
    """Whether MONAI Label can read its list in a studies folder, or there is none.

    It reads it with this parser, which other than Python's refuses what is nested deeper than 200.
    """
    try:
        return isinstance(pydantic_core.from_json((studies / _LIST).read_bytes()), dict)
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False
