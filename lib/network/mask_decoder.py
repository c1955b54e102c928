"""The mask decoder: image embedding and prompts -> mask logits."""

import torch
from torch import Tensor, nn

from lib.network.config import SegAnyPETConfig
from lib.network.layers import ReluMLP, VoxelDoubling
from lib.network.two_way_transformer import TwoWayTransformer


class MaskDecoder(nn.Module):
    """Mask logits from the first mask token.

    D1: the published training uses only the first mask token and drops the IoU output. The other tokens
    take part in attention, so they matter, but their hypernetworks and the IoU head never received a
    gradient: they are kept for the checkpoint's keys and not evaluated.
    """

    def __init__(self, config: SegAnyPETConfig):
        super().__init__()
        width, masks = config.embedding_width, config.mask_tokens
        self.transformer = TwoWayTransformer(config)
        self.iou_token = nn.Embedding(1, width)
        self.mask_tokens = nn.Embedding(masks, width)
        self.output_upscaling = nn.Sequential(
            VoxelDoubling(width, width // 4),
            nn.LayerNorm(width // 4, eps=1e-6),
            nn.GELU(),
            VoxelDoubling(width // 4, width // 8),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            ReluMLP(width, width, width, width // 8) for _ in range(masks)
        )
        self.iou_prediction_head = ReluMLP(width, config.iou_head_width, config.iou_head_width, masks)

    def forward(self, image: Tensor, image_code: Tensor, sparse: Tensor) -> Tensor:
        """Logits (B, 1, 4g, 4g, 4g).

        image: embedding plus dense prompt (B, width, g, g, g); image_code: position code (1, width, g, g, g);
        sparse: prompt tokens (B, N, width).
        """
        batch, grid = len(image), image.shape[-1]
        own = torch.cat((self.iou_token.weight, self.mask_tokens.weight))
        tokens, image = self.transformer(
            torch.cat((own.expand(batch, -1, -1), sparse), dim=1),
            image.flatten(2).transpose(1, 2),
            image_code.flatten(2).transpose(1, 2),
        )
        channel_weights = self.output_hypernetworks_mlps[0](tokens[:, 1])  # token 0 is the IoU token
        upscaled = self.output_upscaling(image).flatten(1, 3)  # (B, g^3 * 8 * 8, width / 8)
        mask = (upscaled @ channel_weights[:, :, None]).view(batch, *(grid,) * 3, *(2,) * 6)
        side = 4 * grid
        return mask.permute(0, 1, 4, 7, 2, 5, 8, 3, 6, 9).reshape(batch, 1, side, side, side)
