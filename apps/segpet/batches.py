"""Batches: many studies segmented one after the other without a click, beside the clicks of annotators."""

import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import HTTPException
from monailabel.interfaces.datastore import Datastore

from apps.segpet.failures import told_to_client
from apps.segpet.turns import Turns
from infer_tasks.sessions import BATCH

ORIGINAL = "original"
#: Seconds that a new batch waits for one that was stopped.
_ENDS_WITHIN = 5.0
_IMAGES = ("all", "labeled", "unlabeled")


@dataclass(frozen=True)
class Batch:
    """What is to be segmented.

    Args:
        model: name of the infer task.
        studies: ids.
        params: a client's further parameters of the infer request.
    """

    model: str
    studies: tuple[str, ...]
    params: Mapping[str, Any]


def read_batch(request: Mapping[str, Any], datastore: Datastore) -> Batch:
    """Read a request for a batch, as MONAI Label's `BatchInferTask` understands it.

    Raises:
        HTTPException: 422 for parameters that cannot be used, 404 for an unknown study.
    """
    tag = request.get("label_tag") or ORIGINAL
    if tag != ORIGINAL:
        raise HTTPException(422, f"A batch saves its labels as {ORIGINAL}; other tags are for people's.")
    images = request.get("images") or "all"
    if isinstance(images, list):
        known = set(datastore.list_images())
        if not all(isinstance(study, str) and study in known for study in images):
            raise HTTPException(404, "There is no study of one of these names.")
        studies = images
    elif images == "labeled":
        studies = datastore.get_labeled_images(tag)
    elif images == "unlabeled":
        studies = datastore.get_unlabeled_images(tag)
    elif images == "all":
        studies = datastore.list_images()
    else:
        raise HTTPException(422, f"images must be one of {', '.join(_IMAGES)}, or a list of ids.")
    most = request.get("max_batch_size") or 0
    if not isinstance(most, int) or isinstance(most, bool) or most < 0:
        raise HTTPException(422, "max_batch_size must be a whole number, 0 for all studies.")
    studies = sorted(set(studies))[: most or None]
    params = {"result_extension": request["result_extension"]} if "result_extension" in request else {}
    return Batch(request["model"], tuple(studies), params)


class Batches:
    """Runs one batch at a time. Annotators' clicks go on between two of its decodings.

    Args:
        infer: answers an infer request, as `MONAILabelApp.infer`.
        turns: at the device, for one study at a time.
    """

    def __init__(self, infer: Callable[[dict[str, Any]], dict[str, Any]], turns: Turns) -> None:
        self._infer, self._turns = infer, turns
        self._running = threading.Lock()
        self._stopped = threading.Event()
        self._state: dict[str, Any] | None = None

    def state(self) -> dict[str, Any] | None:
        """Return how far the last batch is, in MONAI Label's form of a task; None where there was none."""
        return None if self._state is None else dict(self._state)

    def stop(self) -> None:
        """Let the batch end after the study that it is at."""
        self._stopped.set()

    def start(self, batch: Batch) -> dict[str, Any]:
        """Run a batch in the background; returns its state. HTTPException 429 while another one runs."""
        self._begin(batch)
        threading.Thread(target=self._work, args=(batch,), name="batch", daemon=True).start()
        return dict(self._state or {})

    def run(self, batch: Batch) -> dict[str, Any]:
        """Run a batch; returns the reply for each study, `{"error": sentence}` for one that failed."""
        self._begin(batch)
        return self._work(batch)

    def _begin(self, batch: Batch) -> None:
        # One that was stopped is waited for: scripts stop a batch and start the next in one go.
        if not self._running.acquire(timeout=_ENDS_WITHIN if self._stopped.is_set() else 0):
            if self._stopped.is_set():
                detail, seconds = "A batch is stopping; start the next one when its study is done.", 5
            else:
                detail, seconds = "A batch is running already; wait for it, or stop it first.", 30
            raise HTTPException(429, detail, {"Retry-After": str(seconds)})
        self._stopped.clear()
        self._state = {
            "id": str(uuid.uuid4()),
            "status": "RUNNING",
            "model": batch.model,
            "start_ts": _now(),
            "total": len(batch.studies),
            "finished": 0,
            "failed": {},
        }

    def _work(self, batch: Batch) -> dict[str, Any]:
        state = self._state
        assert state is not None, "the batch has begun"
        results: dict[str, Any] = {}
        try:
            for study in batch.studies:
                if self._stopped.is_set():
                    break
                results[study] = self._segmented(study, batch)
                if "error" in results[study]:
                    state["failed"] = {**state["failed"], study: results[study]["error"]}
                state["finished"] += 1
            state["status"] = "DONE" if len(results) == len(batch.studies) else "STOPPED"
        finally:
            if state["status"] == "RUNNING":
                state["status"] = "ERROR"
            state["end_ts"] = _now()
            self._running.release()
        return results

    def _segmented(self, study: str, batch: Batch) -> dict[str, Any]:
        request = {**batch.params, "model": batch.model, "image": study, "client_id": BATCH}
        try:
            with told_to_client(), self._turns.turn(BATCH, long=True):
                result = self._infer({**request, "save_label": True, "label_tag": ORIGINAL})
        except HTTPException as error:  # one study that cannot be read must not end the night's work
            return {"error": error.detail}
        Path(result.pop("file")).unlink(missing_ok=True)
        return result


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
