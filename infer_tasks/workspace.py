"""The workspace: what all infer tasks of a server share."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infer_tasks.annotations import Annotations
from infer_tasks.sessions import Sessions
from infer_tasks.volumes import Volumes
from lib.pet import write_mask
from lib.store import Audit, Journal, LabelVersions, Leases, StateFolder
from lib.store.reports import AcceptedImpressions


class Workspace:
    """Images, sessions, journal and results of one server.

    Args:
        state: where everything is kept that outlives the server.
        labels: names in use, `background` first; a name's place is its class.
        unit: what the values of files are that do not say it themselves; None: unknown.
    """

    def __init__(self, state: StateFolder, labels: Sequence[str], unit: str | None = None) -> None:
        self.state = state
        self.labels = tuple(labels)
        self.volumes = Volumes(unit)
        self.journal = Journal(state.folder("journal"))
        self.audit = Audit(state.folder("audit"))
        self.sessions = Sessions(self.journal, self.labels)
        self.annotations = Annotations(self.journal, self.labels)
        self.versions = LabelVersions(state.folder("labels"))
        self.accepted = AcceptedImpressions(state.folder("impressions"))
        self.leases = Leases(state.folder("leases"))
        self._results = state.folder("results")

    def write_result(
        self, mask: NDArray[np.unsignedinteger], affine: NDArray[np.float64], extension: str
    ) -> Path:
        """Write a reply's mask to a file of its own; whoever sends it deletes it.

        Args:
            mask: uint8 or uint16 [i, j, k].
            affine: 4x4, voxel centre -> RAS+ mm.
            extension: .nrrd, .nii.gz or .nii.
        """
        path = self.new_file(extension)
        write_mask(path, mask, affine)
        return path

    def new_file(self, extension: str) -> Path:
        """Return an empty file for a moment's use; no other user may read it."""
        handle, path = tempfile.mkstemp(dir=self._results, prefix="result-", suffix=extension)
        os.close(handle)
        return Path(path)

    def clear_results(self) -> None:
        """Delete the files that a killed server left behind."""
        for path in self._results.iterdir():
            path.unlink(missing_ok=True)
