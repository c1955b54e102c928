"""Records as the store writes them: JSON objects in strict JSON, and file names made of study ids."""

import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lib.store.errors import StoreError

LONGEST_NAME = 200  # of the 255 bytes that file systems allow; the rest is for what callers append


def to_json(record: dict[str, Any]) -> str:
    """The record on one line of ASCII; StoreError where JSON cannot hold it (NaN, NumPy scalars, bytes)."""
    try:
        return json.dumps(record, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise StoreError(f"This record cannot be kept as JSON: {error}.") from error


def from_json(text: str | bytes) -> dict[str, Any]:
    """The record that `to_json` wrote; StoreError for anything but one JSON object."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StoreError("it is not JSON") from error
    if not isinstance(record, dict):
        raise StoreError("it is not a JSON object")
    return record


def file_name(study: str) -> str:
    """A file name for a study id: percent-encoded, another for each id, never hidden, at most 200 characters.

    An id that would be longer keeps its beginning, then "+" (which percent-encoding never leaves) and its
    SHA-256.
    """
    if not study:
        raise StoreError("A study needs a name that is not empty.")
    name = quote(study, safe="", errors="surrogatepass")
    if name.startswith("."):
        name = "%2E" + name[1:]
    if len(name) > LONGEST_NAME:
        digest = hashlib.sha256(study.encode(errors="surrogatepass")).hexdigest()
        name = f"{name[: LONGEST_NAME - 1 - len(digest)]}+{digest}"
    return name


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's content; OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
