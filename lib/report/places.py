"""Where an entity is: the anatomy that it names or implies, and what lies within what."""

import re
from collections.abc import Iterable
from functools import cache

from lib.report.entities import Entity
from lib.report.lexicon import default_lexicon
from lib.report.text import words_of

#: Words of names that say nothing of the place.
_PLAIN = frozenset(
    [
        "lymph",
        "node",
        "nodal",
        "vessel",
        "artery",
        "vein",
        "region",
        "fossa",
        "area",
        "space",
        "chain",
        "station",
        "group",
        "left",
        "right",
        "the",
        "of",
        "and",
    ]
)
#: Organs whose hilar nodes are not in them.
_NOT_THERE = frozenset(["hepatic", "splenic", "renal", "pulmonary", "gastric"])
#: Places that are no more than a direction, or a kind of tissue.
_VAGUE = frozenset(["lymph_node", "node_regional", "node_sentinel", "diaphragm", "body"])
_STEM = 6
_LISTS = re.compile(r"[,，、;；/]|\band\b|和|及")
#: Stations of the lung cancer map (Rusch 2009, J Thorac Oncol 4:568), which have names too; and all bones.
_STATIONS = {
    f"node_station_{number}{side}": f"node_{name}"
    for number, name in {
        2: "upper_paratracheal",
        4: "lower_paratracheal",
        5: "aortopulmonary",
        6: "paraaortic_mediastinal",
        7: "subcarinal",
        8: "paraesophageal",
        9: "pulmonary_ligament",
        10: "hilar",
        11: "interlobar",
    }.items()
    for side in ("", "r", "l")
} | {"axial_skeleton": "bone", "appendicular_skeleton": "bone"}


def places_of(entity: Entity) -> tuple[str, ...]:
    """Return the narrowest anatomy of an entity: itself, or what a disease implies ("liver metastasis")."""
    return _places(entity.concept.id)


@cache
def _places(id: str) -> tuple[str, ...]:
    lexicon = default_lexicon()
    if id not in lexicon.concepts:  # made of a text, as TNM's stages are
        return ()
    if lexicon.concepts[id].kind == "anatomy":
        return (id,)
    wider = lexicon.wider(id)
    if "lymphoma" in wider:  # it may be anywhere
        return ()
    anatomy = {one for one in wider if lexicon.concepts[one].kind == "anatomy"}
    return tuple(
        sorted(one for one in anatomy if not any(one in lexicon.wider(other) for other in anatomy - {one}))
    )


@cache
def is_within(narrow: str, wide: str) -> bool:
    """Whether a place is another one or in it; nodes and the region that they are named by are one place."""
    lexicon = default_lexicon()
    narrow, wide = _STATIONS.get(narrow, narrow), _STATIONS.get(wide, wide)
    wider = lexicon.wider(narrow)
    if wide in wider:
        return True
    if wide in _regions(narrow) or narrow in _regions(wide):
        return True
    if any(wide in _regions(one) for one in wider if one.startswith("node_")):
        return True
    return any(wide in lexicon.wider(node) for node in _nodes_of(narrow))


def narrowest(text: str, entities: Iterable[Entity]) -> list[Entity]:
    """Return the entities with a place, less those that a neighbour says more narrowly.

    "Bone metastasis in T12" is at T12 alone, "股骨颈骨转移" at the femoral neck; a list has all its sites.
    """
    placed = [(entity, places_of(entity)) for entity in entities]
    return [
        entity
        for entity, places in placed
        if places
        and not any(
            is_within(narrow, wide) and not is_within(wide, narrow)
            for other, others in placed
            if other.concept.kind == "anatomy" and _says_narrower(text, entity, other)
            for narrow in others
            for wide in places
        )
    ]


def _says_narrower(text: str, entity: Entity, other: Entity) -> bool:
    if entity.start < other.start:
        return not _LISTS.search(text[entity.end : other.start])
    return text[other.end : entity.start] in ("", " (", "(", "（")  # 股骨颈 + 骨转移, T4 (bone metastasis)


def is_vague(place: str) -> bool:
    """Whether a place is too wide to be right or wrong."""
    concept = default_lexicon().concepts[place]
    return place in _VAGUE or "diaphragm" in place or set(concept.broader) <= {"body"}


def is_node(place: str) -> bool:
    """Whether a place is a lymph node."""
    return "lymph_node" in default_lexicon().wider(place)


#: Organs and vessels beside which groups of lymph nodes lie.
_BESIDE = {
    "jugular_vein": "node_cervical",
    "carotid_space": "node_cervical",
    "common_carotid_artery": "node_cervical",
    "internal_carotid_artery": "node_cervical",
    "trachea": "node_paratracheal",
    "carina": "node_subcarinal",
    "bronchus": "node_hilar",
    "esophagus": "node_paraesophageal",
    "aortic_arch": "node_mediastinal",
    "superior_vena_cava": "node_mediastinal",
    "aorta": "node_retroperitoneal",
    "abdominal_aorta": "node_paraaortic",
    "inferior_vena_cava": "node_retroperitoneal",
    "portal_vein": "node_hepatic_hilar",
    "stomach": "node_gastric",
    "mesenteric_artery": "node_mesenteric",
    "iliac_artery": "node_iliac",
    "iliac_vein": "node_iliac",
    "femoral_vessel": "node_inguinal",
}


def nodes_beside(place: str) -> tuple[str, ...]:
    """Return the groups of lymph nodes that lie beside an organ or a vessel."""
    concepts = default_lexicon().concepts
    known = {node for organ, node in _BESIDE.items() if organ in concepts and is_within(place, organ)}
    return tuple(sorted(known & concepts.keys()))


@cache
def _nodes_of(region: str) -> frozenset[str]:
    """Return the groups of lymph nodes that are named by a region."""
    concepts = default_lexicon().concepts
    return frozenset(id for id in concepts if id.startswith("node_") and region in _regions(id))


@cache
def _regions(node: str) -> frozenset[str]:
    """Return the regions that a group of lymph nodes is named by: the axilla of axillary nodes."""
    if not node.startswith("node_") or node.startswith(("node_level", "node_station")):
        return frozenset()
    stems = {part[:_STEM] for part in node.split("_")[1:]}
    found = set()
    for concept in default_lexicon().concepts.values():
        if concept.kind != "anatomy" or concept.id.startswith("node_") or concept.id == "lymph_node":
            continue
        for name in concept.en:
            words = [word for word in words_of(name).words if word not in _PLAIN]
            if words and not _NOT_THERE & set(words) and {word[:_STEM] for word in words} <= stems:
                found.add(concept.id)
    return frozenset(found)
