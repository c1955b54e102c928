"""A small SegAnyPET with random weights: its masks mean nothing, but they are always the same."""

import torch

from lib.network import SegAnyPET, SegAnyPETConfig


def small_seganypet(seed: int = 5) -> SegAnyPET:
    """A network whose cube has 32 voxels of 6 mm along each side, as long as the published one's."""
    torch.manual_seed(seed)
    config = SegAnyPETConfig(
        image_size=32,
        spacing=6.0,
        patch_size=8,
        encoder_width=48,
        encoder_depth=3,
        encoder_heads=4,
        encoder_mlp_width=96,
        global_blocks=(1,),
        embedding_width=48,
    )
    return SegAnyPET(config).eval()
