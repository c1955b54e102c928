"""Whether what was measured can be so: voxels without a value, and numbers that no SUV reaches."""

from collections.abc import Mapping

from lib.pet.crop import Crop

#: No uptake reaches it: with PSMA and a full bladder SUVmax may be 200; activity in Bq/ml has thousands.
MOST_SUV = 500.0


def doubts(
    masks: Mapping[int, Crop], voxels: Mapping[int, int], maxima: Mapping[int, float | None], unit: str
) -> list[str]:
    """Return sentences on what cannot be measured, or cannot be SUV.

    Args:
        masks: each object's mask, by its id.
        voxels: how many of each have a value (`LesionNumbers.voxels`).
        maxima: each one's highest value in `unit`; None where none has one.
        unit: "SUVbw", "Bq/ml" or "unknown"; only SUV can be implausible.
    """
    found = []
    counts = {number: mask.count for number, mask in masks.items()}
    total, measured = sum(counts.values()), sum(voxels.values())
    if total and not measured:
        found.append(f"None of the mask's {total} voxels has a value (NaN): there is nothing to measure.")
    elif measured < total:
        empty = [number for number, count in counts.items() if count and not voxels[number]]
        none = f"; of {_named(empty)} there is none that has" if empty else ""
        found.append(
            f"{total - measured} of the mask's {total} voxels have no value (NaN){none}: they count nowhere, "
            "and volumes are that much too small."
        )
    if unit != "SUVbw":
        return found
    known = {number: highest for number, highest in maxima.items() if highest is not None}
    if high := [number for number, highest in known.items() if highest > MOST_SUV]:
        found.append(
            f"SUVmax {max(known.values()):.0f} cannot be ({_named(high)}): no uptake reaches {MOST_SUV:.0f}. "
            "The values are likely of another unit, such as Bq/ml."
        )
    if low := [number for number, highest in known.items() if highest < 0]:
        found.append(
            f"SUVmax {min(known.values()):.2g} cannot be ({_named(low)}): uptake is not below 0. Look at the "
            "image's scale, and at where the mask lies."
        )
    return found


def _named(numbers: list[int]) -> str:
    some = ", ".join(map(str, numbers[:5]))
    return f"object{'s' if len(numbers) > 1 else ''} {some}{' ...' if len(numbers) > 5 else ''}"
