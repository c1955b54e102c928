"""Saving: a label is checked and kept as a version before it takes its place, and then journaled."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
from fastapi import HTTPException
from numpy.typing import NDArray

from apps.segpet.label_names import as_in_the_mask, names_of_values, read_names, values_of
from infer_tasks.instances import instances
from infer_tasks.sessions import Clicked
from infer_tasks.workspace import Workspace
from lib.pet import Volume, read_mask, write_mask
from lib.pet.image_files import check_image_header, read_grid, read_segments
from lib.pet.resample import misplaced_mm
from lib.store.labels import LabelVersion

READ_ONLY = "This server is read only: studies and labels can be viewed, and nothing is saved."


class LabelKeeper:
    """Does what has to come before and after a label is saved; a `Saving`.

    Args:
        workspace: where versions and journal are kept.
        read_only: refuse all labels.
    """

    def __init__(self, workspace: Workspace, read_only: bool = False) -> None:
        self._workspace, self._read_only = workspace, read_only

    @contextmanager
    def __call__(
        self,
        study: str,
        image: Path,
        label: Path,
        tag: str,
        params: dict[str, Any],
        clicked: Sequence[Clicked] | None = None,
    ) -> Iterator[list[dict[str, Any]] | None]:
        """Check the label's grid and keep it as a version (`original`, a model's own, is none); then journal.

        A save that fails is not in the journal. Its version may be there, where the disk failed after that.
        The objects are those `clicked`; without them, what the client clicked in MONAI Label's tasks. Gives
        the names that the label or the client told, with the values that the mask has for them. `version` in
        `params` says that the mask is that of a version, whose objects and names come back with it.

        Raises:
            VolumeError: the label or the image cannot be read.
            HTTPException: the server is read only, the label is not on the image's grid, has a value that
                is no label, or its names cannot be understood.
            StoreError: the state folder cannot be written.
        """
        if self._read_only:
            raise HTTPException(403, READ_ONLY)
        volume = self._workspace.volumes.get(image)
        # By its header first: a small file may unpack to a huge mask.
        _check_size(check_image_header(label), volume)
        mask, affine = read_mask(label)
        _check_place(affine, volume)
        client = str(params.get("client_id") or "")
        event = {"event": "save", "tag": tag, "client": client, "voxels": int(np.count_nonzero(mask))}
        restored = self._restored(study, params["version"], mask) if "version" in params else None
        label_info = restored.objects().get("label_info") if restored else params.get("label_info")
        if restored is None:
            names, label_info = self._names(label, label_info, mask)
        if tag != "original":
            if restored:
                assert restored.instances is not None, "as `_restored` gives it"
                grid, objects = read_mask(restored.instances)[0], restored.objects()["objects"]
            else:
                if clicked is None:
                    clicked = self._workspace.sessions.objects_of(study, client, volume.digest)
                grid, objects = instances(mask, names, clicked, volume.spacing)
            file = self._workspace.write_result(grid, volume.affine, ".nii.gz")
            try:
                event["version"] = self._workspace.versions.save(
                    study,
                    label,
                    {"objects": objects, "label_info": label_info},
                    author=client or None,
                    status=cast(Any, tag),
                    instance_file=file,
                    independent=params.get("independent") is True,
                )
            finally:
                file.unlink(missing_ok=True)
        yield label_info
        self._workspace.journal.append(study, event)
        version = event.get("version")
        self._workspace.audit.append("save", client or "(unknown)", study, status=tag, version=version)

    def _names(
        self, label: Path, label_info: Any, mask: NDArray[np.unsignedinteger]
    ) -> tuple[dict[int, str], list[dict[str, Any]] | None]:
        """Return the names of a mask's values, and those that its header or else `label_info` told."""
        labels, values = self._workspace.labels, values_of(mask)
        if own := read_segments(label):
            told = read_names([{"name": name, "idx": value} for value, name in own])
        else:
            told = as_in_the_mask(read_names(label_info), values, labels)
        names = names_of_values(told, labels)
        _check_values(values, names)
        if not own and label_info is None:
            return names, None
        return names, [{"name": name, "idx": value} for value, name in told]

    def _restored(self, study: str, number: Any, mask: NDArray[np.unsignedinteger]) -> LabelVersion:
        """Return a version with its objects; HTTPException where there is none of which the mask is."""
        whole = isinstance(number, int) and not isinstance(number, bool)
        version = self._workspace.versions.get(study, number) if whole else None
        if version is None:
            raise HTTPException(404, "This study's label has no version of that number.")
        if version.instances is None:
            raise HTTPException(422, f"Version {number} was kept without its objects: save its mask alone.")
        if not np.array_equal(mask, read_mask(version.mask)[0]):
            raise HTTPException(422, f"The label is not that of version {number}: send its mask.")
        return version


def give_place(label: Path, volume: Volume) -> None:
    """Write the study's affine into a label that says nothing of where it lies, as some clients send it.

    What names segments is not one of these, and written anew would lose the names.

    Raises:
        VolumeError: the label cannot be read.
        HTTPException: it has other voxels than the study.
    """
    size, affine = read_grid(label)
    _check_size(size, volume)
    if np.array_equal(affine, np.eye(4)) and not read_segments(label):
        write_mask(label, read_mask(label)[0], volume.affine)


def _check_values(values: set[int], names: dict[int, str]) -> None:
    unknown = sorted(values - names.keys())
    if unknown:
        raise HTTPException(
            422,
            f"The label holds the value {unknown[0]}, which is no label here "
            f"({', '.join(map(str, sorted(names)))} are): send its name in label_info, or start the server "
            "with further --labels.",
        )


def _check_size(size: tuple[int, int, int], volume: Volume) -> None:
    if size != volume.shape:
        is_, should = (" x ".join(map(str, shape)) for shape in (size, volume.shape))
        raise HTTPException(
            422, f"The label has {is_} voxels, the study {should}; save it on the study's grid."
        )


def _check_place(affine: NDArray[np.float64], volume: Volume) -> None:
    if apart := misplaced_mm(volume.shape, affine, volume.affine):
        raise HTTPException(
            422,
            f"The label's voxels lie up to {apart:.1f} mm from the study's, for its axes or origin are "
            "others; save it on the study's grid.",
        )
