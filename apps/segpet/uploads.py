"""Images that a viewer uploads for a while: MONAI Label's sessions, safe for threads and crashes."""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from threading import RLock
from typing import Any

from fastapi import HTTPException
from monailabel.utils.sessions import SessionInfo, Sessions

from apps.segpet.studies import label_ending
from lib.store import write_atomic

ONE_FILE = "Upload one NIfTI or NRRD file; archives and several files are not taken."

_ID = re.compile(r"[0-9a-f-]{36}")


class Uploads(Sessions):
    """Uploaded images, each in a folder of its own, for an hour after their last use.

    Args:
        folder: where they are kept.
        expiry: seconds without use after which an image is deleted.
        forget: called with the id of each upload that is deleted.
    """

    def __init__(self, folder: Path, expiry: int, forget: Callable[[str], None]) -> None:
        self._turn = RLock()
        self._forget = forget
        super().__init__(str(folder), expiry)

    def known(self, session_id: Any, update_ts: bool = True) -> SessionInfo:
        """Return an upload; HTTPException 404 where there is none (any more)."""
        if (info := self.get_session(session_id, update_ts)) is None:
            raise HTTPException(404, "There is no such session any more; upload the image again.")
        return info

    def get_session(
        self, session_id: Any, update_ts: bool = True, fetch_cache: bool = True
    ) -> SessionInfo | None:
        """Return an upload, or None."""
        if not isinstance(session_id, str) or not _ID.fullmatch(session_id):
            return None
        with self._turn:
            return super().get_session(session_id, update_ts, fetch_cache)

    def add_session(
        self, data_file: str, expiry: int = 0, uncompress: bool = False, session_id: str | None = None
    ) -> tuple[str, SessionInfo]:
        """Take an uploaded file in; returns the session's id and what is known of it.

        Raises HTTPException: an archive, a folder, or another format than NIfTI and NRRD.
        """
        if uncompress or os.path.isdir(data_file):  # noqa: PTH112
            raise HTTPException(422, ONE_FILE)
        label_ending(data_file)
        with self._turn:
            return super().add_session(data_file, expiry)

    def remove_session(self, session_id: str) -> None:
        """Delete an upload."""
        with self._turn:
            super().remove_session(session_id)
        if _ID.fullmatch(session_id):  # and no folder of another name, which may be a study's
            self._forget(session_id)

    def remove_expired(self) -> int:
        """Delete uploads that nobody used for long, and what a crash left of others; returns how many."""
        now, count = time.time(), 0
        with self._turn:
            for folder in Path(self.store_path).glob("*"):
                try:
                    info = super().get_session(folder.name, update_ts=False, fetch_cache=False)
                except ValueError:  # cut off by a crash
                    info = None
                if info is None or info.last_access_ts + info.expiry < now:
                    self.remove_session(folder.name)
                    count += 1
        return count

    def _write_meta_info(self, session_id: str, session_info: SessionInfo) -> None:
        write_atomic(Path(self.store_path) / session_id / "meta.info", session_info.to_str())
