"""A panel without a browser: keeps what it was sent, as the one in OHIF does."""

import json
import struct
from typing import Any

import numpy as np
import requests

FRAME = "application/x-segpet-frame"


class RefusedError(Exception):
    """A request that the server refused."""

    def __init__(self, reply: requests.Response) -> None:
        self.status, self.detail = reply.status_code, reply.json()["detail"]
        super().__init__(f"{self.status} {self.detail}")


def checked(reply: requests.Response) -> requests.Response:
    if not reply.ok:
        raise RefusedError(reply)
    return reply


def unpacked(body: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Head and slices of a frame, as the contract's JavaScript reads them."""
    (length,) = struct.unpack_from("<I", body)
    head = json.loads(body[4 : 4 + length])
    size = head["rows"] * head["columns"]
    assert len(body) == 4 + length + size * len(head["slices"])
    slices = {
        uid: np.frombuffer(body, np.uint8, size, 4 + length + at * size).reshape(
            head["rows"], head["columns"]
        )
        for at, uid in enumerate(head["slices"])
    }
    return head, slices


def packed(head: dict[str, Any], slices: dict[str, np.ndarray]) -> bytes:
    text = json.dumps({**head, "slices": list(slices)}).encode()
    return struct.pack("<I", len(text)) + text + b"".join(part.tobytes() for part in slices.values())


class PanelClient:
    """One client's panel with one study open.

    Args:
        url: of the server.
        title: the study's name.
        client: what the browser calls itself.
    """

    def __init__(self, url: str, title: str, client: str) -> None:
        self.url, self.client = url, client
        listed = checked(requests.get(f"{url}/segpet/studies", params={"limit": 1000})).json()["studies"]
        (entry,) = [one for one in listed if one["title"] == title]
        self.study_url = f"{url}/segpet/studies/{entry['id']}"
        self.study = checked(requests.get(self.study_url)).json()
        self.session_url = f"{self.study_url}/sessions/{client}"
        self.image: dict[str, np.ndarray] = {}
        self.head: dict[str, Any] = {}

    def take(self, reply: requests.Response) -> "PanelClient":
        self.head, slices = unpacked(checked(reply).content)
        empty = np.zeros((self.study["rows"], self.study["columns"]), np.uint8)
        if self.head["complete"]:
            self.image = dict.fromkeys(self.study["instances"], empty)
        self.image |= slices
        self.changed_slices = set(slices)
        return self

    def open(self) -> "PanelClient":
        return self.take(requests.put(self.session_url, json={}))

    def reload(self) -> "PanelClient":
        return self.take(requests.get(self.session_url))

    def post(self, what: str, **body: Any) -> "PanelClient":
        body = {"revision": self.head["revision"], **body}
        return self.take(requests.post(f"{self.session_url}/{what}", json=body))

    def click(self, point, object=None, positive=True, **body: Any) -> "PanelClient":
        if object is None:
            body = {"label": "lesion", "method": "suv_region", **body}
        return self.post("clicks", object=object, point=list(point), positive=positive, **body)

    def patch(self, number: int, **body: Any) -> "PanelClient":
        body = {"revision": self.head["revision"], **body}
        return self.take(requests.patch(f"{self.session_url}/objects/{number}", json=body))

    def delete(self, number: int) -> "PanelClient":
        params = {"revision": self.head["revision"]}
        return self.take(requests.delete(f"{self.session_url}/objects/{number}", params=params))

    def brush(self, slices: dict[str, np.ndarray], **head: Any) -> "PanelClient":
        body = packed({"revision": self.head["revision"], **head}, slices)
        return self.take(requests.put(f"{self.session_url}/slices", body, headers={"Content-Type": FRAME}))

    def save(self, status: str, **body: Any) -> dict[str, Any]:
        body = {"revision": self.head["revision"], "status": status, **body}
        return checked(requests.post(f"{self.session_url}/label", json=body)).json()

    @property
    def grid(self) -> np.ndarray:
        """The label image [i, j, k]."""
        return np.stack([self.image[uid] for uid in self.study["instances"]]).T

    @property
    def objects(self) -> dict[int, dict[str, Any]]:
        return {obj["number"]: obj for obj in self.head["objects"]}


def lps(affine: np.ndarray, index) -> list[float]:
    place = affine[:3, :3] @ np.array(index, float) + affine[:3, 3]
    return (place * (-1, -1, 1)).tolist()
