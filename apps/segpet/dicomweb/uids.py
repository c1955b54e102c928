"""Between the studies of the datastore and the UIDs that a viewer knows them by."""

from contextlib import suppress
from functools import cache
from threading import Thread

from monailabel.interfaces.utils.app import app_instance

from apps.segpet.archive.catalogue import ArchiveCatalogue
from apps.segpet.archive.studies import ArchiveStudies
from apps.segpet.dicomweb.catalogue import Catalogue


@cache
def of_datastore() -> Catalogue | ArchiveCatalogue:
    """Return what knows the UIDs of the app's studies."""
    datastore = app_instance().datastore()
    return ArchiveCatalogue(datastore) if isinstance(datastore, ArchiveStudies) else catalogue()


@cache
def catalogue() -> Catalogue:
    """Return the catalogue of the app's studies folder."""
    app = app_instance()
    return Catalogue(app.datastore(), app.workspace.volumes, app.workspace.state.folder("dicomweb"))


def look_ahead() -> None:
    """Look into all studies in the background: the first work list need not wait for hundreds of files."""
    catalogue()  # one, made before two threads ask for it
    Thread(target=_look_ahead, daemon=True, name="look-ahead").start()


def _look_ahead() -> None:
    with suppress(Exception):  # told to whoever asks for the work list
        catalogue().studies()


def study_of(series_uid: str) -> str | None:
    """Return the id of the study whose image is a series, None where it is none (a CT for one)."""
    return of_datastore().study_of(series_uid)


def uids_of(study: str) -> tuple[str, str]:
    """Return a study's StudyInstanceUID and the SeriesInstanceUID of its image.

    Raises LookupError: there is no such study.
    """
    return of_datastore().uids_of(study)


def instances_of(study: str) -> tuple[str, ...]:
    """Return the SOPInstanceUID of slice k of `Volume.array[i, j, k]`, for each k.

    Raises:
        LookupError: there is no such study.
        VolumeError: its image cannot be read, or has all slices in one instance.
    """
    return of_datastore().instances_of(study)
