"""MONAI Label's `/train`, and the panel's `/segpet/training` and `/segpet/weights`: learn, watch, promote."""

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Request
from monailabel.interfaces.utils.app import app_instance
from pydantic import Field

from apps.segpet.access.record import record
from apps.segpet.annotation.panel_study import check_writable
from apps.segpet.failures import told_to_client
from apps.segpet.routes import panel_requests as asked
from apps.segpet.routes.parameters import Params
from apps.segpet.routes.replies import refusals
from apps.segpet.routes.threads import in_a_thread
from infer_tasks.impressions import Impressions
from lib.store import Models, StoreError, Version

router = APIRouter(responses=refusals(404, 409))
panel = APIRouter(
    prefix="/segpet",
    tags=["Learning"],
    dependencies=[Depends(asked.checked_type)],
    responses=refusals(404, 409, 415),
)


Trainer = Literal["segpet", "impression"]


class TrainerBody(asked.Body):
    """Which trainer is meant."""

    trainer: Trainer = "segpet"


class TrainingBody(TrainerBody):
    """A training; `mode`, `labels`, `tracer` are of `segpet`. With `resume` those of the last one count."""

    mode: Literal["decoder", "lora", "full"] | None = None
    labels: Literal["final", "all"] | None = None
    max_epochs: Annotated[int, Field(ge=1, le=1000)] | None = None
    tracer: asked.Tracer | None = None
    seed: Annotated[int, Field(ge=0, le=100_000)] | None = None
    resume: bool = False


class PromoteBody(TrainerBody):
    """The version that is to answer."""

    version: Annotated[int, Field(ge=1)]


@router.get("/train/", tags=["Train"], summary="How far is the training?")
def status(all: bool = False, check_if_running: bool = False) -> Any:
    """Return the state of the last training; 404 where there is nothing to tell, as viewers expect it."""
    trainings = app_instance().trainings
    if check_if_running and not trainings.is_running:
        raise HTTPException(404, "No training is running.")
    task = trainings.task()
    if task is None:
        raise HTTPException(404, "There was no training yet.")
    return [task] if all else task


@router.post("/train/", tags=["Train"], summary="Start or resume the network's training")
def start_all(request: Request, params: Params) -> Any:
    """Start the network's trainer, as OHIF's *Update Model* asks: parameters by its name."""
    given = params.get("segpet")
    return {"segpet": start(request, "segpet", given if isinstance(given, dict) else {})}


@router.post("/train/{model}", tags=["Train"], summary="Start or resume a training")
def start(request: Request, model: str, params: Params) -> Any:
    """Start a training and return its state; one stopped or killed with the same parameters goes on."""
    check_writable()
    app = app_instance()
    if model not in app.info()["trainers"]:
        raise HTTPException(404, f"There is no such trainer; there are {', '.join(app.info()['trainers'])}.")
    if isinstance(nested := params.get(model), dict):  # as to all trainers, by their names
        params = {**nested, **{key: value for key, value in params.items() if key != model}}
    asked_for = {key: value for key, value in params.items() if key != "client_id"}
    app.trainings.start({**asked_for, "trainer": model})
    record(request, "training started", trainer=model)
    return app.trainings.task()


@router.delete("/train/", tags=["Train"], summary="Stop the training")
def stop(request: Request) -> Any:
    """Ask the training to keep its checkpoint and end; returns its state."""
    check_writable()
    if app_instance().trainings.stop():
        record(request, "training stopped")
    return app_instance().trainings.task() or {}


@panel.get("/training", summary="What is learnt, and which weights answer")
@in_a_thread
def learning() -> dict[str, Any]:
    """Return how far the last training is, all versions of weights, and which of them answers."""
    with told_to_client():
        return _learning()


@panel.post("/training", summary="Start or resume a training")
def start_training(request: Request, body: TrainingBody) -> dict[str, Any]:
    """Start a training, or go on with the last one."""
    check_writable()
    trainings = app_instance().trainings
    if body.resume:
        trainings.resume()
    else:
        trainings.start(body.model_dump(exclude_none=True, exclude={"resume"}))
    record(request, "training started", trainer=trainings.progress()["trainer"])
    return _learning()


@panel.post("/training/stop", summary="Stop the training")
def stop_training(request: Request, _: asked.Nothing) -> dict[str, Any]:
    """Ask the training to keep its checkpoint and end."""
    check_writable()
    if app_instance().trainings.stop():
        record(request, "training stopped")
    return _learning()


@panel.post("/weights/promote", summary="Let a version answer")
@in_a_thread
def promote(request: Request, body: PromoteBody) -> dict[str, Any]:
    """Make a version the champion; returns when it answers. 409 where its files are damaged."""
    check_writable()
    registry = _registry(body.trainer)
    with told_to_client():
        try:
            registry.promote(body.version)
        except StoreError as error:
            if body.version not in registry.numbers():
                raise HTTPException(404, str(error)) from error
            if fault := registry.fault(body.version):
                raise HTTPException(409, fault) from error
            raise
    record(request, "promotion", trainer=body.trainer, version=body.version)
    return _answering(body.trainer)


@panel.post("/weights/rollback", summary="Let the champion before answer again")
@in_a_thread
def rollback(request: Request, body: TrainerBody) -> dict[str, Any]:
    """Make the champion before the present one the champion again; returns when it answers."""
    check_writable()
    registry = _registry(body.trainer)
    with told_to_client():
        try:
            registry.rollback()
        except StoreError as error:
            if registry.champions():
                raise
            raise HTTPException(409, str(error)) from error
    record(request, "rollback", trainer=body.trainer)
    return _answering(body.trainer)


def _registry(trainer: Trainer) -> Models:
    app = app_instance()
    registry: Models = app.impressions.adapters if trainer == "impression" else app.models
    return registry


def _answering(trainer: Trainer) -> dict[str, Any]:
    """Return what `_learning` does when the champion answers."""
    if trainer == "segpet":
        app_instance().network.follow(wait=True)
    return _learning()


def _learning() -> dict[str, Any]:
    """Return all that the panel shows; a damaged version is told as that, and hides no other."""
    app = app_instance()
    app.network.follow()
    answers = None
    if app.network.state == "ready":
        segmenter = app.network.get().segmenter
        answers = {
            "name": segmenter.name, "digest": segmenter.digest, "version": app.network.version or None,
        }  # fmt: skip
    told = _told_of(app.models, _told)
    if answers and told["champion"] not in (None, answers["version"]):
        told["fault"] = _fault(app.models, told["champion"])
    return {
        "read_only": app.options.read_only,
        "trainer": app.network.has_weights,
        "training": app.trainings.progress(),
        "answers": answers,
        **told,
        "impression": _learning_to_write(app.impressions),
    }


def _learning_to_write(impressions: Impressions) -> dict[str, Any]:
    """Return what the panel shows of impressions: accepted pairs, what writes, and its versions."""
    with suppress(StoreError):  # the damage is told with the versions, and what wrote before goes on
        impressions.follow()
    return {
        "trainer": impressions.can_learn,
        "accepted": impressions.number_accepted(),
        "writes": impressions.backend.name if impressions.backend else None,
        **_told_of(impressions.adapters, _told_of_adapter),
    }


def _told_of(registry: Models, tell: Callable[[Version], dict[str, Any]]) -> dict[str, Any]:
    """Return the champion's number, the versions, the newest first, and the numbers of damaged ones."""
    versions, damaged = [], []
    for number in reversed(registry.numbers()):
        try:
            versions.append(tell(registry.version(number)))
        except (AttributeError, KeyError, TypeError, ValueError):  # StoreError, or a card that holds anything
            damaged.append(number)
    champion, fault = None, ""
    try:
        champion = next(reversed(registry.champions()), None)
    except StoreError:
        fault = "Which version answers cannot be read; `segpet doctor` finds and repairs that."
    return {"champion": champion, "fault": fault, "versions": versions, "damaged": damaged}


def _fault(registry: Models, number: int) -> str:
    """Return why a champion cannot answer, "" where nothing is known; its weights are read once."""
    try:
        stamp = registry.version(number).path.stat().st_mtime_ns
    except (StoreError, OSError):
        stamp = 0
    return _fault_since(registry, number, stamp)


@lru_cache(maxsize=8)
def _fault_since(registry: Models, number: int, _: int) -> str:
    return registry.fault(number)


def _told_of_adapter(version: Version) -> dict[str, Any]:
    """Return what the panel shows of a version that writes impressions."""
    return {
        "version": version.number, "name": version.name, "digest": version.digest, "time": version.time,
        "pairs": version.card.get("data"), "why": version.card.get("why"),
        "before": version.card.get("before", {}), "after": version.card.get("after", {}),
    }  # fmt: skip


def _told(version: Version) -> dict[str, Any]:
    """Return what the panel shows of a version: no study's name."""
    card = version.card
    before, after = (_mean(card.get("validation", {}).get(when, {})) for when in ("before", "after"))
    studies = {kind: len(names) for kind, names in card.get("data", {}).items() if isinstance(names, list)}
    told = {key: card.get(key) for key in ("mode", "tracer", "why", "seconds")}
    return {
        "version": version.number, "name": version.name, "digest": version.digest, "time": version.time,
        **told, "studies": studies, "before": before, "after": after,
    }  # fmt: skip


def _mean(scores: dict[str, dict[str, float]]) -> dict[str, float]:
    """Return the mean Dice over studies by number of clicks."""
    clicks = sorted({number for study in scores.values() for number in study}, key=int)
    by_clicks = {number: [study[number] for study in scores.values() if number in study] for number in clicks}
    return {number: round(sum(values) / len(values), 4) for number, values in by_clicks.items()}
