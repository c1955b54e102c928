"""Outlines of other programs taken over as labels of a studies folder."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from fastapi import HTTPException

from apps.segpet.labels import LabelKeeper
from apps.segpet.studies import Studies
from infer_tasks.sessions import Clicked
from infer_tasks.workspace import Workspace
from lib.interaction import AnnotatedObject, class_map
from lib.interaction.label_table import LabelTable, label_of
from lib.pet import VolumeError, read_mask
from lib.pet.image_files import EXTENSIONS
from lib.pet.outlines import doubts_about_outlines, read_outlines
from lib.store import operator

#: Who saved a label that was imported.
AUTHOR = "import"


class ImportingError(ValueError):
    """Outlines that cannot be taken over; the message says why and what to do."""


class Imported(NamedTuple):
    """What became of a study's outlines.

    Args:
        version: of the study's label.
        objects: how many it has.
        left_out: names of the regions that were not wanted.
        covered: names of those of which other regions left no voxel.
        cut: names of those of which other regions took a part.
        doubts: sentences on whether the outlines are this study's.
    """

    version: int
    objects: int
    left_out: tuple[str, ...]
    covered: tuple[str, ...]
    cut: tuple[str, ...]
    doubts: tuple[str, ...]


@dataclass(frozen=True)
class Importer:
    """Takes over outlines.

    Args:
        workspace: of the studies folder; its labels are those in use.
        studies: path of the studies folder.
        table: what the outlines' names mean.
        label: of the names that neither the table nor the name itself explains; None: they are refused.
        value_names: CSV of number, name, for mask files.
    """

    workspace: Workspace
    studies: Path
    table: LabelTable = ()
    label: str | None = None
    value_names: Path | None = None

    def run(self, source: Path, status: str) -> Iterator[tuple[str, Imported | ImportingError]]:
        """Save the outlines of each study that has some as its label, and yield what became of it.

        Args:
            source: a folder that holds for each study a file or a folder of its name (`STUDY.dcm`,
                `STUDY.nii.gz`, `STUDY/RS.dcm`).
            status: of the labels, one of `lib.store.labels.STATUSES`.

        Raises:
            ImportingError: nothing in `source` has the name of a study.
        """
        studies = Studies(str(self.studies), auto_reload=False, saving=LabelKeeper(self.workspace))
        found: defaultdict[str, list[Path]] = defaultdict(list)
        for study, path in _by_study(source, studies.list_images()):
            found[study].append(path)
        if not found:
            raise ImportingError(
                f"Nothing in {source} has the name of a study of {self.studies}: name each file or folder "
                "like its study."
            )
        for study, paths in sorted(found.items()):
            try:
                yield study, self._import(studies, study, _only(paths), status)
            except (VolumeError, ImportingError) as error:
                yield study, ImportingError(str(error))
            except HTTPException as error:  # what keeps a label from being saved is told as to a client
                yield study, ImportingError(error.detail)

    def _import(self, studies: Studies, study: str, path: Path, status: str) -> Imported:
        labels = self.workspace.labels
        image = studies.known_image(study)
        volume = self.workspace.volumes.get(image)
        outlines = read_outlines(path, volume, self.value_names)
        doubts = doubts_about_outlines(path, image)
        meant = [(outline, self._label(outline.name)) for outline in outlines]
        if unknown := sorted({outline.name for outline, label in meant if label is None}):
            raise ImportingError(
                f"Nothing tells what {', '.join(map(repr, unknown[:5]))} is: give --names with a table of "
                "name, label, or --label."
            )
        taken = [(outline, label) for outline, label in meant if label]
        clicked = [
            Clicked(_object(number, label, outline.name), AUTHOR, "", outline.mask)
            for number, (outline, label) in enumerate(taken, start=1)
        ]
        masks = {one.object.id: one.mask for one in clicked if one.mask}
        grid = class_map(volume.shape, [one.object for one in clicked], masks, labels)
        file = self.workspace.write_result(grid, volume.affine, ".nii.gz")
        try:
            studies.save_label(study, str(file), status, {"client_id": AUTHOR}, clicked)
        finally:
            file.unlink(missing_ok=True)
        self.workspace.audit.append("import", operator(), study, status=status)
        saved = self.workspace.versions.current(study)
        assert saved is not None and saved.instances is not None, "the label was saved"
        # A voxel has one object: of regions that overlap, less is kept than was drawn.
        kept = np.bincount(read_mask(saved.instances)[0].ravel(order="K"), minlength=len(taken) + 1)
        drawn = [(outline, int(count)) for (outline, _), count in zip(taken, kept[1:], strict=False)]
        return Imported(
            saved.number,
            int(np.count_nonzero(kept[1:])),
            left_out=tuple(outline.name for outline, label in meant if not label),
            covered=tuple(outline.name for outline, count in drawn if not count),
            cut=tuple(outline.name for outline, count in drawn if 0 < count < outline.mask.count),
            doubts=doubts,
        )

    def _label(self, name: str) -> str | None:
        label = label_of(name, self.table, self.workspace.labels)
        return self.label if label is None else label


def _object(number: int, label: str, name: str) -> AnnotatedObject:
    new = AnnotatedObject.new(number, label, anchor=None)
    return replace(new, name="" if name.isdecimal() else name[:64])  # a mask's value is no name


def _only(paths: list[Path]) -> Path:
    if len(paths) > 1:
        names = ", ".join(path.name for path in paths)
        raise ImportingError(
            f"{names} are all of this study, and one would take the other's place: leave one."
        )
    return paths[0]


def _by_study(source: Path, studies: list[str]) -> Iterator[tuple[str, Path]]:
    for path in sorted(source.iterdir()):
        ending = next((end for end in (*EXTENSIONS, ".dcm") if path.name.endswith(end)), "")
        name = path.name.removesuffix(ending)
        if name in studies:
            yield name, path
