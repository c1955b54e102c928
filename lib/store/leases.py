"""Leases: who has a study open at the moment. They bar nobody; they tell."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from lib.store.atomic import write_atomic
from lib.store.errors import StoreError
from lib.store.records import file_name, from_json, to_json
from lib.store.state import make_private

#: Seconds for which a client counts as there after it was last heard of.
LASTS = 180.0


class Leases:
    """One small file for each study and client: when the client was last heard of.

    Any number of threads and processes may write; each client's file is its own. A damaged file counts as
    none, for nothing that anybody made is in it.

    Args:
        folder: where the files are.
        lasts: seconds until a lease ends that nobody renews.
        clock: seconds since 1970.
    """

    def __init__(self, folder: Path, lasts: float = LASTS, clock: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self._lasts, self._clock = lasts, clock
        make_private(folder)

    def renew(self, study: str, client: str) -> None:
        """Say that a client has a study open; written at most a few times while a lease lasts.

        A lease that cannot be written, as on a full disk, keeps nobody from looking at the study.
        """
        folder = self.folder / file_name(study)
        path = folder / file_name(client)
        now = self._clock()
        if 0 <= now - self._last(path) < self._lasts / 6:
            return
        with suppress(OSError):
            make_private(folder)
            write_atomic(path, to_json({"study": study, "client": client, "last": now}))

    def end(self, study: str, client: str) -> None:
        """Say that a client has a study no longer open; nothing where it had not."""
        (self.folder / file_name(study) / file_name(client)).unlink(missing_ok=True)

    def holders(self, study: str) -> list[str]:
        """Return the clients that have a study open, sorted."""
        return self._held(file_name(study)).get(study, [])  # percent-encoded: nothing that glob understands

    def all(self) -> dict[str, list[str]]:
        """Return the clients that have each study open; studies that nobody has open are left out."""
        return self._held("*")

    def _held(self, folders: str) -> dict[str, list[str]]:
        held: dict[str, list[str]] = {}
        now = self._clock()
        for path in sorted(self.folder.glob(f"{folders}/*")):
            lease = _read(path)
            if lease is not None and 0 <= now - lease[2] < self._lasts:
                held.setdefault(lease[0], []).append(lease[1])
        return {study: sorted(clients) for study, clients in held.items()}

    def _last(self, path: Path) -> float:
        lease = _read(path)
        return lease[2] if lease else 0.0


def _read(path: Path) -> tuple[str, str, float] | None:
    try:
        fields = from_json(path.read_bytes())
        return str(fields["study"]), str(fields["client"]), float(fields["last"])
    except (OSError, StoreError, KeyError, TypeError, ValueError):
        return None
