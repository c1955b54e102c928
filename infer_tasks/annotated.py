"""What an annotation session holds: objects with the method that answers them and the mask that is shown."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from infer_tasks.requests import RequestError
from lib.interaction import AnnotatedObject
from lib.interaction.labels import with_label_in_use
from lib.interaction.painting import Bits, Paint
from lib.pet import Crop

#: Objects of a study at most: their numbers are the values of a uint8 image.
MOST_OBJECTS = 255


@dataclass(frozen=True)
class Method:
    """What turns the clicks of an object into its mask.

    Args:
        name: of the infer task, `segpet` or `suv_region`.
        threshold: of `suv_region`: "percent", "fixed" or "gradient"; None: percent.
        value: of the threshold; None: its default.
    """

    name: str
    threshold: str | None = None
    value: float | None = None


@dataclass(frozen=True)
class Item:
    """An object as it stands.

    Args:
        object: label, name, status, clicks and strokes.
        method: what answers its clicks.
        mask: what was shown: it stays, also where the weights have become others since.
        weights: digest of what answered last; "" where nothing did.
        warnings: about this object, in plain words.
    """

    object: AnnotatedObject
    method: Method
    mask: Bits
    weights: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def number(self) -> int:
        """The object's number."""
        return self.object.id

    def with_object(self, **changes: Any) -> "Item":
        """Return the item with some fields of its object changed."""
        return replace(self, object=replace(self.object, **changes))

    def with_label_in_use(self, labels: Sequence[str]) -> "Item":
        """Return the item with a label that is among those in use, `background` first."""
        obj, told = with_label_in_use(self.object, labels)
        return replace(self, object=obj, warnings=(*self.warnings, *told)) if told else self

    def accepted(self, seen: Crop) -> "Item":
        """Return the item as accepted: what is seen of it is all of it from then on.

        Raises:
            RequestError: nothing is seen of it.
        """
        if not seen.any():
            raise RequestError(f"Object {self.number} has no voxel that is seen: there is nothing to accept.")
        mask = self.mask if seen.equals(self.mask.crop) else Bits.of(seen)
        return replace(self.with_object(status="accepted"), mask=mask)

    def painted(self, paint: Paint) -> "Item":
        """Return the item after a stroke."""
        mask = paint.over(self.mask.crop)
        warnings = () if mask.any() else ("All of it was erased.",)
        changed = self.with_object(paints=(*self.object.paints, paint))
        return replace(changed, mask=Bits.of(mask), warnings=warnings)

    def as_dict(self) -> dict[str, Any]:
        """Return the item as the journal has it."""
        return {
            "object": self.object.as_dict(),
            "method": asdict(self.method),
            "mask": self.mask.as_dict(),
            "weights": self.weights,
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Item":
        """Return the item that `as_dict` wrote; PromptError where it is none."""
        return cls(
            AnnotatedObject.from_dict(stored["object"]),
            Method(**stored["method"]),
            Bits.from_dict(stored["mask"]),
            stored["weights"],
            tuple(stored["warnings"]),
        )


@dataclass(frozen=True)
class Snapshot:
    """All objects of a session at one moment.

    Args:
        items: by number.
        highest: the highest number that an object had up to then.
    """

    items: Mapping[int, Item] = field(default_factory=dict)
    highest: int = 0

    def __getitem__(self, number: int) -> Item:
        """Return an object; RequestError where there is none of that number."""
        if number not in self.items:
            raise RequestError(f"There is no object {number} in this session.")
        return self.items[number]

    def proposed(self) -> set[int]:
        """Return the numbers of the proposals that nobody took up or accepted yet."""
        return {number for number, item in self.items.items() if item.object.status == "proposed"}

    def next_number(self) -> int | None:
        """Return the number of a new object: the highest so far plus 1, as long as there are such.

        None where there are as many objects as there can be.
        """
        if self.highest < MOST_OBJECTS:
            return self.highest + 1
        return next((number for number in range(1, MOST_OBJECTS + 1) if number not in self.items), None)

    def free_number(self) -> int:
        """Return `next_number`; RequestError where there is none."""
        number = self.next_number()
        if number is None:
            raise RequestError(f"A session holds at most {MOST_OBJECTS} objects; merge or delete some.")
        return number

    def having(self, *items: Item) -> "Snapshot":
        """Return the snapshot with these items, new ones or in place of those of their numbers."""
        merged = {**self.items, **{item.number: item for item in items}}
        highest = max([self.highest, *(item.number for item in items)])
        return Snapshot(dict(sorted(merged.items())), highest)

    def without(self, numbers: Iterable[int]) -> "Snapshot":
        """Return the snapshot without some objects."""
        gone = set(numbers)
        return Snapshot(
            {number: item for number, item in self.items.items() if number not in gone}, self.highest
        )
