"""What is asked of an archive by DICOMweb (PS3.18 10): its PET series, their files, and to store ours."""

import io
import json
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pydicom
import requests
from fastapi import HTTPException
from pydicom.dataset import Dataset

from apps.segpet.dicomweb.proxy import PACS

_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"
_NUMBER, _SERIES_SIZE = "00200013", "00201209"
_PATIENT_ID, _PATIENT_NAME, _STUDY_DATE, _DESCRIPTION = "00100020", "00100010", "00080020", "0008103E"
_PAGE = 1000
_MOST_SERIES = 50_000
_MOST_IMAGES = 20_000
_MOST_JSON_BYTES = 256 << 20
_MOST_IMAGE_BYTES = 2 << 30
_LIST_SECONDS = 20.0
_RUBBISH = "The PACS answers with something that is not DICOMweb's, or more than this server takes."


@dataclass(frozen=True)
class ListedSeries:
    """A PET series of an archive.

    Args:
        study: StudyInstanceUID.
        uid: SeriesInstanceUID.
        title: how people find it: patient, date, description.
        images: how many the archive says that it has; 0 where it does not say.
    """

    study: str
    uid: str
    title: str
    images: int


@dataclass(frozen=True)
class ListedInstance:
    """An instance of a series.

    Args:
        uid: SOPInstanceUID.
        number: InstanceNumber, 0 without one.
    """

    uid: str
    number: int


class Archive:
    """Asks a DICOMweb server. Threads may share it.

    All that it raises is HTTPException: 502 with a sentence where the server cannot be reached, fails or
    answers with rubbish, 4xx as the server says.

    Args:
        pacs: the server.
    """

    def __init__(self, pacs: PACS) -> None:
        self._pacs = pacs

    def pet_series(self) -> dict[str, ListedSeries]:
        """Return the PET series by SeriesInstanceUID; QIDO-RS, page by page."""
        wanted = (_STUDY, _PATIENT_ID, _PATIENT_NAME, _STUDY_DATE, _DESCRIPTION, _SERIES_SIZE)
        asked = [("Modality", "PT"), *(("includefield", tag) for tag in wanted)]
        found = {}
        for entry in self._paged("series", asked, _MOST_SERIES):
            study, uid = _uid(entry, _STUDY), _uid(entry, _SERIES)
            if study and uid:
                found[uid] = ListedSeries(study, uid, _title(entry), _whole(entry, _SERIES_SIZE))
        return found

    def instances(self, study: str, series: str) -> list[ListedInstance]:
        """Return a series' instances, none where there is no such series."""
        path = f"studies/{study}/series/{series}/instances"
        try:
            entries = list(self._paged(path, [], _MOST_IMAGES))
        except HTTPException as error:
            if error.status_code == 404:
                return []
            raise
        found = {_uid(entry, _INSTANCE): _whole(entry, _NUMBER) for entry in entries}
        return [ListedInstance(uid, number) for uid, number in found.items() if uid]

    def file(self, study: str, series: str, instance: str) -> bytes:
        """Return an instance as the archive has it, a DICOM file (PS3.10); WADO-RS."""
        accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
        path = f"studies/{study}/series/{series}/instances/{instance}"
        answer = self._pacs.get(path, [], accept)
        kind = answer.headers.get("Content-Type", "")
        body = _read(answer, _MOST_IMAGE_BYTES)
        content = body if kind.lower().startswith("application/dicom") else _only_part(body, kind)
        if content[128:132] != b"DICM":
            raise HTTPException(502, _RUBBISH)
        return content

    def store(self, study: str, instances: Sequence[Dataset]) -> None:
        """Store instances of a study in one request, STOW-RS; what is there already may come again.

        Raises HTTPException: 502 where one of them was not taken.
        """
        boundary = uuid.uuid4().hex
        body = io.BytesIO()
        for dataset in instances:
            body.write(f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode())
            body.write(_file_of(dataset))
            body.write(b"\r\n")
        body.write(f"--{boundary}--\r\n".encode())
        kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
        answer = self._pacs.post(f"studies/{study}", body.getvalue(), kind)
        told = _json(_read(answer, _MOST_JSON_BYTES))
        items = told.get("00081199", {}).get("Value", []) if isinstance(told, dict) else []
        taken = {_uid(item, "00081155") for item in items if isinstance(item, dict)}
        if {str(dataset.SOPInstanceUID) for dataset in instances} - taken:
            raise HTTPException(502, "The PACS did not take all that was sent; its own log says why.")

    def _paged(self, path: str, asked: list[tuple[str, str]], most: int) -> Iterator[dict[str, Any]]:
        """Yield what matches; a server that knows no pages is asked once more than needed."""
        seen: set[str] = set()
        while True:
            page = [*asked, ("limit", str(_PAGE)), ("offset", str(len(seen)))]
            answer = self._pacs.get(path, page, "application/dicom+json", _LIST_SECONDS)
            body = _read(answer, _MOST_JSON_BYTES)
            entries = _json(body) if body else []  # 204: nothing matches
            if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
                raise HTTPException(502, _RUBBISH)
            known = len(seen)
            for entry in entries:
                key = _uid(entry, _INSTANCE) or _uid(entry, _SERIES)
                if key and key not in seen:
                    seen.add(key)
                    yield entry
            if len(entries) < _PAGE or len(seen) == known:
                return
            if len(seen) > most:
                raise HTTPException(502, _RUBBISH)


def _read(answer: requests.Response, most: int) -> bytes:
    content = bytearray()
    try:
        with answer:
            for chunk in answer.iter_content(1 << 20):
                content += chunk
                if len(content) > most:
                    raise HTTPException(502, _RUBBISH)
    except requests.RequestException as error:
        raise HTTPException(502, "The PACS broke off in the middle of its answer.") from error
    return bytes(content)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(502, _RUBBISH) from error


def _only_part(body: bytes, kind: str) -> bytes:
    """Return the one part of a multipart body (RFC 2046 5.1)."""
    boundary = re.search(r'boundary="?([^";,\s]+)', kind)
    if boundary is None:
        raise HTTPException(502, _RUBBISH)
    mark = b"--" + boundary.group(1).encode()
    _, _, rest = body.partition(mark)
    _, _, content = rest.partition(b"\r\n\r\n")
    end = content.rfind(b"\r\n" + mark)
    return content[: end if end >= 0 else len(content)]


def _file_of(dataset: Dataset) -> bytes:
    file = io.BytesIO()
    pydicom.dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


def _value(entry: dict[str, Any], tag: str) -> Any:
    element = entry.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None


def _uid(entry: dict[str, Any], tag: str) -> str:
    """Return a UID, "" where it is none: it becomes a part of paths and the name of a folder."""
    value = _value(entry, tag)
    return value if isinstance(value, str) and len(value) <= 64 and _UID.fullmatch(value) else ""


def _whole(entry: dict[str, Any], tag: str) -> int:
    value = str(_value(entry, tag) or 0)
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 9 else 0


def _title(entry: dict[str, Any]) -> str:
    name = _value(entry, _PATIENT_NAME)
    name = name.get("Alphabetic") if isinstance(name, dict) else name
    parts = (name or _value(entry, _PATIENT_ID), _value(entry, _STUDY_DATE), _value(entry, _DESCRIPTION))
    words = " ".join(part for part in parts if isinstance(part, str))
    return "".join(char for char in words if char.isprintable())[:120] or _uid(entry, _SERIES)
