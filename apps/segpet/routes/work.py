"""What the app offers, what is next, and what is running."""

from typing import Any

from fastapi import APIRouter, HTTPException, Request
from monailabel.endpoints.activelearning import sample
from monailabel.interfaces.utils.app import app_instance

from apps.segpet.access.record import record
from apps.segpet.access.users import Role, user_of
from apps.segpet.routes.parameters import Params, with_client
from apps.segpet.routes.replies import refusals
from apps.segpet.strategies import awaiting_review

router = APIRouter(responses=refusals(404))


@router.get("/info/", tags=["App"], summary="What the app offers")
def info() -> dict[str, Any]:
    """Return models, labels, strategies and the number of studies."""
    return app_instance().info()


@router.post("/activelearning/{strategy}", tags=["ActiveLearning"], summary="The next study")
def next_sample(request: Request, strategy: str, params: Params) -> dict[str, Any]:
    """Return the study that is to be labelled next; {} where all have a label."""
    told = with_client(params, request)
    if user_of(request).role is Role.ANNOTATOR:
        told["but_not"] = awaiting_review(app_instance().datastore())
    return sample(strategy, {key: value for key, value in told.items() if key != "strategy"})


@router.post("/batch/infer/{model}", tags=["Infer"], summary="Segment many studies without a click")
def batch_infer(
    request: Request, model: str, params: Params, images: str = "all", run_sync: bool = False
) -> Any:
    """Start a batch and return its state, or with `run_sync` wait and return the results by study."""
    app = app_instance()
    batch = app.checked_batch({"images": images, **params, "model": model})
    record(request, "batch started", model=batch.model)
    return app.batches.run(batch) if run_sync else app.batches.start(batch)


@router.get("/batch/infer", tags=["Infer"], summary="How far is the batch?")
def batch_state() -> Any:
    """Return the state of the last batch; 404 where there was none since the server's start."""
    state = app_instance().batches.state()
    if state is None:
        raise HTTPException(404, "No batch was started since the server's start.")
    return state


@router.delete("/batch/infer", tags=["Infer"], summary="Stop the batch")
def stop_batch() -> Any:
    """Stop the batch after the study that it is at; what is saved stays."""
    app_instance().batches.stop()
    return batch_state()
