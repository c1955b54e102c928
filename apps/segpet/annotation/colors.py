"""Colours of labels and objects, far from each other on inverted greys and on a CT."""

from collections.abc import Sequence

from lib.interaction.labels import is_lesion

Color = list[int]

#: Lesions, one after the other. Okabe and Ito's palette for all kinds of colour vision, without its black.
_LESIONS = (
    (213, 94, 0),
    (0, 114, 178),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
    (200, 190, 40),
)
#: The level, 0 to 255, towards which a colour goes, and how far.
_SHADES = ((0, 0.0), (0, 0.4), (255, 0.4))
#: Organs, by their place among the labels; paler, for they lie beneath.
_ORGANS = (
    (166, 118, 84),
    (128, 174, 128),
    (144, 152, 200),
    (200, 140, 140),
    (150, 110, 160),
    (180, 180, 120),
    (110, 170, 180),
    (190, 150, 190),
)


def label_color(label: str, labels: Sequence[str]) -> Color:
    """Return the red, green and blue, 0 to 255, of a label."""
    of_kind = [name for name in labels[1:] if is_lesion(name) == is_lesion(label)]
    palette = _LESIONS if is_lesion(label) else _ORGANS
    return list(palette[of_kind.index(label) % len(palette)])


def object_color(number: int, label: str, labels: Sequence[str]) -> Color:
    """Return the colour of an object: a lesion's goes by its number, so that neighbours differ.

    After the palette come its shades, darker and then lighter, before a colour comes again.
    """
    if not is_lesion(label):
        return label_color(label, labels)
    turn, place = divmod(number - 1, len(_LESIONS))
    towards, share = _SHADES[turn % len(_SHADES)]
    return [round(part + (towards - part) * share) for part in _LESIONS[place]]
