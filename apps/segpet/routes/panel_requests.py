"""What the panel may send: bodies with bounds, and the names of studies and clients in paths."""

from typing import Annotated, Literal

from fastapi import HTTPException, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from apps.segpet.access.users import NAME, name_of
from apps.segpet.annotation.frames import MEDIA_TYPE
from infer_tasks.annotated import MOST_OBJECTS

Uid = Annotated[str, Path(pattern=r"^[0-9.]{1,64}$", description="SeriesInstanceUID of the PET series.")]
Client = Annotated[str, Path(pattern=f"^{NAME}$", description="What the browser calls itself, or the user.")]
Number = Annotated[int, Field(ge=1, le=MOST_OBJECTS)]
Revision = Annotated[int, Field(ge=0)]
MM = Annotated[float, Field(ge=-1e5, le=1e5)]
LabelName = Annotated[str, Field(min_length=1, max_length=64)]
Tracer = Annotated[str, Field(min_length=1, max_length=64)]
Threshold = Literal["percent", "fixed", "gradient"]
Value = Annotated[float, Field(gt=0, le=1e9)]


def checked_type(request: Request) -> None:
    """Refuse a body that is neither JSON nor a frame (415): no form of another page can send either."""
    if request.method in ("POST", "PUT", "PATCH"):
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        wanted = MEDIA_TYPE if request.url.path.endswith("/slices") else "application/json"
        if kind != wanted:
            raise HTTPException(415, f"Send this with the Content-Type {wanted}.")


def checked_client(request: Request, client: Client) -> None:
    """Refuse the session of somebody else than the user who is signed in (403)."""
    if name_of(request, client) != client:
        raise HTTPException(
            403, f"This is the session of {client}; you are signed in as {name_of(request, '')}."
        )


class Body(BaseModel):
    """A request's body; unknown keys are refused, so that a misspelt one is not left out in silence."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Nothing(Body):
    """A body without keys."""


class Change(Body):
    """A change of what the panel shows."""

    revision: Revision


class Answered(Body):
    """What is to answer an object's clicks."""

    method: Literal["segpet", "suv_region"] | None = None
    threshold: Threshold | None = None
    value: Value | None = None


class ClickBody(Change, Answered):
    """A click in an object, or where `object` is null in a new one."""

    object: Number | None
    label: LabelName | None = None
    point: Annotated[list[MM], Field(min_length=3, max_length=3)]
    positive: bool


class ObjectBody(Change, Answered):
    """What is to be changed of an object."""

    label: LabelName | None = None
    name: Annotated[str, Field(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")] | None = None
    status: Literal["draft", "accepted"] | None = None


class RestoreBody(Change):
    """The version of the label to go on from; null: the one that counts."""

    version: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


class MergeBody(Change):
    """Objects that become part of another one."""

    into: Number
    objects: Annotated[list[Number], Field(min_length=1, max_length=MOST_OBJECTS)]


class ProposalsBody(Change):
    """An automatic first pass."""

    label: LabelName | None = None


class BrushHead(Change):
    """The head of a frame of slices that were painted in, without `slices`."""

    label: LabelName | None = None


class SaveBody(Change):
    """How the session is to be saved."""

    status: Literal["draft", "submitted", "reviewed", "final"]
    replace: bool = False


class NextBody(Body):
    """Which study is next."""

    strategy: Annotated[str, Field(min_length=1, max_length=64)] = "random"
    client: Annotated[str, Field(pattern=f"^{NAME}$")]
    current: Annotated[str, Field(pattern=r"^[0-9.]{1,64}$")] | None = None
    tracer: Tracer | None = None
