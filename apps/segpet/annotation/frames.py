"""Frames: a JSON head and slices of a label image in one binary body, quick to send and simple to read."""

import gzip
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from fastapi import HTTPException
from fastapi.responses import Response
from numpy.typing import NDArray

MEDIA_TYPE = "application/x-segpet-frame"
_LENGTH = struct.Struct("<I")
_NO_FRAME = "The body is no frame: a length, a JSON head of that length, and the slices that it lists."


def frame(
    head: Mapping[str, Any],
    slices: Mapping[int, NDArray[np.uint8]],
    instances: Sequence[str],
    shape: Sequence[int],
    accepted: str,
) -> Response:
    """Return a frame.

    Args:
        head: what is said beside the slices.
        slices: uint8 [j, i], by k.
        instances: SOPInstanceUID of slice k, for each k.
        shape: voxels of the study along i, j and k.
        accepted: the client's `Accept-Encoding`.
    """
    told = {**head, "rows": shape[1], "columns": shape[0], "slices": [instances[k] for k in slices]}
    text = json.dumps(told, allow_nan=False).encode()
    body = b"".join([_LENGTH.pack(len(text)), text, *(part.tobytes() for part in slices.values())])
    headers = {"Vary": "Accept-Encoding"}
    if "gzip" in accepted:
        body = gzip.compress(body, compresslevel=1)
        headers["Content-Encoding"] = "gzip"
    return Response(body, media_type=MEDIA_TYPE, headers=headers)


def head_of(body: bytes) -> tuple[dict[str, Any], int]:
    """Return a frame's head, and where its slices begin; struct.error or ValueError for what is no frame."""
    (length,) = _LENGTH.unpack_from(body)
    begin = _LENGTH.size + length
    return json.loads(body[_LENGTH.size : begin]), begin


def read_frame(
    body: bytes, instances: Sequence[str], shape: Sequence[int]
) -> tuple[dict[str, Any], dict[int, NDArray[np.uint8]]]:
    """Return the head of a frame without `slices`, and the slices, uint8 [j, i], by k.

    Raises HTTPException: 422 for what is no frame, or slices that are not the study's.
    """
    size = shape[0] * shape[1]
    try:
        head, begin = head_of(body)
        uids = head.pop("slices")
    except (struct.error, ValueError, RecursionError, AttributeError, KeyError, TypeError) as error:
        raise HTTPException(422, _NO_FRAME) from error
    if not isinstance(uids, list) or not all(isinstance(uid, str) for uid in uids):
        raise HTTPException(422, _NO_FRAME)
    if len(body) != begin + len(uids) * size:
        raise HTTPException(
            422, f"A slice of this study has {shape[1]} x {shape[0]} bytes, as many as pixels."
        )
    if len(set(uids)) < len(uids):
        raise HTTPException(422, "A slice is there twice.")
    place = {uid: k for k, uid in enumerate(instances)}
    if any(uid not in place for uid in uids):
        raise HTTPException(422, "A slice is none of this study's instances.")
    pixels = np.frombuffer(body, np.uint8, offset=begin).reshape(-1, shape[1], shape[0])
    return head, {place[uid]: part for uid, part in zip(uids, pixels, strict=True)}
