"""Interaction: from clicks to masks. Prompts, regions, the engine, the simulated annotators."""

from lib.interaction.engine import Engine, Update
from lib.interaction.labels import DEFAULT_LABELS, class_map, read_labels
from lib.interaction.network_segmenter import NetworkSegmenter
from lib.interaction.objects import AnnotatedObject
from lib.interaction.prompts import (
    Click,
    PromptError,
    Prompts,
    read_foreground_prompts,
    read_prompts,
    read_voxel,
)
from lib.interaction.proposals import Seed, SeedRecall, propose_seeds, seed_recall
from lib.interaction.proposed_objects import lesion_label, propose_objects
from lib.interaction.reply import describe
from lib.interaction.suv_region import RegionGrower

__all__ = [
    "DEFAULT_LABELS",
    "AnnotatedObject",
    "Click",
    "Engine",
    "NetworkSegmenter",
    "PromptError",
    "Prompts",
    "RegionGrower",
    "Seed",
    "SeedRecall",
    "Update",
    "class_map",
    "describe",
    "lesion_label",
    "propose_objects",
    "propose_seeds",
    "read_foreground_prompts",
    "read_labels",
    "read_prompts",
    "read_voxel",
    "seed_recall",
]
