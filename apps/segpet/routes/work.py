"""What the app offers, what is next, and what is running."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, HTTPException
from monailabel.endpoints.activelearning import sample
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.async_tasks.task import AsyncTask

router = APIRouter()

Params = Annotated[dict[str, Any] | None, Body()]


@router.get("/info/", tags=["App"], summary="What the app offers")
def info() -> dict[str, Any]:
    """Return models, labels, strategies and the number of studies."""
    return app_instance().info()


@router.post("/activelearning/{strategy}", tags=["ActiveLearning"], summary="The next study")
def next_sample(strategy: str, params: Params = None) -> dict[str, Any]:
    """Return the study that is to be labelled next; {} where all have a label."""
    return sample(strategy, {key: value for key, value in (params or {}).items() if key != "strategy"})


@router.post("/batch/infer/{model}", tags=["Infer"], summary="Segment many studies")
def batch_infer(model: str, params: Params = None) -> Any:
    """Refuse, as long as every model needs clicks."""
    return app_instance().batch_infer({**(params or {}), "model": model})


@router.get("/train/", tags=["Train"], summary="Is a training running?")
def training(all: bool = False, check_if_running: bool = False) -> Any:
    """Return the state of training; 404 where there is nothing to tell, as viewers expect it."""
    result, detail = AsyncTask.status("train", all, check_if_running)
    if result is None:
        raise HTTPException(404, detail)
    return result
