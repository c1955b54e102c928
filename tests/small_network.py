"""Small networks with random weights: their masks mean nothing, but they are always the same."""

import torch

from lib.network import CompactConfig, CompactPET, SegAnyPET, SegAnyPETConfig

#: The smallest compact network there can be.
TINY = CompactConfig(
    image_size=16,
    spacing=8.0,
    encoder_widths=(8, 8, 8, 8),
    embedding_widths=(8, 8, 8),
    decoder_widths=(8, 8, 8),
)


def tiny_compact(seed: int = 3) -> CompactPET:
    torch.manual_seed(seed)
    return CompactPET(TINY, "tiny").eval()


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
