"""An object: one lesion or organ, and the steps in which it was clicked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydicom.uid import generate_uid

from lib.interaction.painting import Paint
from lib.interaction.prompts import Click, Index, PromptError, Step


@dataclass(frozen=True)
class AnnotatedObject:
    """One lesion or organ.

    Args:
        id: number within the study, from 1.
        label: name of its class.
        uid: tracking UID (DICOM TID 1411), the same for as long as the object exists.
        status: proposed, draft or accepted.
        anchor: voxel (i, j, k) on which its first region is centred, its own first click or that of an object
            nearby whose region it shares; part of the steps, for another anchor gives another mask.
        steps: its clicks, a step for every request that added some; negative clicks of the study are among
            them.
        seeds: those of its clicks that nobody made: a proposal's. No viewer has to send them.
        paints: what was brushed on and off between the steps.
        name: what an annotator calls it, "" where it has no name.
    """

    id: int
    label: str
    uid: str
    status: str = "draft"
    anchor: Index | None = None
    steps: tuple[Step, ...] = ()
    seeds: frozenset[Index] = frozenset()
    paints: tuple[Paint, ...] = ()
    name: str = ""

    @classmethod
    def new(cls, number: int, label: str, anchor: Index | None) -> "AnnotatedObject":
        """Return an object without clicks, under a tracking UID of its own."""
        return cls(id=number, label=label, uid=str(generate_uid()), anchor=anchor)

    @property
    def positive(self) -> set[Index]:
        """The voxels clicked in the object."""
        return {click.index for step in self.steps for click in step if click.positive}

    @property
    def negative(self) -> set[Index]:
        """The voxels clicked outside of the object."""
        return {click.index for step in self.steps for click in step if not click.positive}

    def as_dict(self) -> dict[str, Any]:
        """Return the object as JSON has it; a click is [i, j, k, 1 or 0]."""
        steps = [[[*click.index, int(click.positive)] for click in step] for step in self.steps]
        anchor = None if self.anchor is None else list(self.anchor)
        some: dict[str, Any] = {}
        if self.seeds:
            some["seeds"] = sorted(list(seed) for seed in self.seeds)
        if self.paints:
            some["paints"] = [paint.as_dict() for paint in self.paints]
        if self.name:
            some["name"] = self.name
        return {
            "id": self.id,
            "label": self.label,
            "uid": self.uid,
            "status": self.status,
            "anchor": anchor,
            "steps": steps,
            **some,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "AnnotatedObject":
        """Return the object that `as_dict` wrote.

        Raises:
            PromptError: it is not one.
        """
        try:
            steps = tuple(
                tuple(Click((int(i), int(j), int(k)), bool(positive)) for i, j, k, positive in step)
                for step in stored["steps"]
            )
            anchor = None
            if stored["anchor"] is not None:
                i, j, k = (int(at) for at in stored["anchor"])
                anchor = (i, j, k)
            seeds = frozenset((int(i), int(j), int(k)) for i, j, k in stored.get("seeds", ()))
            return cls(
                id=int(stored["id"]),
                label=str(stored["label"]),
                uid=str(stored["uid"]),
                status=stored["status"],
                anchor=anchor,
                steps=steps,
                seeds=seeds,
                paints=tuple(Paint.from_dict(paint) for paint in stored.get("paints", ())),
                name=str(stored.get("name", "")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise PromptError("An object in the journal cannot be read.") from error
