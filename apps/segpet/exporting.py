"""Labels of a studies folder as files for others: DICOM, masks and numbers; case names replaced on demand."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from apps.segpet.labels import LabelKeeper
from apps.segpet.studies import Studies
from infer_tasks.exported import annotation_of, exported_objects, numbers
from infer_tasks.organ_maps import OrganMaps
from infer_tasks.workspace import Workspace
from lib.export.documents import Documents, ExportedObject, ExportError, make_documents
from lib.export.nifti import nifti_bytes
from lib.export.pet_series import uid_from
from lib.pet import Volume, VolumeError, write_mask
from lib.store import LabelVersion, StoreError, operator, write_atomic
from lib.store.locks import locked

#: In the state folder: which case name a study has in exports without its own.
KEY = "export-names.json"


@dataclass(frozen=True)
class Exporter:
    """Writes labels.

    Args:
        workspace: of the studies folder.
        studies: path of the studies folder.
        images: write the image as well, so that the result is a folder of cases to evaluate and train on.
        deidentify: replace the studies' names, and leave out all that could tell whose they are.
    """

    workspace: Workspace
    studies: Path
    images: bool = False
    deidentify: bool = False

    def run(self, output: Path) -> Iterator[tuple[str, str, Exception | None]]:
        """Write `output/CASE/` for each study with a label; yield study, case and what kept it from that."""
        studies = Studies(str(self.studies), auto_reload=False, saving=LabelKeeper(self.workspace))
        organs = OrganMaps(self.studies)
        for study in sorted(studies.list_images()):
            saved = self.workspace.versions.counting(study)
            if saved is None:
                continue
            case = self._case_name(study) if self.deidentify else study
            try:
                self._write(output / case, study, studies.known_image(study), saved, organs)
                told = {"version": saved.number, "images": self.images, "deidentified": self.deidentify}
                self.workspace.audit.append("export", operator(), study, **told)
                yield study, case, None
            except (VolumeError, ExportError, StoreError) as error:
                yield study, case, error
            except OSError as error:
                if error.filename is None:  # the disk, which fails for the next one too
                    raise
                yield study, case, StoreError(f"{error.filename}: {error.strerror}.")

    def _write(self, folder: Path, study: str, image: Path, saved: LabelVersion, organs: OrganMaps) -> None:
        volume = self.workspace.volumes.get(image)
        organ_map = organs.get(study, volume)
        objects = exported_objects(saved, volume)
        told = {
            "version": saved.number,
            "status": saved.status,
            "objects": [self._told(one) for one in objects],
            **numbers(objects, volume, organ_map),
        }
        if not self.deidentify:
            told |= {"author": saved.author, "time": saved.time}
        documents: dict[str, Dataset | None] = dict.fromkeys(field.name for field in fields(Documents))
        if image.is_dir() and not self.deidentify:
            impression = self.workspace.accepted.text_for(study, saved.number)
            documents |= vars(make_documents(annotation_of(saved, volume, image, organ_map, impression)))
        # From here on nothing is refused: a case is all of this label, or as it was.
        folder.mkdir(parents=True, exist_ok=True)
        write_mask(folder / "PET_mask.nii.gz", _instances(objects, volume), volume.affine)
        write_atomic(folder / "lesions.json", json.dumps(told, indent=2))
        if self.images:
            write_atomic(folder / "PET_image.nii.gz", nifti_bytes(volume))
            write_atomic(folder / "PET_image.json", json.dumps({"Units": _UNITS[volume.unit]}))
        for name, dataset in documents.items():
            path = folder / f"{name}.dcm"
            if dataset is None:  # of an export before, of another version
                path.unlink(missing_ok=True)
                continue
            file = BytesIO()
            dataset.save_as(file, enforce_file_format=True)
            write_atomic(path, file.getvalue())

    def _told(self, one: ExportedObject) -> dict[str, Any]:
        uid = uid_from("segpet", "deidentified", one.uid) if self.deidentify else one.uid
        name = {} if self.deidentify or not one.name else {"name": one.name}
        return {"id": one.id, "label": one.label, "uid": uid, "algorithm": one.algorithm, **name}

    def _case_name(self, study: str) -> str:
        """Return a study's name in exports, the same each time; who may read the state folder may know it."""
        key = self.workspace.state.path / KEY
        with locked(self.workspace.state.path):  # two exports at once must not give one name twice
            known: dict[str, str] = json.loads(key.read_bytes()) if key.is_file() else {}
            if study not in known:
                known[study] = f"case-{len(known) + 1:04d}"
                write_atomic(key, json.dumps(known, indent=2))
        return known[study]


#: Units as a BIDS sidecar writes them.
_UNITS = {"SUVbw": "g/mL", "Bq/ml": "Bq/mL", "unknown": "n/a"}


def _instances(objects: list[ExportedObject], volume: Volume) -> NDArray[np.uint16]:
    grid: NDArray[np.uint16] = np.zeros(volume.shape, np.uint16, order="F")
    for one in objects:
        grid[one.mask.slices][one.mask.array] = one.id
    return grid
